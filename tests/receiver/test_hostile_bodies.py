"""Bodies that are no JSON, JSON that is no event, and events that a database cannot hold as text."""

import json

import pytest

from .rig import SENDERS, new_id, order

ORDERS, STRICT = SENDERS["orders"], SENDERS["strict"]
HEAD = b'{"type": "custom", "timestamp": "2026-11-24T10:00:00Z", "data": '
NO_JSON = {
    "nothing": b"",
    "blanks": b" \n\t ",
    "a byte order mark": b"\xef\xbb\xbf" + order(),
    "UTF-16": order().decode().encode("utf-16"),
    "UTF-16 without a mark": order().decode().encode("utf-16-le"),
    "Latin-1": HEAD + '"é"}'.encode("latin-1"),
    "half a sign": HEAD + b'"\xe2\x82"}',
    "a sign in too many bytes": HEAD + b'"\xc0\xaf"}',
    "half of a pair as bytes": HEAD + b'"\xed\xa0\x80"}',
    "beyond Unicode": HEAD + b'"\xf4\x90\x80\x80"}',
    "cut off": order()[:-5],
    "cut off in a text": HEAD + b'"abc',
    "cut off in an escape": HEAD + b'"\\u00"}',
    "something behind it": order() + b"x",
    "another one behind it": order() + order(),
    "a comma behind it": order() + b",",
    "a NUL behind it": order() + b"\x00",
    "NaN": HEAD + b"NaN}",
    "Infinity": HEAD + b"Infinity}",
    "minus Infinity": HEAD + b"-Infinity}",
    "NaN and an escape": HEAD + b'["\\u0000", NaN]}',
    "NaN and half of a pair": HEAD + b'["\\ud800", NaN]}',
    "a comma too many": HEAD + b"[1,]}",
    "a comma too many in an object": HEAD + b'{"a": 1,}}',
    "single quotes": b"{'type': 'custom'}",
    "no quotes": b"{type: 1}",
    "a comment": HEAD + b"1 /* x */}",
    "a leading zero": HEAD + b"01}",
    "a leading plus": HEAD + b"+1}",
    "a bare point": HEAD + b"1.}",
    "no digit before the point": HEAD + b".5}",
    "no exponent": HEAD + b"1e}",
    "hex": HEAD + b"0x1}",
    "an unknown escape": HEAD + b'"\\x41"}',
    "a NUL as it is": HEAD + b'"\x00"}',
    "a line break inside a text": HEAD + b'"a\nb"}',
    "True": HEAD + b"True}",
    "an array": b"[" + order() + b"]",
    "an empty array": b"[]",
    "a text": b'"text"',
    "a text with an escape": b'"\\u0000"',
    "a number": b"42",
    "null": b"null",
    "true": b"true",
    "brackets that do not match": HEAD + b"[}}",
    "lines of events": order() + b"\n" + order(),
    "XML": b"<?xml version='1.0'?><order/>",
    "a form": b"type=order&total=1",
    "a pickle": b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00",
}
ODD_BUT_JSON = {
    "no member": b"{}",
    "no type": b'{"data": {}}',
    "type null": b'{"type": null}',
    "type a number": b'{"type": 7}',
    "type an object": b'{"type": {"type": "order"}}',
    "type an array": b'{"type": ["order"]}',
    "type empty": b'{"type": ""}',
    "type very long": b'{"type": "' + b"x" * 100_000 + b'"}',
    "type with a NUL": b'{"type": "or\\u0000der"}',
    "type with half of a pair": b'{"type": "or\\ud800der"}',
    "type in other letters": '{"type": "\u0441ustom"}'.encode(),
    "type with SQL": b'{"type": "x\'; DROP TABLE landing.webhook_inbox; --"}',
    "version a text": b'{"type": "order", "version": "1"}',
    "version a fraction": b'{"type": "order", "version": 1.5}',
    "version a round fraction": b'{"type": "order", "version": 1.0}',
    "version true": b'{"type": "order", "version": true}',
    "version null": b'{"type": "order", "version": null}',
    "version negative": b'{"type": "order", "version": -1}',
    "version larger than the column": b'{"type": "order", "version": 32768}',
    "version larger than any column": b'{"type": "order", "version": 1' + b"0" * 40 + b"}",
    "version huge": b'{"type": "order", "version": 1' + b"0" * 5000 + b"}",
    "version with an exponent": b'{"type": "order", "version": 1e400}',
    "data null": b'{"type": "order", "data": null}',
    "data a text": b'{"type": "order", "data": "x"}',
    "timestamp nonsense": b'{"type": "order", "timestamp": "yesterday", "data": {}}',
    "an unknown type": b'{"type": "unheard_of", "timestamp": "2026-11-24T10:00:00Z", "data": {}}',
    "blanks around it": b"\r\n\t " + order() + b" \n",
    "an empty key": b'{"type": "custom", "": {"": ""}}',
    "escapes everywhere": HEAD + rb'"\"\\\/\b\f\n\r\t\u0041"}',
    "deleted control signs": HEAD + b'"\x7f\xc2\x80"}',
    "signs beyond the basic plane": HEAD + '"😀"}'.encode(),
    "a non-character": HEAD + '"\uffff\ufffe"}'.encode(),
}
NUMBERS = {
    "30 digits": b"123456789012345678901234567890",
    "5000 digits": b"9" * 5000,
    "200000 digits": b"9" * 200_000,
    "30 digits after the point": b"0.123456789012345678901234567890",
    "too large for a double": b"1e400",
    "too small for a double": b"1e-400",
    "an exponent that nobody can hold": b"1e999999999999",
    "minus zero": b"-0",
    "a cent that a double has not": b"0.10000000000000000555",
}
UNSTORABLE = {
    "a NUL": rb'"\u0000"',
    "a NUL among text": rb'"a\u0000b"',
    "a NUL in a key": rb'{"a\u0000b": 1}',
    "a NUL behind a backslash": rb'"\\\u0000"',
    "a NUL behind a quote": rb'"\"\u0000"',
    "a NUL in a value that a later one replaces": rb'{"a": "\u0000", "a": "fine"}',
    "a NUL in an object that a later one replaces": rb'{"a": {"b": ["\u0000"]}, "a": 1}',
    "a NUL beside a huge number": rb'["\u0000", ' + b"9" * 5000 + b"]",
    "the first half of a pair": rb'"\ud800"',
    "the second half of a pair": rb'"\udc00"',
    "a pair the wrong way round": rb'"\udc00\ud800"',
    "two first halves": rb'"\ud83d\ud83d\ude00"',
    "half of a pair in capitals": rb'"\uD83D"',
    "a pair torn apart": rb'"\ud83d \ude00"',
    "half of a pair in a key": rb'{"\ud800": 1}',
    "half of a pair that a later one replaces": rb'{"a": "\ud800", "a": "fine"}',
    "half of a pair beside a huge number": rb'["\ud800", ' + b"9" * 5000 + b"]",
    "half of a pair behind a backslash": rb'"\\\ud800"',
}
STORABLE = {
    "a whole pair": rb'"\ud83d\ude00"',
    "a whole pair in capitals": rb'"\uD83D\uDE00"',
    "an escaped backslash and u0000": rb'"\\u0000"',
    "two escaped backslashes and u0000": rb'"\\\\u0000"',
    "an escaped backslash and ud800": rb'"\\ud800"',
    "the sign for what is missing": rb'"\ufffd"',
    "the first sign that is none": rb'"\u0001"',
    "just below the halves": rb'"\ud7ff"',
    "just above the halves": rb'"\ue000"',
}


