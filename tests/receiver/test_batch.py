"""Many events in one request: an answer for each, in order, and no event spoils its neighbours."""

import json
import time
from pathlib import Path

import pytest

from .rig import SENDERS, Sender, new_id, new_secret, order

ORDERS, STRICT = SENDERS["orders"], SENDERS["strict"]
LINES = {"content-type": "application/x-ndjson"}
FORMS = ["array", "lines"]


def item(event_id=None, **data):
    """One event of a batch, as its own bytes."""
    event = json.loads(order(**data))
    return json.dumps({"id": event_id or new_id(), **event}).encode()


def id_of(raw):
    return json.loads(raw)["id"]


def send(receiver, items, form="array", sender=ORDERS, **more):
    """Post the items in one request."""
    if form == "lines":
        return receiver.post(sender, b"\n".join(items) + b"\n", tail="/batch", change=LINES, **more)
    return receiver.post(sender, b"[" + b", ".join(items) + b"]", tail="/batch", **more)


def results(answer):
    return answer.json["results"]


@pytest.mark.parametrize("form", FORMS)
def test_every_event_is_answered_in_its_place(receiver, form):
    items = [item() for _ in range(20)]
    answer = send(receiver, items, form)
    assert answer.status == 202
    assert [result["id"] for result in results(answer)] == [id_of(raw) for raw in items]
    assert {result["status"] for result in results(answer)} == {"accepted"}
    for raw, result in zip(items, results(answer), strict=True):
        [row] = receiver.stored(result["id"])
        assert (row["inbox_id"], row["body"].strip()) == (result["inbox_id"], raw)


@pytest.mark.parametrize("form", FORMS)
def test_a_batch_sent_again_is_all_duplicates(receiver, form):
    items = [item() for _ in range(10)]
    first, again = send(receiver, items, form), send(receiver, items, form)
    assert again.status in (200, 202)
    assert {result["status"] for result in results(again)} == {"duplicate"}
    assert [r["inbox_id"] for r in results(again)] == [r["inbox_id"] for r in results(first)]


def test_a_batch_may_hold_known_and_new_events(receiver):
    known, new = item(), item()
    send(receiver, [known])
    answer = send(receiver, [known, new])
    assert answer.status == 202
    assert [result["status"] for result in results(answer)] == ["duplicate", "accepted"]


