"""Bodies that are too large, and clients that ask first."""

import pytest

from .rig import SENDERS, new_id, order
from .wire import chunked, write_request

ORDERS = SENDERS["orders"]
LIMIT = 262_144


def padded(size):
    """An event of exactly that many bytes."""
    return order() + b" " * (size - len(order()))


def in_chunks(receiver, sender, body, *, event_id=None, piece=16 * 1024):
    """The request with its body in chunks."""
    pieces = [body[start : start + piece] for start in range(0, len(body), piece)]
    headers = sender.prove(body, event_id or new_id()) | {"transfer-encoding": "chunked"}
    return write_request(receiver.target(sender), headers) + chunked(*pieces)


def test_a_body_as_large_as_allowed_is_stored_byte_for_byte(receiver):
    event_id, body = new_id(), padded(LIMIT)
    assert receiver.post(ORDERS, body, event_id=event_id).status == 202
    assert receiver.stored(event_id)[0]["body"] == body


def test_a_body_in_chunks_is_stored_byte_for_byte(receiver):
    event_id, body = new_id(), padded(100_000)
    assert receiver.ask(in_chunks(receiver, ORDERS, body, event_id=event_id, piece=999)).status == 202
    assert receiver.stored(event_id)[0]["body"] == body


def test_one_byte_too_many_is_too_large(receiver):
    event_id = new_id()
    answer = receiver.post(ORDERS, padded(LIMIT + 1), event_id=event_id)
    assert (answer.status, answer.error) == (413, "too_large")
    assert answer.closes
    assert receiver.stored(event_id) == []


@pytest.mark.parametrize("length", [LIMIT + 1, 2**62])
def test_the_length_alone_is_enough_to_refuse(receiver, length):
    request = receiver.write(ORDERS, change={"content-length": str(length)})
    with receiver.open() as wire:
        wire.send(request)
        answer = wire.read_answer()
        assert (answer.status, answer.error) == (413, "too_large")
        assert answer.closes
        assert wire.read_to_the_end() == b""


def test_a_client_that_asks_first_is_refused_before_it_sends(receiver):
    change = {"content-length": "9000000", "expect": "100-continue"}
    head, _, _ = receiver.write(ORDERS, change=change).partition(b"\r\n\r\n")
    with receiver.open() as wire:
        wire.send(head + b"\r\n\r\n")
        answer = wire.read_answer()
        assert answer.status == 413
        assert answer.closes
        assert wire.read_to_the_end() == b""


@pytest.mark.parametrize("change", [{"content-type": "text/plain"}, {"content-encoding": "gzip"}])
def test_a_client_that_asks_first_hears_of_other_faults_too(receiver, change):
    head, _, _ = receiver.write(ORDERS, change={"expect": "100-continue", **change}).partition(b"\r\n\r\n")
    with receiver.open() as wire:
        wire.send(head + b"\r\n\r\n")
        assert wire.read_answer().status == 415


def test_a_client_that_asks_first_is_told_to_go_on(receiver):
    body = order()
    head, _, _ = receiver.write(ORDERS, body, change={"expect": "100-continue"}).partition(b"\r\n\r\n")
    with receiver.open() as wire:
        wire.send(head + b"\r\n\r\n")
        assert wire.read_answer().status == 100
        wire.send(body)
        assert wire.read_answer().status == 202


def test_chunks_are_counted_while_they_come(receiver):
    event_id = new_id()
    request = in_chunks(receiver, ORDERS, padded(LIMIT + 1), event_id=event_id).removesuffix(b"0\r\n\r\n")
    with receiver.open() as wire:
        wire.send_if_wanted(request)
        answer = wire.read_answer()
        assert (answer.status, answer.error) == (413, "too_large")
        assert answer.closes
        assert wire.read_to_the_end() == b""
    assert receiver.stored(event_id) == []


def test_one_endless_chunk_is_counted_too(receiver):
    headers = ORDERS.prove(b"", new_id()) | {"transfer-encoding": "chunked"}
    with receiver.open() as wire:
        wire.send(write_request(receiver.target(ORDERS), headers) + b"7fffffff\r\n" + b"x" * LIMIT)
        assert wire.is_silent(0.2)
        wire.send(b"x")
        assert wire.read_answer().status == 413


@pytest.mark.parametrize("size", [LIMIT + 1, 1024 * 1024, 4 * 1024 * 1024])
def test_a_client_that_sends_all_before_it_listens_still_learns_why(receiver, size):
    answers = [receiver.post(ORDERS, padded(size)) for _ in range(3)]
    assert {answer.status for answer in answers} == {413}


def test_each_source_has_its_own_limit(receiver):
    tiny = SENDERS["tiny"]
    assert receiver.post(tiny, padded(1024)).status == 202
    assert receiver.post(tiny, padded(1025)).status == 413


def test_no_chunk_size_is_too_small(receiver):
    event_id, body = new_id(), order()
    assert receiver.ask(in_chunks(receiver, ORDERS, body, event_id=event_id, piece=1)).status == 202
    assert receiver.stored(event_id)[0]["body"] == body


def test_what_follows_the_last_chunk_is_no_header(receiver):
    event_id, body = new_id(), order()
    request = in_chunks(receiver, ORDERS, body, event_id=event_id)
    trailer = b"0\r\nwebhook-id: other\r\ncontent-length: 1\r\n\r\n"
    answer = receiver.ask(request.removesuffix(b"0\r\n\r\n") + trailer)
    assert answer.status in (202, 400)
    assert receiver.stored("other") == []