@pytest.mark.parametrize("fault", NO_JSON)
@pytest.mark.parametrize("sender", [ORDERS, STRICT], ids=["any source", "a strict source"])
def test_what_is_not_one_json_object_is_refused(receiver, sender, fault):
    event_id = new_id()
    answer = receiver.post(sender, NO_JSON[fault], event_id=event_id)
    assert (answer.status, answer.error) == (400, "invalid_json")
    assert receiver.stored(event_id) == []


@pytest.mark.parametrize("case", ODD_BUT_JSON)
def test_an_object_of_any_shape_is_kept_and_judged_later(receiver, case):
    event_id, body = new_id(), ODD_BUT_JSON[case]
    assert receiver.post(ORDERS, body, event_id=event_id).status == 202
    [row] = receiver.stored(event_id)
    assert row["body"] == body
    assert row["event_type"] in (None, "order", "custom", "unheard_of")


@pytest.mark.parametrize(
    "case",
    [
        case
        for case in ODD_BUT_JSON
        if case.startswith(("no ", "type ", "version ", "data ", "timestamp", "an unknown"))
        # Text that cannot be held is a dead letter, from whichever source.
        and not case.endswith(("a NUL", "half of a pair"))
    ],
)
def test_a_strict_source_refuses_it_with_a_sentence(receiver, case):
    event_id, body = new_id(), ODD_BUT_JSON[case]
    answer = receiver.post(STRICT, body, event_id=event_id)
    assert (answer.status, answer.error) == (422, "schema_violation")
    assert answer.json["detail"].endswith(".")
    assert receiver.stored(event_id) == []


