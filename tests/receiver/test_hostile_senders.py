"""Whoever cannot prove who he is learns nothing, whatever he tries."""

import base64
import time
from datetime import UTC, datetime

import pytest

from .rig import ROTATED, SENDERS, Sender, new_id, new_secret, order
from .wire import sign, write_request

ORDERS = SENDERS["orders"]
NOTHING = "whsec_" + base64.b64encode(bytes(32)).decode()
"""A secret that a careless verifier could compare with when it knows none."""
STRANGERS = {
    "an unknown tenant": {"sender": Sender("orders", entity="nobody")},
    "an unknown source": {"sender": Sender("unknown")},
    "an unknown source, signed with nothing": {"sender": Sender("unknown", secret=NOTHING)},
    "a source that is switched off": {"sender": SENDERS["switched-off"]},
    "a source of a tenant that is switched off": {"sender": SENDERS["closed/orders"]},
    "a switched-off source, signed with nothing": {"sender": SENDERS["switched-off"], "secret": NOTHING},
    "a source without keys": {"sender": SENDERS["keyless"]},
    "a source without keys, signed with nothing": {"sender": SENDERS["keyless"], "secret": NOTHING},
    "another key": {"secret": new_secret()},
    "the key of another source": {"secret": SENDERS["strict"].secret},
    "the key of the same source of another tenant": {"secret": SENDERS["globex/orders"].secret},
    "an expired key": {"sender": SENDERS["rotating"], "secret": ROTATED["expired"]},
    "a key that does not hold yet": {"sender": SENDERS["rotating"], "secret": ROTATED["early"]},
    "no signature": {"change": {"webhook-signature": None}},
    "no timestamp": {"change": {"webhook-timestamp": None}},
    "no proof at all": {"change": {"webhook-signature": None, "webhook-timestamp": None}},
    "a signature of another body": {"change": {"webhook-signature": sign(ORDERS.secret, "x", "1", b"{}")}},
    "a token where a signature is asked for": {
        "change": {
            "authorization": f"Bearer {ORDERS.secret}",
            "webhook-signature": None,
            "webhook-timestamp": None,
        }
    },
    "a wrong token": {"sender": SENDERS["token"], "change": {"authorization": "Bearer whk_wrong"}},
    "no token": {"sender": SENDERS["token"], "change": {"authorization": None}},
    "an empty token": {"sender": SENDERS["token"], "change": {"authorization": "Bearer "}},
    "a token that is not ASCII": {
        "sender": SENDERS["token"],
        "change": {"authorization": b"Bearer \xff\xfe"},
    },
    "a token in the wrong scheme": {
        "sender": SENDERS["token"],
        "change": {"authorization": f"Basic {SENDERS['token'].token}"},
    },
}
SIGNATURES = {
    "empty": "",
    "a space": " ",
    "only the version": "v1",
    "only the version and the comma": "v1,",
    "no comma": "{digest}",
    "no version": ",{digest}",
    "another version": "v2,{digest}",
    "the asymmetric version only": "v1a,{digest}",
    "the version in capitals": "V1,{digest}",
    "a comma between signatures": "v1,AAAA,{signature}",
    "not base64": "v1,****",
    "bad padding": "v1,{digest}=",
    "the wrong alphabet": "v1,__--{digest}",
    "too short": "v1,AAAA",
    "in hex": "v1," + "00" * 32,
    "a line of bytes that are not ASCII": b"v1,\xff\xfe\x80",
    "a thousand wrong ones": " ".join(["v1," + "A" * 43 + "="] * 200),
}
TIMESTAMPS = {
    "too old": str(int(time.time()) - 3600),
    "from the future": str(int(time.time()) + 3600),
    "zero": "0",
    "negative": f"-{int(time.time())}",
    "with a fraction": f"{int(time.time())}.9",
    "with an underscore": f"{str(int(time.time()))[:3]}_{str(int(time.time()))[3:]}",
    "with a plus": f"+{int(time.time())}",
    "in milliseconds": f"{int(time.time())}000",
    "with an exponent": f"{int(time.time())}e0",
    "in hex": hex(int(time.time())),
    "empty": "",
    "a date": datetime.now(UTC).isoformat(),
    "digits of another script": "\u0661\u0667".encode() + b"95436659",
    "full-width digits": "".join(chr(0xFF10 + int(digit)) for digit in str(int(time.time()))).encode(),
    "not a number": "NaN",
    "with a NUL in words": f"{int(time.time())}%00",
}


@pytest.fixture(scope="session")
def one_answer(receiver):
    """What somebody gets who brings nothing."""
    return receiver.post(Sender("unknown"))


def traits(answer):
    """What a stranger may compare: everything but the number of the request and the time."""
    headers = {name: value for name, value in answer.headers.items() if name not in ("date", "x-request-id")}
    return answer.status, headers, {**answer.json, "request_id": None}


def test_a_refusal_is_a_problem_document(receiver):
    answer = receiver.post(Sender("unknown"))
    assert answer.status == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["type"] == "urn:steadfast:problem:unauthorized"
    assert answer.json["error"] == "unauthorized"
    assert answer.json["status"] == 401
    assert answer.json["title"] and answer.json["detail"]
    assert set(answer.json) == {"type", "title", "status", "detail", "error", "request_id"}


def test_every_refusal_has_a_number_of_its_own(receiver):
    numbers = [receiver.post(Sender("unknown")).json["request_id"] for _ in range(5)]
    assert len(set(numbers)) == 5


