"""What the JSON Schema of a contract takes, the SQL takes too, and the other way round.

Known and meant: only SQL knows how long a key may be.
"""

import json
from datetime import date, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from steadfast.webhooks.contract import DATED, OUTSIDE_DATA, Field, Kind
from steadfast.webhooks.events import EVENTS
from steadfast.webhooks.judge import find_violations

from .conftest import NOON, SENT, order

RECEIVED = NOON - timedelta(minutes=1)
DAY, SECOND = timedelta(days=1), timedelta(seconds=1)

MOMENT_SIGNS = "0123456789-T:.+Zz "
MOMENTS = [
    SENT,
    "2026-11-24T10:00:00.123-05:00",
    "2026-11-24 10:00+0530",
    "2026-02-28T24:00:00Z",
    "1999-12-31T23:59:60Z",
    "2026-02-30T10:00:00Z",
    "2026-11-25T11:59:00Z",
    "2026-11-25T11:59:00.000001Z",
    "2026-11-25T23:59:60.5+12:00",
    "2036-11-24T11:59:00+00:00",
    "2036-11-24T11:59:01+00:00",
    "2026-11-24T10:00:00",
    "infinity",
    "now",
    "2026-11-24",
    "20261124T100000Z",
]
NUMBERS = ["0", "-0", "1", "-1", "1.50", "-3.5", "12,5", "1e2", ".5", "5.", "+1", "NaN", "Infinity", "0x1F"]
NUMBERS += ["1_000", " 1", "1 ", "1\n", "9" * 12, "9" * 13, "9" * 15, "9" * 16, "0.1234567", "0.1234560000"]
FACE = "\N{GRINNING FACE}"
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**45), 10**45),
    st.integers(-5, 5),
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(-2, 2),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6),
    st.sampled_from(
        ["", "true", "false", "null", "{}", "[]", "x" * 500, "x" * 501, "\N{GRINNING FACE}" * 500]
    ),
    st.sampled_from([*MOMENTS, *NUMBERS, 10**12, 10**15 - 1, 10**15, 1e15, 1.0, 3.0, 1e-7]),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.sampled_from(["a", "order_id"]), st.integers(), max_size=1),
)


def mostly(usual: st.SearchStrategy, times: int, other: st.SearchStrategy) -> st.SearchStrategy:
    """So many times the usual for once the other; `one_of` would count branches, not us."""
    return st.integers(0, times).flatmap(lambda turn: usual if turn else other)


def mangled(text: str, signs: str) -> st.SearchStrategy[str]:
    """The text with a sign or two put in, taken out or changed."""

    def change(edits):
        signs = list(text)
        for place, sign, is_added in edits:
            at = place % (len(signs) + 1)
            signs[at : at + (0 if is_added else 1)] = sign
        return "".join(signs)

    edit = st.tuples(st.integers(0, 40), st.sampled_from(["", *signs]), st.booleans())
    return st.lists(edit, max_size=2).map(change)


def value_of(field: Field) -> st.SearchStrategy:
    """Mostly what belongs there, or nearly."""
    good = {
        Kind.TEXT: st.one_of(st.text("abz019-{[tf", min_size=1, max_size=5), st.integers(0, 10**39)),
        Kind.CHOICE: st.sampled_from(field.choices or ("x",)),
        Kind.CURRENCY: st.text("ABZ", min_size=3, max_size=3),
        Kind.AMOUNT: st.one_of(
            st.decimals(-2, 10**12, places=6).map(str),
            st.decimals(0, 100, places=2).map(float),
            st.sampled_from(NUMBERS),
        ),
        Kind.COUNT: st.one_of(
            st.integers(0, 10**15), st.integers(0, 10**15).map(str), st.sampled_from(NUMBERS)
        ),
        Kind.MOMENT: st.sampled_from(MOMENTS).flatmap(lambda text: mangled(text, MOMENT_SIGNS)),
        Kind.DAY: st.one_of(
            st.dates(date(1900, 1, 1), date(2199, 12, 31)).map(str),
            st.dates(date(2026, 11, 22), date(2026, 11, 27)).map(str),
            st.sampled_from([text[:10] for text in MOMENTS]).flatmap(lambda text: mangled(text, "0123-")),
        ),
    }[field.kind]
    return mostly(good, 4, ODD)


def event_of(event) -> st.SearchStrategy:
    """The type with a payload; now and then with another timestamp."""
    times = st.sampled_from(MOMENTS).flatmap(lambda text: mangled(text, MOMENT_SIGNS))
    return st.fixed_dictionaries(
        {
            "type": st.just(event.name),
            "timestamp": mostly(st.just(SENT), 9, times),
            "data": payload_of(event),
        }
    )