BAD_ITEMS = {
    "no id": (b'{"type": "order"}', "bad_id"),
    "an empty id": (b'{"id": "", "type": "order"}', "bad_id"),
    "a number as id": (b'{"id": 7, "type": "order"}', "bad_id"),
    "null as id": (b'{"id": null, "type": "order"}', "bad_id"),
    "an object as id": (b'{"id": {}, "type": "order"}', "bad_id"),
    "an id with blanks": (b'{"id": "a b", "type": "order"}', "bad_id"),
    "an id with a NUL": (b'{"id": "a\\u0000b", "type": "order"}', "bad_id"),
    "an id with a line break": (b'{"id": "a\\nb", "type": "order"}', "bad_id"),
    "an id with half of a pair": (b'{"id": "a\\ud800", "type": "order"}', "bad_id"),
    "an id in Unicode": ('{"id": "évt", "type": "order"}'.encode(), "bad_id"),
    "an id that is too long": (b'{"id": "' + b"e" * 129 + b'", "type": "order"}', "bad_id"),
    "an array": (b"[]", ("bad_id", "invalid_json")),
    "a text": (b'"text"', ("bad_id", "invalid_json")),
    "null": (b"null", ("bad_id", "invalid_json")),
    "a number": (b"7", ("bad_id", "invalid_json")),
    "nested too deeply": (b'{"id": "deep-one", "data": ' + b"[" * 64 + b"]" * 64 + b"}", "too_deep"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("fault", BAD_ITEMS)
def test_a_bad_event_is_refused_and_its_neighbours_are_kept(receiver, fault, form):
    bad, expected = BAD_ITEMS[fault]
    before, after = item(), item()
    answer = send(receiver, [before, bad, after], form)
    assert answer.status == 422
    assert [result["status"] for result in results(answer)] == ["accepted", "refused", "accepted"]
    assert results(answer)[1]["error"] in expected
    assert len(receiver.stored(id_of(before))) == len(receiver.stored(id_of(after))) == 1


@pytest.mark.parametrize(
    "bad", [b"{", b'{"id": "x-1"', b"NaN", b"\xff", b'{"id": "x-2", "data": NaN}', b'{"id":"x-3"} {}']
)
def test_a_broken_line_does_not_spoil_the_other_lines(receiver, bad):
    before, after = item(), item()
    answer = send(receiver, [before, bad, after], "lines")
    assert answer.status == 422
    assert [result["status"] for result in results(answer)] == ["accepted", "refused", "accepted"]
    assert results(answer)[1]["error"] in ("invalid_json", "bad_id")


def test_what_is_sent_again_after_a_refusal_is_a_duplicate(receiver):
    good, bad = item(), b'{"id": "a b"}'
    send(receiver, [good, bad])
    answer = send(receiver, [good, bad])
    assert answer.status == 422
    assert [result["status"] for result in results(answer)] == ["duplicate", "refused"]


def test_the_same_event_twice_in_a_batch_is_stored_once(receiver):
    twin = item()
    answer = send(receiver, [twin, item(), twin])
    assert answer.status == 202
    first, _, second = results(answer)
    assert [first["status"], second["status"]] == ["accepted", "duplicate"]
    assert first["inbox_id"] == second["inbox_id"]
    assert len(receiver.stored(id_of(twin))) == 1


def test_other_bytes_under_one_id_in_a_batch_are_a_conflict(receiver):
    event_id = new_id()
    first, other = item(event_id), item(event_id)
    answer = send(receiver, [first, other])
    assert answer.status == 422
    assert results(answer)[0]["status"] == "accepted"
    assert results(answer)[1]["error"] == "id_conflict"
    [row] = receiver.stored(event_id)
    assert row["body"] == first
    query = "SELECT body FROM landing.webhook_conflict WHERE event_id = %s"
    assert receiver.rows(query, event_id) == [{"body": other}]


def test_a_batch_and_single_events_share_their_ids(receiver):
    raw = item()
    assert receiver.post(ORDERS, raw, event_id=id_of(raw)).status == 202
    assert results(send(receiver, [raw]))[0]["status"] == "duplicate"
    assert results(send(receiver, [item(id_of(raw))]))[0]["error"] == "id_conflict"


EMPTY = {
    "an empty array": (b"[]", {}),
    "nothing": (b"", {}),
    "no lines": (b"", LINES),
    "blank lines": (b"\n\n \n", LINES),
    "an object": (b'{"id": "x"}', {}),
    "a text": (b'"x"', {}),
    "null": (b"null", {}),
    "an array cut off": (b"[{}", {}),
    "an array and more": (b"[{}] x", {}),
    "a byte order mark": (b"\xef\xbb\xbf[{}]", {}),
    "NaN": (b"[NaN]", {}),
    "100000 open brackets": (b"[" * 100_000, {}),
}


@pytest.mark.parametrize("case", EMPTY)
def test_what_is_no_batch_is_refused_as_a_whole(receiver, case):
    body, change = EMPTY[case]
    answer = receiver.post(ORDERS, body, tail="/batch", change=change)
    assert answer.status == 400
    assert answer.error in ("invalid_batch", "invalid_json", "too_deep")


def test_what_is_not_utf_8_is_never_stored(receiver):
    assert receiver.post(ORDERS, b'["\xff"]', tail="/batch").status in (400, 422)


@pytest.mark.parametrize("form", FORMS)
def test_a_thousand_events_are_a_batch(receiver, form):
    items = [item() for _ in range(1000)]
    answer = send(receiver, items, form)
    assert answer.status == 202
    assert len(results(answer)) == 1000
    ids = [id_of(raw) for raw in items]
    query = "SELECT count(DISTINCT event_id) AS found FROM landing.webhook_inbox WHERE event_id = ANY(%s)"
    assert receiver.rows(query, ids) == [{"found": 1000}]


@pytest.mark.parametrize("form", FORMS)
def test_one_more_is_too_many(receiver, form):
    items = [item() for _ in range(1001)]
    answer = send(receiver, items, form)
    assert answer.status == 413
    assert receiver.stored(id_of(items[0])) == []


@pytest.mark.parametrize("change", [{}, LINES], ids=FORMS)
def test_far_too_many_are_counted_before_they_are_built(receiver, change):
    body = b"\n".join([b"1"] * 3_000_000) if change else b"[" + b"1," * 3_000_000 + b"1]"
    before, began = memory_of(receiver), time.monotonic()
    assert receiver.post(ORDERS, body, tail="/batch", change=change).status == 413
    assert time.monotonic() - began < 2
    assert memory_of(receiver) - before < 100


def memory_of(receiver):
    """The most that the receiver has ever held, in MiB."""
    status = Path(f"/proc/{receiver.process.pid}/status").read_text("ascii")
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def test_a_batch_may_be_larger_than_one_event_of_its_source(receiver):
    items = [item(name="x" * 100_000) for _ in range(20)]
    assert send(receiver, items).status == 202
    large = item(name="x" * 300_000)
    answer = send(receiver, [items[0], large])
    assert answer.status == 422
    assert [result["status"] for result in results(answer)] == ["duplicate", "refused"]
    assert results(answer)[1]["error"] == "too_large"


def test_a_batch_of_nine_megabytes_is_too_large(receiver):
    with receiver.open() as wire:
        wire.send(
            receiver.write(
                ORDERS, tail="/batch", change={"content-length": "9000000", "expect": "100-continue"}
            )
        )
        answer = wire.read_answer()
    assert (answer.status, answer.closes) == (413, True)


def test_lines_may_end_as_on_windows(receiver):
    items = [item(), item()]
    answer = receiver.post(ORDERS, b"\r\n".join(items) + b"\r\n", tail="/batch", change=LINES)
    assert answer.status == 202


@pytest.mark.parametrize("form", FORMS)
def test_a_strict_source_names_what_each_event_lacks(receiver, form):
    items = [item(), item(status="stolen"), b'{"id": "twice", "a": 1, "a": 2}']
    answer = send(receiver, items, form, sender=STRICT)
    assert answer.status == 422
    good, against, twice = results(answer)
    assert good["status"] == "accepted"
    assert against["error"] == "schema_violation" and "status" in against["detail"]
    assert twice["error"] == "duplicate_key"


def test_text_that_cannot_be_held_does_not_spoil_the_batch(receiver):
    odd = [
        b'{"id": "%s", "type": "custom", "data": "\\u%s"}' % (new_id().encode(), code)
        for code in (b"0000", b"d800")
    ]
    items = [item(), *odd, item()]
    answer = send(receiver, items)
    assert answer.status == 202
    assert [receiver.stored(id_of(raw))[0]["is_text_ok"] for raw in items] == [True, False, False, True]


def test_a_batch_of_a_stranger_gets_the_one_answer(receiver):
    single = receiver.post(Sender("unknown"))
    for sender in (Sender("unknown"), SENDERS["switched-off"], ORDERS):
        answer = send(receiver, [item()], sender=sender, secret=new_secret())
        assert answer.status == 401
        assert {**answer.json, "request_id": ""} == {**single.json, "request_id": ""}


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", None])
def test_a_batch_must_say_what_it_is(receiver, kind):
    assert receiver.post(ORDERS, b"[]", tail="/batch", change={"content-type": kind}).status == 415


def test_a_batch_needs_the_proof_of_its_sender_for_the_whole_body(receiver):
    items = [item(), item()]
    body = b"[" + b",".join(items) + b"]"
    proof = ORDERS.prove(body, new_id())
    answer = receiver.post(ORDERS, b"[" + items[0] + b"]", tail="/batch", change=proof)
    assert answer.status == 401


def test_a_token_sends_batches_too(receiver):
    assert send(receiver, [item()], sender=SENDERS["token"]).status == 202
