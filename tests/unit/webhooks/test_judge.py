"""What a sender reads when an event breaks its contract: the field, and in plain words what is valid."""

import json

import pytest

from steadfast.webhooks.contract import OUTSIDE_DATA, Kind
from steadfast.webhooks.events import EVENTS
from steadfast.webhooks.judge import find_violations

ORDER = EVENTS["order", 1]
MOMENT = 'a moment with its zone, like "2026-11-24T10:00:00Z" or "2026-11-24T05:00:00-05:00"'


def judge(event=ORDER, **changes):
    """The sentences about the example of a type with some of its fields changed."""
    document = {"type": event.name, "timestamp": "2026-11-24T10:00:00Z", "data": event.example | changes}
    return find_violations(event.name, event.version, json.dumps(document).encode())


def test_an_event_that_keeps_its_contract_has_no_violations():
    assert judge() == []


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        (
            "campaign",
            "",
            "data.campaign: must be a text of 1 to 500 characters, or a whole number; it may be left out.",
        ),
        ("order_id", ["7"], "data.order_id: must be a text of 1 to 500 characters, or a whole number."),
        (
            "tax",
            "free",
            'data.tax: must be an amount like 129.9 or "129.90", below a million million, at most 6 decimals'
            "; it may be left out.",
        ),
        (
            "item_count",
            3.5,
            'data.item_count: must be a whole number like 3 or "3", from 0, at most 15 digits; '
            "it may be left out.",
        ),
        ("currency", "usd", 'data.currency: must be a currency like "USD", three capitals.'),
        (
            "placed_at",
            "yesterday",
            f"data.placed_at: must be {MOMENT}.",
        ),
    ],
)
def test_a_wrong_value_is_answered_with_what_would_be_valid(field, value, sentence):
    assert judge(**{field: value}) == [sentence]


def test_a_wrong_choice_is_answered_with_the_choices():
    (sentence,) = judge(status="payed")
    assert sentence.startswith("data.status: must be one of placed, paid, ")


def test_a_wrong_day_is_answered_with_what_a_day_looks_like():
    event, day = next(
        (event, field.name) for event in EVENTS.values() for field in event.fields if field.kind is Kind.DAY
    )
    assert judge(event, **{day: "24.11.2026"}) == [f'data.{day}: must be a day like "2026-11-24".']


@pytest.mark.parametrize("event", EVENTS.values(), ids=lambda event: f"{event.name}_{event.version}")
def test_every_field_is_answered_in_its_own_words_and_no_value_is_quoted(event):
    for field in event.fields:
        if field.kind not in OUTSIDE_DATA:
            (sentence,) = judge(event, **{field.name: {"leaked": "value"}})
            assert (", ".join(field.choices) or field.valid_words) in sentence
            assert "leaked" not in sentence
            assert ("may be left out" in sentence) is not field.is_required


def test_what_is_missing_and_what_stands_around_the_fields_is_named():
    event = {"type": "order", "timestamp": "soon", "data": {"order_id": "7"}}
    assert find_violations("order", 1, json.dumps(event).encode()) == [
        f"timestamp: must be {MOMENT}.",
        "data: status, placed_at, total, currency is missing.",
    ]
    assert judge_whole(data=[]) == ["data: must be an object with the fields of the event."]
    assert judge_whole(version="2") == ["version: must be 1."]


def judge_whole(**changes):
    """The sentences about an order with something around its fields changed."""
    document = {"type": "order", "timestamp": "2026-11-24T10:00:00Z", "data": ORDER.example} | changes
    return find_violations("order", 1, json.dumps(document).encode())