def test_a_strict_source_takes_what_keeps_the_contract(receiver):
    assert receiver.post(STRICT, order(total=12.5, item_count=3)).status == 202


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("status", "stolen"),
        ("total", "-1"),
        ("total", None),
        ("currency", "usd"),
        ("item_count", 1.5),
        ("placed_at", "yesterday"),
        ("order_id", ""),
        ("order_id", "x" * 501),
    ],
)
def test_the_sentence_names_the_field(receiver, field, value):
    answer = receiver.post(STRICT, order(**{field: value}))
    assert (answer.status, answer.error) == (422, "schema_violation")
    assert field in answer.json["detail"]


def test_the_sentence_names_a_field_that_is_missing(receiver):
    event = json.loads(order())
    del event["data"]["currency"]
    answer = receiver.post(STRICT, json.dumps(event).encode())
    assert answer.status == 422
    assert "currency" in answer.json["detail"]


def test_what_breaks_the_contract_is_kept_where_the_source_is_not_strict(receiver):
    event_id = new_id()
    assert receiver.post(ORDERS, order(status="stolen"), event_id=event_id).status == 202
    assert receiver.stored(event_id)[0]["event_type"] == "order"


@pytest.mark.parametrize("case", NUMBERS)
def test_a_number_is_kept_digit_by_digit(receiver, case):
    event_id, body = new_id(), HEAD + b'{"number": ' + NUMBERS[case] + b"}}"
    assert receiver.post(ORDERS, body, event_id=event_id).status == 202
    [row] = receiver.stored(event_id)
    assert row["body"] == body
    assert row["is_text_ok"]


@pytest.mark.parametrize("case", NUMBERS)
def test_a_strict_source_survives_every_number(receiver, case):
    answer = receiver.post(STRICT, HEAD + b'{"number": ' + NUMBERS[case] + b"}}")
    assert answer.status in (202, 422)


@pytest.mark.parametrize("case", UNSTORABLE)
def test_text_that_postgresql_cannot_hold_is_kept_and_marked(receiver, case):
    event_id, body = new_id(), HEAD + UNSTORABLE[case] + b"}"
    assert receiver.post(ORDERS, body, event_id=event_id).status == 202
    [row] = receiver.stored(event_id)
    assert row["body"] == body
    assert row["is_text_ok"] is False


@pytest.mark.parametrize("case", UNSTORABLE)
def test_a_strict_source_survives_such_text(receiver, case):
    answer = receiver.post(STRICT, HEAD + UNSTORABLE[case] + b"}")
    assert answer.status in (202, 400, 422)


@pytest.mark.parametrize("case", STORABLE)
def test_text_that_only_looks_like_it_is_not_marked(receiver, case):
    event_id, body = new_id(), HEAD + STORABLE[case] + b"}"
    assert receiver.post(ORDERS, body, event_id=event_id).status == 202
    assert receiver.stored(event_id)[0]["is_text_ok"] is True
    assert receiver.rows("SELECT convert_from(%s, 'UTF8')::jsonb AS body", body)