def payload_of(event) -> st.SearchStrategy:
    """The example with one or two fields put in or changed; now and then something else altogether."""
    inside = [field for field in event.fields if field.kind not in OUTSIDE_DATA]
    change = st.sampled_from(inside).flatmap(lambda field: st.tuples(st.just(field.name), value_of(field)))
    changed = st.lists(change, min_size=1, max_size=2).map(lambda changes: event.example | dict(changes))
    without = st.sampled_from(list(event.example)).map(
        lambda name: {key: value for key, value in event.example.items() if key != name}
    )
    return mostly(changed, 10, st.one_of(without, ODD))


@pytest.mark.parametrize("event", EVENTS.values(), ids=lambda event: f"{event.name}_{event.version}")
def test_schema_and_sql_agree_on_every_payload(inbox, event):
    asked, seen = set(), []

    @settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.lists(event_of(event), min_size=5, max_size=15))
    def agree(events):
        bodies = [json.dumps(each).encode() for each in events]
        ids = {inbox.add_body(body, event.name): body for body in dict.fromkeys(bodies) if body not in asked}
        asked.update(bodies)
        assert inbox.process().failures == ()
        dead = dict(inbox.query("SELECT inbox_id, detail FROM landing.dead_letter"))
        for inbox_id, body in ids.items():
            refused = find_violations(event.name, event.version, body, RECEIVED)
            seen.append(bool(refused))
            detail = dead.get(inbox_id, "")
            assert bool(refused) == (bool(detail) and "bytes in" not in detail), (body, refused, detail)

    agree()
    assert 0 < seen.count(True) < len(seen)


def dated_fields() -> list:
    return [(event, field) for event in EVENTS.values() for field in event.fields if field.kind in DATED]


@pytest.mark.parametrize(("event", "field"), dated_fields(), ids=lambda described: described.name)
def test_a_moment_out_of_its_bounds_dies_in_the_words_of_the_judge(inbox, event, field):
    latest = (RECEIVED + field.most_ahead).replace(tzinfo=None)
    edges = ["2000-01-01", str(latest.date())], ["1999-12-31", str(latest.date() + DAY)]
    if field.kind is Kind.MOMENT:
        edges = ["2000-01-01T00:00:00Z", f"{latest}Z"], ["1999-12-31T23:59:59Z", f"{latest + SECOND}Z"]
    good, bad = ([event.example | {field.name: value} for value in values] for values in edges)
    for data in (*good, *bad):
        inbox.add(data, event.name)
    outcome = inbox.process()
    assert (outcome.applied_count, outcome.dead_count) == (2, 2)
    assert [reason for _, reason in inbox.dead()] == ["bad_field"] * 2
    for data, detail in zip(bad, inbox.details(), strict=True):
        assert detail == f'data.{field.name} is "{data[field.name]}"; valid is {field.valid_words}.'
        body = json.dumps({"type": event.name, "timestamp": SENT, "data": data}).encode()
        (sentence,) = find_violations(event.name, event.version, body, RECEIVED)
        assert sentence.startswith(f"data.{field.name}: must be {field.valid_words}")


@pytest.mark.parametrize("event", EVENTS.values(), ids=lambda event: f"{event.name}_{event.version}")
def test_an_empty_text_in_a_field_that_may_be_left_out_is_as_if_it_were_left_out(inbox, event):
    optional = [field for field in event.fields if not field.is_required and field.kind not in OUTSIDE_DATA]
    inbox.add(event.example | {field.name: "" for field in optional}, event.name)
    inbox.process()
    columns = ", ".join(field.column_name for field in optional) or "NULL"
    assert inbox.rows(columns, event.name) == [(None,) * max(len(optional), 1)]


@pytest.mark.parametrize("order_id", ["10042", "10042.0", "10042.00", '"10042"'])
def test_a_number_is_the_same_id_however_it_is_written(inbox, order_id):
    body = json.dumps({"type": "order", "timestamp": SENT, "data": order(order_id="@")})
    inbox.add_body(body.replace('"@"', order_id).encode())
    inbox.process()
    assert inbox.rows("order_id") == [("10042",)]


def test_a_text_that_only_looks_like_a_number_stays_as_it_is(inbox):
    inbox.add(order(order_id="10042.0"))
    inbox.process()
    assert inbox.rows("order_id") == [("10042.0",)]
