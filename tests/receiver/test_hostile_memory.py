"""Large bodies: who may make the receiver keep them, and how long the others wait."""

import re
import socket
import time
from contextlib import ExitStack, suppress

import pytest

from .rig import SENDERS, Sender, add_sender, new_id, new_slug, order
from .wire import wait_until, write_request

ORDERS = SENDERS["orders"]
LARGE = 8 * 2**20
BATCH = "/batch"


def begin_large(receiver, stack, headers, sender=ORDERS):
    """A connection that has sent all of a large batch but its last byte."""
    wire = stack.enter_context(receiver.open())
    request = write_request(
        receiver.target(sender, BATCH), headers | {"content-length": str(LARGE)}, b"x" * (LARGE - 1)
    )
    wire.send_if_wanted(request)
    return wire


def forged(sender=ORDERS):
    """Headers as of a signed request, with a signature that is none of ours."""
    return sender.prove(b"something else", new_id())


def held_by(receiver):
    """The bytes of large bodies that the receiver keeps, as of a second ago."""
    (line,) = re.findall(
        rb"^steadfast_webhook_body_bytes (\S+)$", receiver.get("/metrics").body, re.MULTILINE
    )
    return int(float(line))


def padded(size):
    return order() + b" " * (size - len(order()))


def test_strangers_with_large_bodies_take_no_room_from_anybody(receiver):
    with ExitStack() as stack:
        wires = [begin_large(receiver, stack, forged(), Sender("nobody")) for _ in range(6)]
        assert {receiver.post(ORDERS, padded(200_000)).status for _ in range(5)} == {202}
        for wire in wires:
            wire.send(b"x")
            assert wire.read_answer().status == 401


def test_who_knows_an_address_only_takes_the_room_of_its_source(receiver):
    # What other tests sent in part is forgotten by then.
    wait_until(lambda: held_by(receiver) == 0)
    with ExitStack() as stack:
        wires = [begin_large(receiver, stack, forged()) for _ in range(2)]
        # Sent is not yet read.
        wait_until(lambda: held_by(receiver) == 2 * (LARGE - 1))
        third = begin_large(receiver, stack, forged())
        assert third.read_answer().status == 503
        other = SENDERS["globex/orders"]
        assert receiver.post(other, padded(200_000)).status == 202
        assert receiver.post(ORDERS).status == 202
        for wire in wires:
            wire.send(b"x")
            assert wire.read_answer().status == 401
    assert receiver.post(ORDERS, padded(200_000)).status == 202


@pytest.mark.parametrize("sender", [SENDERS["token"], Sender("nobody"), ORDERS], ids=lambda each: each.slug)
def test_without_anything_that_could_be_proof_no_body_is_read(receiver, sender):
    headers = {
        "content-type": "application/json",
        "webhook-id": new_id(),
        "authorization": "Bearer whk_wrong",
    }
    headers |= {"content-length": "200000", "expect": "100-continue"}
    with receiver.open() as wire:
        wire.send(write_request(receiver.target(sender), headers))
        assert wire.read_answer().status == 401


@pytest.mark.parametrize("sender", [SENDERS["token"], Sender("nobody"), ORDERS], ids=lambda each: each.slug)
def test_what_could_be_proof_is_heard_out_whether_or_not_there_is_a_source(receiver, sender):
    headers = forged() | {"content-length": "10", "expect": "100-continue"}
    with receiver.open() as wire:
        wire.send(write_request(receiver.target(sender), headers))
        assert wire.read_answer().status == 100
        wire.send(b"0123456789")
        assert wire.read_answer().status == 401


@pytest.mark.parametrize("size", [1025, 100_000])
def test_a_small_limit_does_not_tell_a_stranger_that_there_is_a_source(receiver, size):
    tiny, body = SENDERS["tiny"], padded(size)
    assert receiver.post(tiny, body, change=forged(tiny)).status == 401
    assert receiver.post(tiny, body).status == 413


def test_a_large_body_costs_as_much_as_several_events(receiver):
    sender = Sender(new_slug("heavy"), auth="token", settings={"rate_per_second": 1, "burst": 21})
    add_sender(receiver.connection, sender)
    wait_until(lambda: receiver.post(sender).status == 202)
    statuses = [receiver.post(sender, padded(262_144)).status for _ in range(6)]
    assert statuses == [202] * 5 + [429]


def test_who_does_not_read_his_answers_is_sent_away(receiver):
    """He would keep a connection for ever, and what it holds."""
    with receiver.open() as wire:
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        request = b"GET /nothing HTTP/1.1\r\nhost: x\r\n\r\n"
        wire.socket.settimeout(1)
        began = time.monotonic()
        with suppress(OSError):
            while time.monotonic() - began < 30:
                with suppress(TimeoutError):
                    wire.socket.sendall(request * 100)
        assert time.monotonic() - began < 25


def test_a_type_without_an_end_is_not_remembered(receiver):
    event_id, body = new_id(), b'{"type":"%s","data":{}}' % (b"x" * 50_000)
    assert receiver.post(ORDERS, body, event_id=event_id).status == 202
    assert receiver.stored(event_id)[0]["event_type"] is None


def test_an_address_that_is_none_gets_an_answer_also_before_its_body(receiver):
    with receiver.open() as wire:
        wire.send(b"POST http://h:99999/ HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\n")
        assert wire.read_answer().status == 400
