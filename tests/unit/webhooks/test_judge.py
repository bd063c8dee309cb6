"""What a sender reads when an event breaks its contract: the field, and in plain words what is valid."""

import json
from datetime import UTC, datetime

import pytest

from steadfast.cli.webhook_status import make_example
from steadfast.webhooks.contract import OUTSIDE_DATA, Kind
from steadfast.webhooks.events import EVENTS
from steadfast.webhooks.judge import find_violations

ORDER = EVENTS["order", 1]
RECEIVED = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
MOMENT = 'a moment with its zone, like "2026-11-24T10:00:00Z" or "2026-11-24T05:00:00-05:00"'
HAPPENED = "from 2000 on, at most one day after the event was received"


def judge(event=ORDER, **changes):
    """The sentences about the example of a type with some of its fields changed."""
    document = {"type": event.name, "timestamp": "2026-11-24T10:00:00Z", "data": event.example | changes}
    return find_violations(event.name, event.version, json.dumps(document).encode(), RECEIVED)


def test_an_event_that_keeps_its_contract_has_no_violations():
    assert judge() == []


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        (
            "campaign",
            [],
            "data.campaign: must be a text of 1 to 500 characters, or a whole number; it may be left out.",
        ),
        ("order_id", "", "data.order_id: must be a text of 1 to 500 characters, or a whole number."),
        ("order_id", ["7"], "data.order_id: must be a text of 1 to 500 characters, or a whole number."),
        (
            "tax",
            "free",
            'data.tax: must be an amount like 129.9 or "129.90", below a million million, at most 6 decimals'
            ", from 0; it may be left out.",
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
            f"data.placed_at: must be {MOMENT}, {HAPPENED}.",
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
    for wrong in ("24.11.2026", "2026-02-30", "1999-12-31", "2026-11-26"):
        assert judge(event, **{day: wrong}) == [f'data.{day}: must be a day like "2026-11-24", {HAPPENED}.']
    assert judge(event, **{day: "2026-11-25"}) == []


@pytest.mark.parametrize(
    "moment", ["1999-12-31T23:59:59Z", "2026-11-25T12:00:01Z", "2026-02-30T10:00:00Z", "2026-11-24T24:30:00Z"]
)
def test_a_moment_of_no_calendar_or_out_of_bounds_is_answered_with_the_bounds(moment):
    assert judge(placed_at=moment) == [f"data.placed_at: must be {MOMENT}, {HAPPENED}."]


def test_how_far_ahead_a_moment_lies_is_asked_only_if_it_is_known_when_the_event_came():
    data = ORDER.example | {"placed_at": "2126-11-24T10:00:00Z"}
    body = json.dumps({"type": "order", "timestamp": "2126-11-24T10:00:00Z", "data": data}).encode()
    assert find_violations("order", 1, body) == []
    assert find_violations("order", 1, body, RECEIVED) == [
        "timestamp: must be a moment at most one day after the event was received.",
        f"data.placed_at: must be {MOMENT}, {HAPPENED}.",
    ]


@pytest.mark.parametrize("event", EVENTS.values(), ids=lambda event: f"{event.name}_{event.version}")
@pytest.mark.parametrize("now", [datetime(2024, 2, 29, 0, 0, tzinfo=UTC), datetime(2037, 1, 1, tzinfo=UTC)])
def test_the_example_to_paste_keeps_its_contract_whenever_it_is_shown(event, now):
    assert (
        find_violations(event.name, event.version, json.dumps(make_example(event, now)).encode(), now) == []
    )


def test_what_is_planned_may_lie_years_ahead():
    booking = EVENTS["booking", 1]
    assert judge(booking, starts_at="2031-06-01T10:00:00Z") == []
    (sentence,) = judge(booking, starts_at="2106-06-01T10:00:00Z")
    assert sentence.endswith("from 2000 on, at most 10 years after the event was received.")


@pytest.mark.parametrize(
    ("timestamp", "words"),
    [
        ("2026-02-30T10:00:00Z", MOMENT),
        ("2026-11-25T12:00:01Z", "a moment at most one day after the event was received"),
        ("2000-01-01T01:00:00+02:00", "a moment after 1999"),
    ],
)
def test_a_timestamp_that_cannot_be_is_named(timestamp, words):
    document = {"type": "order", "timestamp": timestamp, "data": ORDER.example}
    body = json.dumps(document).encode()
    assert find_violations("order", 1, body, RECEIVED) == [f"timestamp: must be {words}."]


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