def test_the_mark_agrees_with_postgresql(receiver):
    """Whatever is not marked must be castable, or it spoils the batch that it is processed in."""
    bodies = [HEAD + text + b"}" for text in (*UNSTORABLE.values(), *STORABLE.values())]
    for body in bodies:
        event_id = new_id()
        receiver.post(ORDERS, body, event_id=event_id)
        [row] = receiver.stored(event_id)
        # 30 digits and more are numbers to PostgreSQL, so only the text decides.
        valid = receiver.rows("SELECT landing.is_valid_input(convert_from(%s, 'UTF8'), 'jsonb') AS yes", body)
        assert row["is_text_ok"] == valid[0]["yes"], body[:200]


def nested(depth, opening=b"[", closing=b"]"):
    """An event whose deepest bracket lies so deep."""
    return HEAD + opening * (depth - 1) + closing * (depth - 1) + b"}"


@pytest.mark.parametrize("depth", [65, 100, 1000, 5000, 100_000])
def test_what_is_nested_too_deeply_is_refused(receiver, depth):
    answer = receiver.post(ORDERS, nested(depth))
    assert (answer.status, answer.error) == (400, "too_deep")


def test_objects_count_like_arrays(receiver):
    deep = HEAD + b'{"a": ' * 64 + b"1" + b"}" * 65
    assert receiver.post(ORDERS, deep).error == "too_deep"
    assert receiver.post(STRICT, deep).error == "too_deep"


@pytest.mark.parametrize("text", [b'"\\u0000"', b'"\\ud800"'], ids=["a NUL", "half of a pair"])
def test_depth_counts_also_where_text_cannot_be_held(receiver, text):
    deep = HEAD + b"[" * 64 + text + b"]" * 64 + b"}"
    assert receiver.post(ORDERS, deep).error == "too_deep"


def test_brackets_that_nobody_closes_are_refused(receiver):
    assert receiver.post(ORDERS, b"[" * 200_000).status == 400
    assert receiver.post(ORDERS, b'{"a":' * 50_000).status == 400


def test_what_is_nested_as_deeply_as_allowed_is_taken(receiver):
    assert receiver.post(ORDERS, nested(64)).status == 202


@pytest.mark.parametrize("text", [b"[" * 200, b'\\"' + b"[{" * 200, b'\\\\\\"' + b"[" * 100])
def test_brackets_inside_a_text_are_no_depth(receiver, text):
    assert receiver.post(ORDERS, HEAD + b'"' + text + b'"}').status == 202


def test_many_brackets_side_by_side_are_no_depth(receiver):
    assert receiver.post(ORDERS, HEAD + b"[" + b"[]," * 10_000 + b"[]]}").status == 202


DOUBLED = {
    "at the top": b'{"type": "order", "type": "lead"}',
    "inside": HEAD + b'{"a": 1, "a": 1}}',
    "deep inside": HEAD + b'[{"b": [{"a": 1, "a": 2}]}]}',
    "one of them escaped": HEAD + rb'{"a": 1, "\u0061": 2}}',
    "in a value that a later one replaces": HEAD + b'{"a": {"b": 1, "b": 2}, "c": 1}}',
    "empty": HEAD + b'{"": 1, "": 2}}',
}


@pytest.mark.parametrize("case", DOUBLED)
def test_a_key_given_twice_is_refused_by_a_strict_source_only(receiver, case):
    answer = receiver.post(STRICT, DOUBLED[case])
    assert (answer.status, answer.error) == (400, "duplicate_key")
    assert receiver.post(ORDERS, DOUBLED[case]).status == 202


def test_of_a_type_given_twice_the_last_one_holds_as_in_postgresql(receiver):
    event_id, body = new_id(), DOUBLED["at the top"]
    receiver.post(ORDERS, body, event_id=event_id)
    [row] = receiver.stored(event_id)
    [read] = receiver.rows("SELECT convert_from(%s, 'UTF8')::jsonb ->> 'type' AS type", body)
    assert row["event_type"] == read["type"] == "lead"


def test_a_key_in_escapes_is_the_same_key(receiver):
    event_id, body = new_id(), rb'{"\u0074ype": "order", "\u0076ersion": 3}'
    receiver.post(ORDERS, body, event_id=event_id)
    [row] = receiver.stored(event_id)
    assert (row["event_type"], row["schema_version"]) == ("order", 3)
