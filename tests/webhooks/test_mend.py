"""Patches on bodies: what they change, what they leave exactly as it was, and why they do not fit."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadfast.errors import ConfigError
from steadfast.webhooks.replaying.mend import make_patch, read_patch

CURRENCY = '[{"op": "replace", "path": "/data/currency", "value": "USD"}]'


def mend(body, patch=CURRENCY):
    return make_patch(read_patch(patch)).mend(body)


def test_a_patch_changes_what_it_names():
    mended = mend(b'{"type": "order", "data": {"currency": "usd", "total": 5}}')
    assert json.loads(mended.body) == {"type": "order", "data": {"currency": "USD", "total": 5}}
    assert (mended.envelope.event_type, mended.envelope.schema_version) == ("order", 1)


@pytest.mark.parametrize(
    "number",
    [
        "123456789012345678901234567890",
        "0.1234567890123456789012345678901",
        "1.10",
        "-0",
        "9" * 5000,
        "1E+400",
    ],
)
def test_every_digit_of_a_number_stays(number):
    body = f'{{"type":"order","data":{{"currency":"usd","n":{number}}}}}'.encode()
    assert mend(body).body == body.replace(b"usd", b"USD")
    put = f'[{{"op": "add", "path": "/data/n", "value": {number}}}]'
    assert mend(b'{"data":{}}', put).body == f'{{"data":{{"n":{number}}}}}'.encode()


def test_type_version_and_text_are_read_from_the_mended_body():
    patch = """[{"op": "replace", "path": "/type", "value": "lead"},
        {"op": "add", "path": "/version", "value": 2}, {"op": "remove", "path": "/data/note"}]"""
    envelope = mend(b'{"type": "leed", "data": {"note": "a\\u0000b"}}', patch).envelope
    assert (envelope.event_type, envelope.schema_version, envelope.is_text_ok) == ("lead", 2, True)
    assert mend(b'{"data": {"currency": "usd", "note": "\\u0000"}}').envelope.is_text_ok is False


def test_text_stays_readable():
    assert mend('{"data": {"currency": "usd", "name": "Bäcker \\ud83c\\udf5e"}}'.encode()).body == (
        '{"data":{"currency":"USD","name":"Bäcker 🍞"}}'.encode()
    )


@pytest.mark.parametrize(
    ("body", "patch", "reason"),
    [
        (b'{"data": {}}', CURRENCY, "replace '/data/currency': the event has no such place"),
        (b'{"data": "currency"}', CURRENCY, "no such place"),
        (b'{"data": ["currency"]}', CURRENCY, "no such place"),
        (b'{"a": 1}', '[{"op": "test", "path": "/a", "value": 2}]', "test '/a': another value stands there"),
        (b'{"a": 1}', '[{"op": "replace", "path": "", "value": []}]', "leaves no JSON object"),
        (b'{"data": {"currency": "x", "n": "\\ud800"}}', CURRENCY, "half of a surrogate pair"),
        (b'{"data": {"currency": "x", "n": 1e9999999999999999999999}}', CURRENCY, "cannot be read as JSON"),
        (b"\xff", CURRENCY, "cannot be read as JSON"),
        (
            b'{"a": ' + b"[" * 60 + b"]" * 60 + b"}",
            '[{"op": "replace", "path": "/a/0/0", "value": [[[[[[[]]]]]]]},'
            '{"op": "copy", "from": "", "path": "/a/0/0"}]',
            "",
        ),
        (
            b"{}",
            '[{"op": "add", "path": "/a", "value": ' + "[" * 70 + "]" * 70 + "}]",
            "the receiver would refuse the result: too_deep",
        ),
    ],
)
def test_a_patch_that_does_not_fit_says_why_and_quotes_no_data(body, patch, reason):
    mended = mend(body, patch)
    assert reason in mended.reason
    assert bool(mended.reason) == (mended.envelope is None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        "[1]",
        "USD",
        "[" * 10_000,
        '[{"op": "replace", "path": "/a"}]',
        '[{"op": "move", "path": "/a"}]',
        '[{"op": "move", "path": "/a", "from": "b"}]',
        '[{"op": "add", "path": "a", "value": 1}]',
        '[{"op": "zap", "path": "/a"}]',
        '[{"path": "/a", "value": 1}]',
        '[{"op": "add", "path": "/a", "value": NaN}]',
        '[{"op": "add", "path": "/a", "value": "\\u0000"}]',
        '[{"op": "add", "path": "/a", "value": "\\ud800"}]',
    ],
)
def test_what_is_no_patch_is_refused_with_an_example(text):
    with pytest.raises(ConfigError, match="patch"):
        read_patch(text)


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(TEXT, inside, max_size=3),
    max_leaves=8,
)


@given(JSON, st.sampled_from(["", "/data", "/data/0", "/data/-", "/data/a/b", "/data/1_0", "/data/~1"]), JSON)
def test_any_patch_on_any_event_ends_in_a_body_or_a_reason(value, path, inside):
    body = json.dumps({"data": inside}).encode()
    for kind in ("add", "replace", "remove", "test", "move", "copy"):
        operation = {"op": kind, "path": path, "value": value, "from": "/data"}
        mended = make_patch([operation]).mend(body)
        assert bool(mended.body) != bool(mended.reason)
