"""The contracts keep their own rules, and their JSON Schema is one that anybody may use."""

from decimal import Decimal

import pytest
from jsonschema import Draft202012Validator

from steadfast.webhooks.applying.checks import list_checks
from steadfast.webhooks.contract import DATED, OUTSIDE_DATA, Field, Kind
from steadfast.webhooks.events import EVENT_TABLES, EVENTS
from steadfast.webhooks.schema import open_validator

ALL = pytest.mark.parametrize("event", EVENTS.values(), ids=lambda event: f"{event.name}_{event.version}")


def document(event, **changes):
    return {"type": event.name, "timestamp": "2026-11-24T10:00:00Z", "data": event.example | changes}


@ALL
def test_the_schema_is_a_schema_and_takes_the_example(event):
    Draft202012Validator.check_schema(event.json_schema())
    assert list(open_validator(event).iter_errors(document(event))) == []


@ALL
def test_the_day_is_a_required_moment_or_day(event):
    for field in event.fields:
        if field.name == event.day:
            assert field.is_required
            assert field.kind in (Kind.MOMENT, Kind.DAY)
    assert event.day in ("", *(field.name for field in event.fields))


@ALL
def test_no_choice_could_be_anything_else_in_json(event):
    words = [word for field in event.fields for word in field.choices]
    assert [word for word in words if word in ("true", "false", "null") or not word[0].isalpha()] == []


@ALL
def test_every_field_has_words_for_what_is_valid_and_every_check_uses_them(event):
    subjects = {check.subject for check in list_checks(event)}
    assert {"timestamp", "data"} <= subjects
    inside = [field for field in event.fields if field.kind not in OUTSIDE_DATA]
    assert {f"data.{field.name}" for field in inside} <= subjects
    assert all(check.valid for check in list_checks(event))


def test_a_type_has_one_table_with_the_columns_of_all_its_versions():
    columns = {table.name: {column.name for column in table.columns} for table in EVENT_TABLES}
    for event in EVENTS.values():
        assert {field.column_name for field in event.fields} <= columns[f"fact_{event.name}"]


AMOUNT = [
    (0, True),
    (129.9, True),
    ("129.90", True),
    (0.1, True),
    (0.1 + 0.2, False),
    (1e2, True),
    (Decimal("1E+2"), True),
    (Decimal("0.0000001"), False),
    (Decimal("0.1000000000000000000000000000000001"), False),
    (Decimal("1.500000000"), True),
    ("1.500000000", True),
    ("1.0000001", False),
    (10**12, False),
    ("1000000000000", False),
    (-1, False),
    ("-1", False),
    ("1e2", False),
    ("", False),
    ("1\n", False),
    (" 1", False),
    ("\N{ARABIC-INDIC DIGIT ONE}", False),
    (True, False),
    ([], False),
    (None, False),
]


@pytest.mark.parametrize(("value", "is_valid"), AMOUNT)
def test_an_amount_is_exact(value, is_valid):
    event = EVENTS["order", 1]
    assert open_validator(event).is_valid(document(event, total=value)) is is_valid


COUNTS = [(3, True), (3.0, True), (Decimal("3.0"), True), (Decimal("3E+1"), True), ("3", True), (3.5, False)]
COUNTS += [(-1, False), ("1" * 15, True), ("1" * 16, False), (10**15, False), (None, True)]


@pytest.mark.parametrize(("value", "is_valid"), COUNTS)
def test_a_count_is_whole(value, is_valid):
    event = EVENTS["order", 1]
    assert open_validator(event).is_valid(document(event, item_count=value)) is is_valid


@ALL
def test_null_and_the_empty_text_are_as_absent(event):
    for field in event.fields:
        if field.kind not in OUTSIDE_DATA:
            for nothing in (None, ""):
                changed = document(event, **{field.name: nothing})
                assert open_validator(event).is_valid(changed) is not field.is_required
    assert not open_validator(EVENTS["order", 1]).is_valid(document(EVENTS["order", 1], tax=" "))


@ALL
def test_the_schema_says_how_far_off_a_moment_or_day_may_lie(event):
    schema = event.json_schema()["properties"]["data"]["properties"]
    for field in event.fields:
        if field.kind in DATED:
            (text, *_) = schema[field.name].get("anyOf", [schema[field.name]])
            assert text["description"].startswith("from 2000 on, at most ")
            assert text["description"] in field.valid_words


@ALL
def test_texts_are_folded_only_where_they_identify_and_are_required(event):
    for field in event.fields:
        if field.is_folded:
            assert (field.kind, field.is_required) == (Kind.TEXT, True)
            assert field.column_name in event.key


def test_an_amount_below_zero_is_named_where_it_is_allowed():
    assert Field("a", Kind.AMOUNT, may_be_negative=True).valid_words.endswith("or below 0")
    assert Field("a", Kind.AMOUNT).valid_words.endswith("from 0")
