"""What is read of a body before it is kept: its type, and whether it can be kept at all."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadfast.webhooks.envelope import DEEPEST, Envelope, read_envelope, read_event
from steadfast.webhooks.refusals import Refused
from steadfast.webhooks.sources import Source


def source(**changes) -> Source:
    values = {
        "source_id": 7,
        "entity_id": 3,
        "entity": "bakery",
        "slug": "shop",
        "auth": "signature",
        "tolerance_seconds": 300,
        "max_bytes": 262_144,
        "rate_per_second": 100,
        "burst": 2000,
        "conflict_policy": "reject",
        "is_strict": False,
    }
    return Source(**{**values, **changes})


def refusal_of(body: bytes, **changes) -> str:
    with pytest.raises(Refused) as caught:
        read_event(source(**changes), "evt-1", body)
    return caught.value.refusal.code


def nested(levels: int) -> bytes:
    return b'{"type":"custom","data":' + b"[" * (levels - 1) + b"]" * (levels - 1) + b"}"


def test_it_reads_type_and_version_and_nothing_else():
    assert read_envelope(b'{"version":2,"data":{"type":"no"},"type":"order"}') == Envelope("order", 2, True)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"{}", (None, 1)),
        (b'{"type":7}', (None, 1)),
        (b'{"type":"Order; DROP"}', (None, 1)),
        (b'{"type":"order","version":"2"}', ("order", 0)),
        (b'{"type":"order","version":true}', ("order", 0)),
        (b'{"type":"order","version":99999}', ("order", 0)),
        (b'{"type":"order","version":111111111111111111111111111111}', ("order", 0)),
        (b'{"type":"order","type":"lead"}', ("lead", 1)),
    ],
)
def test_what_names_no_contract_is_kept_for_the_dead_letters(body, expected):
    found = read_envelope(body)
    assert (found.event_type, found.schema_version) == expected


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"x"',
        b"1",
        b"{",
        b"{}x",
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b"\xef\xbb\xbf{}",
        b'{"a":"\xff"}',
        b'{"a":"\xff\\ud800"}',
        b'{"a":1,}',
        b'{"a":01}',
        b'{"a":"\t"}',
        b'{"a":"\\ud800"} x',
        b'["\\ud800"]',
        b'{"a":NaN,"b":"\\ud800"}',
    ],
)
def test_what_is_not_one_json_object_is_refused(body):
    assert refusal_of(body) == "invalid_json"


def test_sixty_four_levels_pass_and_one_more_does_not():
    read_envelope(nested(DEEPEST))
    for levels in (DEEPEST + 1, 1000, 100_000):
        assert refusal_of(nested(levels)) == "too_deep"


def test_many_brackets_side_by_side_are_not_deep():
    read_envelope(b'{"a":[' + b",".join([b'{"b":[[]]}'] * 50_000) + b"]}")


def test_brackets_in_texts_do_not_count():
    read_envelope(json.dumps({"a": "[" * 200, 'b"\\': '\\"[[' * 200}).encode())


def test_an_unfinished_text_is_looked_through_in_no_time():
    assert refusal_of(b'{"a":"' + b'\\"' * 200_000 + b"[" * 100) == "invalid_json"


@pytest.mark.parametrize("text", [r"\u0000", r"\ud800", r"\udc00 x", r"\ud800\ud800", r"a\uDFFFb"])
def test_text_that_postgresql_cannot_store_is_flagged_and_kept(text):
    body = b'{"type":"lead","version":1,"data":{"x":"' + text.encode() + b'"}}'
    assert read_envelope(body) == Envelope("lead", 1, is_text_ok=False)


@pytest.mark.parametrize("text", [r"\\u0000", r"\\ud800", r"\ud83d\ude00", r"\u0001", "\N{GRINNING FACE}"])
def test_text_that_only_looks_so_is_fine(text):
    assert read_envelope(b'{"data":"' + text.encode() + b'"}').is_text_ok


TEXTS = st.text('ab\\u08dDcC9{["]}', max_size=30)
"""Of the signs that escapes, their halves and brackets are made of."""


@given(st.lists(TEXTS, max_size=5), st.sampled_from(["", "x" * 65_530, "x" * 65_533, "x" * 131_070]))
def test_text_and_depth_are_read_as_a_parser_reads_them(texts, padding):
    """Also where a large body is looked through in pieces."""
    raw = ",".join(f'"{text}"' for text in (padding, *texts))
    body = f'{{"a":[{raw}]}}'.encode()
    try:
        parsed = json.loads(body)
    except ValueError:
        assert refusal_of(body) == "invalid_json"
        return
    found = "".join(_texts_of(parsed))
    is_text_ok = not any(sign == "\0" or "\ud800" <= sign <= "\udfff" for sign in found)
    try:
        assert read_envelope(body).is_text_ok == is_text_ok
    except Refused as refused:
        assert refused.refusal.code == "too_deep" and _depth_of(parsed) > DEEPEST


def _texts_of(value):
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, member in value.items():
            yield name
            yield from _texts_of(member)
    elif isinstance(value, list):
        for item in value:
            yield from _texts_of(item)


def _depth_of(value):
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(_depth_of, inner), default=0)


@given(st.integers(min_value=0, max_value=80), st.sampled_from([0, 60, 70]))
def test_a_body_in_pieces_is_as_deep_as_in_one(quotes, levels):
    padding = b"[]," * 25_000 + b'"' + b"[" * quotes + b'",'
    body = b'{"a":[' + padding + b"[" * levels + b"1" + b"]" * levels + b"]}"
    if levels > DEEPEST - 2:
        assert refusal_of(body) == "too_deep"
    else:
        assert read_envelope(body).is_text_ok


def test_numbers_of_any_length_pass_untouched():
    body = b'{"type":"order","data":{"n":' + b"9" * 10_000 + rb',"x":"\u0000"}}'
    assert read_event(source(), "evt-1", body).body == body


def test_a_strict_source_refuses_a_key_given_twice_at_any_depth():
    assert refusal_of(b'{"a":{"b":1,"b":2}}', is_strict=True) == "duplicate_key"
    assert read_event(source(), "evt-1", b'{"a":{"b":1,"b":2}}')


@pytest.mark.parametrize("event_id", ["", " ", "a b", "x" * 129, "a/b", "é", "a\n", "a\x00", "\uff05"])
def test_an_id_is_plain_or_refused(event_id):
    with pytest.raises(Refused) as caught:
        read_event(source(), event_id, b"{}")
    assert caught.value.refusal.code == "bad_id"


def test_the_same_id_has_the_same_key_whatever_its_body():
    one, other = (read_event(source(), "evt-1", body) for body in (b"{}", b'{"a":1}'))
    assert one.dedup_key == other.dedup_key
    assert one.body_hash != other.body_hash


def test_where_other_bytes_are_a_new_version_they_have_a_key_of_their_own():
    policy = {"conflict_policy": "new_version"}
    one, other, again = (read_event(source(**policy), "evt-1", body) for body in (b"{}", b'{"a":1}', b"{}"))
    assert one.dedup_key != other.dedup_key
    assert one.dedup_key == again.dedup_key


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(), st.lists
    )
)
def test_whatever_json_holds_it_is_kept_or_refused(value):
    body = json.dumps({"type": "custom", "data": value}).encode()
    assert read_envelope(body).event_type == "custom"


@given(st.binary(max_size=100))
def test_no_bytes_make_it_raise_anything_else(body):
    try:
        read_envelope(body)
    except Refused as refused:
        assert refused.refusal.status == 400
