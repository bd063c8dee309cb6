"""The same request again, the same id again, and ids that are none."""

import time

import pytest

from .rig import SENDERS, new_id, order

ORDERS = SENDERS["orders"]
BAD_IDS = {
    "empty": "",
    "a space inside": "evt 1",
    "longer than 128": "e" * 129,
    "a NUL in percent": "evt%001",
    "a slash": "evt/1",
    "a quote": "evt'1",
    "accented, in UTF-8": "\u00e9vt".encode(),
    "bytes of no encoding": b"evt\xff\xfe",
    "a right-to-left mark": "evt\u202e1".encode(),
    "a full-width letter": "\uff45vt".encode(),
    "an escape for the log": b"evt\x1b[31m",
    "an encoded line break": "evt%0d%0aset-cookie",
    "a tab": "evt\t1",
}


def conflicts(receiver, event_id):
    return receiver.rows("SELECT * FROM landing.webhook_conflict WHERE event_id = %s", event_id)


@pytest.mark.parametrize("fault", BAD_IDS)
def test_an_id_that_is_none_is_refused(receiver, fault):
    body, given = order(), BAD_IDS[fault]
    answer = receiver.post(ORDERS, body, change=ORDERS.prove(body, given))
    # A control character is something that the HTTP parser itself refuses.
    is_control = isinstance(given, bytes) and given.isascii()
    assert answer.status == 400
    if not (is_control and receiver.address.prefix):
        assert answer.error == ("bad_request" if is_control else "bad_id")


def test_an_unsigned_id_that_is_none_is_nobodys_id(receiver):
    assert receiver.post(ORDERS, change={"webhook-id": "a b"}).status == 401


def test_an_event_without_an_id_is_refused(receiver):
    assert receiver.post(ORDERS, change={"webhook-id": None}).status == 401
    answer = receiver.post(SENDERS["token"], change={"webhook-id": None})
    assert (answer.status, answer.error) == (400, "bad_id")


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "content-type"])
def test_a_line_break_in_a_header_adds_no_header(receiver, name):
    smuggled = "x\r\nwebhook-id: smuggled\r\nx-more: 1"
    assert receiver.post(ORDERS, change={name: smuggled}).status in (400, 401, 415)
    assert receiver.stored("smuggled") == []


@pytest.mark.parametrize("event_id", ["a", "e" * 128, "Az09._:-", "0", "..", "-"])
def test_every_id_of_the_allowed_signs_is_taken(receiver, event_id):
    # The same body each time: the database is that of every form of the receiver.
    answer = receiver.post(ORDERS, b"{}", event_id=event_id)
    assert answer.status in (200, 202)
    assert answer.json["id"] == event_id
    assert len(receiver.stored(event_id)) == 1


def test_a_replayed_request_is_a_duplicate_of_the_first(receiver):
    event_id = new_id()
    request = receiver.write(ORDERS, event_id=event_id)
    first, *again = [receiver.ask(request) for _ in range(4)]
    assert (first.status, first.json["status"]) == (202, "accepted")
    assert [answer.status for answer in again] == [200, 200, 200]
    expected = {"status": "duplicate", "id": event_id, "inbox_id": first.json["inbox_id"]}
    assert [answer.json for answer in again] == [expected] * 3
    assert len(receiver.stored(event_id)) == 1


def test_the_same_event_signed_anew_is_a_duplicate(receiver):
    event_id, body = new_id(), order()
    answers = [receiver.post(ORDERS, body, event_id=event_id, timestamp=_seconds_ago(ago)) for ago in (9, 5)]
    assert [answer.status for answer in answers] == [202, 200]


def _seconds_ago(seconds):
    return str(int(time.time()) - seconds)


def test_an_id_belongs_to_its_source_alone(receiver):
    event_id, body = new_id(), order()
    senders = [ORDERS, SENDERS["globex/orders"], SENDERS["tolerant"]]
    assert [receiver.post(sender, body, event_id=event_id).status for sender in senders] == [202] * 3
    assert len({row["source_id"] for row in receiver.stored(event_id)}) == 3


def test_an_id_is_taken_by_its_letters_as_they_are(receiver):
    event_id = new_id()
    assert receiver.post(ORDERS, event_id=event_id).status == 202
    assert receiver.post(ORDERS, event_id=event_id.upper()).status == 202


def test_other_bytes_under_an_id_are_a_conflict_with_evidence(receiver):
    event_id, first_body, other_body = new_id(), order(), order(status="cancelled")
    first = receiver.post(ORDERS, first_body, event_id=event_id)
    other = receiver.post(ORDERS, other_body, event_id=event_id)
    assert (other.status, other.error) == (409, "id_conflict")
    [row] = receiver.stored(event_id)
    assert row["body"] == first_body
    [evidence] = conflicts(receiver, event_id)
    assert evidence["body"] == other_body
    assert evidence["policy"] == "reject"
    assert evidence["first_inbox_id"] == first.json["inbox_id"]
    assert evidence["source_id"] == row["source_id"]


def test_after_a_conflict_the_first_one_is_still_a_duplicate(receiver):
    event_id, body = new_id(), order()
    statuses = [
        receiver.post(ORDERS, each, event_id=event_id).status for each in (body, order(), body, order())
    ]
    assert statuses == [202, 409, 200, 409]


def test_a_source_may_keep_the_first_and_say_nothing(receiver):
    sender, event_id, body = SENDERS["keep-first"], new_id(), order()
    first = receiver.post(sender, body, event_id=event_id)
    other = receiver.post(sender, order(), event_id=event_id)
    assert (other.status, other.json["status"]) == (200, "duplicate")
    assert other.json["inbox_id"] == first.json["inbox_id"]
    [row] = receiver.stored(event_id)
    assert row["body"] == body
    assert [row["policy"] for row in conflicts(receiver, event_id)] == ["keep_first"]


def test_a_source_may_take_other_bytes_as_a_new_version(receiver):
    sender, event_id, bodies = SENDERS["new-version"], new_id(), [order(), order()]
    answers = [receiver.post(sender, body, event_id=event_id) for body in (*bodies, bodies[1])]
    assert [answer.status for answer in answers] == [202, 202, 200]
    assert [row["body"] for row in receiver.stored(event_id)] == bodies
    assert answers[1].json["inbox_id"] > answers[0].json["inbox_id"]


def test_a_refused_event_leaves_its_id_free(receiver):
    event_id, body = new_id(), order()
    assert receiver.post(ORDERS, b"{", event_id=event_id).status == 400
    assert receiver.post(ORDERS, body, event_id=event_id).status == 202