@pytest.mark.parametrize("who", STRANGERS)
def test_every_stranger_gets_one_and_the_same_answer(receiver, one_answer, who):
    form = dict(STRANGERS[who])
    event_id = new_id()
    answer = receiver.post(form.pop("sender", ORDERS), event_id=event_id, **form)
    assert traits(answer) == traits(one_answer)
    assert receiver.stored(event_id) == []


@pytest.mark.parametrize("fault", SIGNATURES)
def test_a_signature_that_is_none_gets_the_same_answer(receiver, one_answer, fault):
    event_id, stamp, body = new_id(), str(int(time.time())), order()
    signature = sign(ORDERS.secret, event_id, stamp, body)
    given = SIGNATURES[fault]
    if isinstance(given, str):
        given = given.format(signature=signature, digest=signature.removeprefix("v1,"))
    change = {"webhook-signature": given}
    answer = receiver.post(ORDERS, body, event_id=event_id, timestamp=stamp, change=change)
    assert traits(answer) == traits(one_answer)


@pytest.mark.parametrize("fault", TIMESTAMPS)
def test_a_well_signed_time_that_is_none_gets_the_same_answer(receiver, one_answer, fault):
    event_id, stamp, body = new_id(), TIMESTAMPS[fault], order()
    change = {"webhook-timestamp": stamp, "webhook-signature": sign(ORDERS.secret, event_id, stamp, body)}
    answer = receiver.post(ORDERS, body, event_id=event_id, change=change)
    assert traits(answer) == traits(one_answer)
    assert receiver.stored(event_id) == []


def test_a_repeated_header_cannot_be_played_against_its_twin(receiver, one_answer):
    event_id, body = new_id(), order()
    good = ORDERS.prove(body, event_id)
    forged = b"webhook-id: %s\r\n" % new_id().encode()
    answers = [
        receiver.post(ORDERS, body, event_id=event_id, change=good, extra=forged),
        receiver.ask(
            write_request(receiver.target(ORDERS), good, body, extra=forged + b"connection: close\r\n")
        ),
    ]
    assert {answer.status for answer in answers} <= {200, 202, 400, 401}
    assert {row["event_id"] for row in receiver.stored(event_id)} <= {event_id}


@pytest.mark.parametrize("spoil", ["event_id", "timestamp", "body"])
def test_each_part_of_what_was_signed_is_checked(receiver, one_answer, spoil):
    event_id, stamp, body = new_id(), str(int(time.time())), order()
    change = {"webhook-signature": sign(ORDERS.secret, event_id, stamp, body)}
    parts = {"event_id": event_id, "timestamp": stamp, "body": body}
    other = {"event_id": new_id(), "timestamp": str(int(stamp) - 1), "body": order()}
    parts[spoil] = other[spoil]
    assert traits(receiver.post(ORDERS, change=change, **parts)) == traits(one_answer)


@pytest.mark.parametrize("key", ["its first", "older", "newer"])
def test_every_key_that_holds_is_taken_while_keys_rotate(receiver, key):
    sender = SENDERS["rotating"]
    answer = receiver.post(sender, secret=ROTATED.get(key, sender.secret))
    assert answer.status == 202


@pytest.mark.parametrize(
    "shape",
    [
        "{wrong} {right}",
        "{right} {wrong}",
        "v1a,{wrong} {right}",
        "{right}  ",
        " {right}",
        "{wrong}  {right}",
    ],
)
def test_the_right_signature_counts_among_others(receiver, shape):
    event_id, stamp, body = new_id(), str(int(time.time())), order()
    right = sign(ORDERS.secret, event_id, stamp, body)
    listed = shape.format(wrong="v1," + "A" * 43 + "=", right=right)
    change = {"webhook-signature": listed}
    assert receiver.post(ORDERS, body, event_id=event_id, timestamp=stamp, change=change).status == 202


def test_an_old_time_passes_where_the_source_tolerates_it(receiver):
    stamp = str(int(time.time()) - 5 * 86_400)
    assert receiver.post(SENDERS["tolerant"], timestamp=stamp).status == 202
    assert receiver.post(SENDERS["tolerant"], timestamp=str(int(time.time()) - 11 * 86_400)).status == 401


def test_a_token_is_proof_enough_where_the_source_says_so(receiver):
    token = SENDERS["token"]
    assert receiver.post(token).status == 202
    by_idempotency_key = {"webhook-id": None, "idempotency-key": new_id()}
    assert receiver.post(token, change=by_idempotency_key).status == 202


def test_an_unsigned_body_is_not_even_parsed(receiver, one_answer):
    answer = receiver.post(ORDERS, b"{not json", secret=new_secret())
    assert traits(answer) == traits(one_answer)


@pytest.mark.parametrize(
    "form",
    [
        {"event_id": "a b"},
        {"change": {"content-type": "text/plain"}},
        {"change": {"content-encoding": "gzip"}},
        {"body": b" " * 300_000},
        {"body": b"{"},
        {"method": "GET"},
        {"change": {"webhook-id": None}},
    ],
    ids=lambda form: " ".join(form),
)
def test_no_answer_tells_a_stranger_whether_a_source_exists(receiver, form):
    known, unknown = ORDERS, Sender("unknown")
    answers = [receiver.post(sender, secret=new_secret(), **form) for sender in (known, unknown)]
    assert traits(answers[0]) == traits(answers[1])
