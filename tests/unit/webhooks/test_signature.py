"""Who sent a request: strict, in constant time, and never an exception."""

import base64
import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadfast.webhooks.receiving.signature import (
    NO_KEY,
    Key,
    decode_secret,
    find_signing_key,
    find_token_key,
    is_timely,
)

NOW = 1_795_436_659.0
BODY = b'{"type":"lead"}'


def make_key(key_id: int, secret: bytes) -> Key:
    return Key(key_id, secret, 0.0, float("inf"))


def sign(
    secret: bytes, event_id: bytes = b"evt-1", timestamp: bytes = b"1795436659", body: bytes = BODY
) -> bytes:
    message = event_id + b"." + timestamp + b"." + body
    return b"v1," + base64.b64encode(hmac.digest(secret, message, "sha256"))


OLD, NEW = make_key(1, b"o" * 32), make_key(2, b"n" * 32)


def test_it_takes_the_example_of_standard_webhooks():
    secret = decode_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body, event_id, timestamp = b'{"test": 2432232314}', b"msg_p5jXN8AQM9LWM0D4loKWxJek", b"1614265330"
    signature = b"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
    key = make_key(7, secret)
    assert find_signing_key([key], event_id, timestamp, body, signature) == key


@pytest.mark.parametrize("key", [OLD, NEW])
def test_each_active_key_signs(key):
    assert find_signing_key([OLD, NEW], b"evt-1", b"1795436659", BODY, sign(key.secret)) == key


def test_one_good_signature_among_bad_ones_is_enough():
    given = b"v1,AAAA v2,x " + sign(NEW.secret) + b" v1a,whatever"
    assert find_signing_key([OLD, NEW], b"evt-1", b"1795436659", BODY, given) == NEW


@pytest.mark.parametrize(
    "changed", [{"event_id": b"evt-2"}, {"timestamp": b"1795436660"}, {"body": BODY + b" "}]
)
def test_what_was_signed_is_the_id_the_time_and_the_body(changed):
    signature = sign(OLD.secret, **changed)
    assert find_signing_key([OLD], b"evt-1", b"1795436659", BODY, signature) is None


@pytest.mark.parametrize(
    "signatures",
    [
        b"",
        b"v1",
        b"v1,",
        b"v1 ,x",
        b"v1,  ",
        b"v1,not base64!",
        b"v1,\xff\xfe",
        b"V1,AAAA",
        b"v1a,AAAA",
        b" " * 999,
    ],
)
def test_a_malformed_signature_is_no_signature(signatures):
    assert find_signing_key([OLD], b"evt-1", b"1795436659", BODY, signatures) is None


@given(st.binary(max_size=200))
def test_no_header_makes_it_raise(signatures):
    assert find_signing_key([OLD], b"evt-1", b"1795436659", BODY, signatures) is None


def test_the_key_of_nobody_opens_nothing_for_anybody():
    found = find_signing_key([NO_KEY], b"evt-1", b"1795436659", BODY, sign(NO_KEY.secret))
    assert found is NO_KEY
    assert find_token_key([NO_KEY], b"Bearer anything") is None


@pytest.mark.parametrize("timestamp", [b"1795436659", b"1795436359", b"1795436959"])
def test_a_timestamp_within_the_tolerance_is_timely(timestamp):
    assert is_timely(timestamp, 300, NOW)


@pytest.mark.parametrize(
    "timestamp",
    [
        b"",
        b"1795436358",
        b"1795436960",
        b"1795436659.9",
        b"179_5436659",
        b" 1795436659",
        b"+1795436659",
        b"-1",
        b"0x6b",
        b"1795436659000",
        b"\xd9\xa1\xd9\xa2",
        b"1" * 5000,
    ],
)
def test_everything_else_is_not(timestamp):
    assert not is_timely(timestamp, 300, NOW)


def test_a_token_is_known_by_its_hash():
    key = Key(3, hashlib.sha256(b"whk_secret").digest(), 0.0, float("inf"))
    assert find_token_key([OLD, key], b"Bearer whk_secret") == key
    assert find_token_key([OLD, key], b"bearer whk_secret") == key
    for wrong in (b"", b"whk_secret", b"Basic whk_secret", b"Bearer whk_secre", b"Bearer  whk_secret"):
        assert find_token_key([OLD, key], wrong) is None


def test_a_key_is_active_in_its_window_only():
    key = Key(4, b"", 100.0, 200.0)
    assert [key.is_active(moment) for moment in (99.9, 100.0, 199.9, 200.0)] == [False, True, True, False]
