"""What the JSON Schema of a contract takes, the SQL takes too, and the other way round.

Known and meant: only SQL knows which dates exist, how far a timestamp may lie off, and how long a key may be.
"""

import json
from datetime import date

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from steadfast.webhooks.contract import OUTSIDE_DATA, Field, Kind
from steadfast.webhooks.events import EVENTS
from steadfast.webhooks.judge import find_violations

from .conftest import SENT, order

MOMENT_SIGNS = "0123456789-T:.+Zz "
MOMENTS = [
    SENT,
    "2026-11-24T10:00:00.123-05:00",
    "2026-11-24 10:00+0530",
    "2026-02-28T24:00:00Z",
    "1999-12-31T23:59:60Z",
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
            st.sampled_from([text[:10] for text in MOMENTS]).flatmap(lambda text: mangled(text, "0123-")),
        ),
    }[field.kind]
    return mostly(good, 4, ODD)


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
    @given(st.lists(payload_of(event), min_size=5, max_size=15))
    def agree(payloads):
        bodies = [
            json.dumps({"type": event.name, "timestamp": SENT, "data": payload}).encode()
            for payload in payloads
        ]
        ids = {inbox.add_body(body, event.name): body for body in dict.fromkeys(bodies) if body not in asked}
        asked.update(bodies)
        assert inbox.process().failures == ()
        dead = dict(inbox.query("SELECT inbox_id, detail FROM landing.dead_letter"))
        for inbox_id, body in ids.items():
            refused = find_violations(event.name, event.version, body)
            seen.append(bool(refused))
            if not refused and inbox_id in dead and only_sql_knows(inbox, inbox_id):
                continue
            assert bool(refused) == (inbox_id in dead), (body, refused, dead.get(inbox_id))

    agree()
    assert 0 < seen.count(True) < len(seen)


def only_sql_knows(inbox, inbox_id) -> bool:
    """Whether an event died of a date that does not exist, or of a key that no index holds."""
    ((reason, detail),) = inbox.query(
        "SELECT reason, detail FROM landing.dead_letter WHERE inbox_id = %s", inbox_id
    )
    is_date = "valid is a moment" in detail or "valid is a day" in detail
    return reason == "bad_field" and (is_date or "bytes in" in detail)


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
