"""Connections that say nothing, or too slowly, or more than one thing at a time.

The slow ones run all at once, before the first test that asks for one, and are only looked at afterwards.
"""

import contextlib
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from .rig import SENDERS, Sender, new_id, order
from .wire import ConnectionEnded, chunked, write_request

ORDERS = SENDERS["orders"]
CUT_WITHIN_SECONDS = 14
"""The limit is ten seconds and a sweep; the rest is for a busy machine."""
GIVEN_UP_AFTER_SECONDS = 18
HALF_HEAD = b"POST /v1/in/acme/orders HTTP/1.1\r\nHost: receiver.test\r\n"


def drip(wire, data, pause=1.0):
    """Send byte by byte until the server hangs up or answers; what it said, and after how long."""
    began = time.monotonic()
    for position in range(len(data)):
        if not wire.send_if_wanted(data[position : position + 1]) or not wire.is_silent(pause):
            break
        if time.monotonic() - began > GIVEN_UP_AFTER_SECONDS:
            return "", GIVEN_UP_AFTER_SECONDS
    return hear_out(wire, began)


def listen(wire, first=b""):
    """Send that and then nothing; what comes back, and after how long the server hangs up."""
    began = time.monotonic()
    wire.send(first)
    return hear_out(wire, began)


def hear_out(wire, began):
    """What the server says until it hangs up, and after how long that is."""
    wire.socket.settimeout(max(1.0, began + GIVEN_UP_AFTER_SECONDS - time.monotonic()))
    try:
        return wire.read_to_the_end().decode("latin-1"), time.monotonic() - began
    except TimeoutError:
        return "", GIVEN_UP_AFTER_SECONDS


def slow_cases(receiver):
    """Name -> what to do with a fresh connection."""
    body = order()
    whole = receiver.write(ORDERS, body)
    head = whole.removesuffix(body)
    headers = ORDERS.prove(b"", new_id()) | {"transfer-encoding": "chunked"}
    chunk_head = write_request(receiver.target(ORDERS), headers)
    unknown = receiver.write(Sender("unknown"), body).removesuffix(body)

    def after_a_good_one(wire):
        wire.send(whole)
        assert wire.read_answer().status in (200, 202)
        return listen(wire, HALF_HEAD)

    def empty_line_after_a_good_one(wire):
        wire.send(whole)
        assert wire.read_answer().status in (200, 202)
        return listen(wire, b"\r\n")

    def drip_after_a_refusal(wire):
        wire.send(write_request("/nowhere", {"content-length": "1000000"}))
        assert wire.read_answer().status == 404
        return drip(wire, b" " * 60)

    def drip_after(wire, first):
        wire.send(first)
        return drip(wire, b" " * 60)

    return {
        "silence": listen,
        "half a request line": lambda wire: listen(wire, b"POST /v1/"),
        "half a head": lambda wire: listen(wire, HALF_HEAD),
        "a head byte by byte": lambda wire: drip(wire, HALF_HEAD),
        "empty lines": lambda wire: drip(wire, b"\r\n" * 30),
        "half a head after a good request": after_a_good_one,
        "an empty line after a good request": empty_line_after_a_good_one,
        "a body after its refusal byte by byte": drip_after_a_refusal,
        "no body": lambda wire: listen(wire, head),
        "half a body": lambda wire: listen(wire, head + body[:50]),
        "a body byte by byte": lambda wire: drip_after(wire, head),
        "a body of nobody we know byte by byte": lambda wire: drip_after(wire, unknown),
        "half a chunk": lambda wire: listen(wire, chunk_head + b"ff\r\n{"),
        "a chunk size byte by byte": lambda wire: drip_after(wire, chunk_head + b"0000000"),
        "no end of the chunks": lambda wire: listen(wire, chunk_head + b"1\r\n{\r\n"),
    }


HEADS = [
    "silence",
    "half a request line",
    "half a head",
    "a head byte by byte",
    "empty lines",
    "half a head after a good request",
    "an empty line after a good request",
    "a body after its refusal byte by byte",
]
BODIES = [
    "no body",
    "half a body",
    "a body byte by byte",
    "a body of nobody we know byte by byte",
    "half a chunk",
    "no end of the chunks",
]


@pytest.fixture(scope="module")
def slow(stand_alone):
    """What became of every slow connection."""
    cases = slow_cases(stand_alone)

    def run(name):
        with stand_alone.open() as wire:
            return cases[name](wire)

    with ThreadPoolExecutor(len(cases)) as pool:
        return dict(zip(cases, pool.map(run, cases), strict=True))


@pytest.mark.parametrize("case", HEADS)
def test_what_does_not_come_is_not_waited_for(receiver, slow, case):
    said, seconds = slow[case]
    assert seconds < CUT_WITHIN_SECONDS
    assert said == "" or said.startswith("HTTP/1.1 408")


@pytest.mark.parametrize("case", BODIES)
def test_a_body_that_is_too_slow_is_refused(receiver, slow, case):
    said, seconds = slow[case]
    assert seconds < CUT_WITHIN_SECONDS
    assert said.startswith("HTTP/1.1 408")
    assert "connection: close" in said.lower()
    assert '"too_slow"' in said


def test_a_chunk_size_that_is_too_slow_is_not_waited_for(receiver, slow):
    assert slow["a chunk size byte by byte"][1] < CUT_WITHIN_SECONDS


def test_many_silent_connections_do_not_keep_others_out(receiver):
    with contextlib.ExitStack() as crowd:
        wires = [crowd.enter_context(receiver.open()) for _ in range(400)]
        for wire in wires[::2]:
            wire.send(HALF_HEAD)
        began = time.monotonic()
        assert receiver.post(ORDERS).status == 202
        assert time.monotonic() - began < 2


def test_requests_sent_in_one_go_are_answered_in_their_order(receiver):
    ids = [new_id() for _ in range(20)]
    with receiver.open() as wire:
        wire.send(b"".join(receiver.write(ORDERS, event_id=event_id) for event_id in ids))
        answers = [wire.read_answer() for _ in ids]
    assert [answer.json["id"] for answer in answers] == ids
    assert {answer.status for answer in answers} == {202}


def test_good_and_bad_requests_in_one_go_do_not_mix(receiver):
    good, again = new_id(), new_id()
    requests = [
        receiver.write(ORDERS, event_id=good),
        receiver.write(ORDERS, change={"webhook-signature": "v1,AAAA"}),
        receiver.write(ORDERS, b"{"),
        write_request("/nowhere", {}, b"{}"),
        receiver.write(ORDERS, event_id=again),
    ]
    with receiver.open() as wire:
        wire.send(b"".join(requests))
        answers = [wire.read_answer() for _ in requests]
    assert [answer.status for answer in answers] == [202, 401, 400, 404, 202]
    assert len(receiver.stored(good)) == len(receiver.stored(again)) == 1


def test_a_request_may_come_in_any_pieces(receiver):
    request = receiver.write(ORDERS)
    for size in (1, 7, 100):
        with receiver.open() as wire:
            for start in range(0, len(request), size):
                wire.send(request[start : start + size])
            assert wire.read_answer().status in (200, 202)


REFUSED_BEFORE_THEIR_BODY = {
    "no such address": lambda receiver, inner: write_request(
        "/nowhere", {"content-type": "application/json"}, inner
    ),
    "a wrong method": lambda receiver, inner: receiver.write(ORDERS, inner, method="PUT"),
    "a wrong media type": lambda receiver, inner: receiver.write(
        ORDERS, inner, change={"content-type": "text/plain"}
    ),
    "a packed body": lambda receiver, inner: receiver.write(
        ORDERS, inner, change={"content-encoding": "gzip"}
    ),
    "a stranger": lambda receiver, inner: receiver.write(Sender("unknown"), inner),
    "no JSON": lambda receiver, inner: receiver.write(ORDERS, inner),
    "a page": lambda receiver, inner: write_request("/livez", {}, inner, method="GET"),
    "too large": lambda receiver, inner: receiver.write(ORDERS, inner + b" " * 300_000),
    "too many headers": lambda receiver, inner: receiver.write(
        ORDERS, inner, change={f"x-{number}": "x" for number in range(80)}
    ),
    "too large a header": lambda receiver, inner: receiver.write(
        ORDERS, inner, change={"x-large": "x" * 40_000}
    ),
    "two lengths": lambda receiver, inner: receiver.write(
        ORDERS, inner, extra=b"Content-Length: 0\r\n", change={"content-length": str(len(inner))}
    ),
    "a length and chunks": lambda receiver, inner: receiver.write(
        ORDERS,
        b"0\r\n\r\n" + inner,
        change={"transfer-encoding": "chunked", "content-length": str(len(inner) + 5)},
    ),
    "broken chunks": lambda receiver, inner: receiver.write(
        ORDERS, b"zz\r\n\r\n" + inner, change={"transfer-encoding": "chunked"}
    ),
    "an unknown transfer coding": lambda receiver, inner: receiver.write(
        ORDERS, inner, change={"transfer-encoding": "xchunked"}
    ),
}


@pytest.mark.parametrize("fault", REFUSED_BEFORE_THEIR_BODY)
def test_a_request_hidden_in_a_refused_one_is_not_carried_out(receiver, fault):
    hidden = new_id()
    inner = receiver.write(ORDERS, event_id=hidden)
    with receiver.open() as wire:
        wire.send_if_wanted(REFUSED_BEFORE_THEIR_BODY[fault](receiver, inner))
        with contextlib.suppress(ConnectionEnded):
            wire.read_answer()
            # Either the connection is over, or it has understood where the first request ended.
            wire.send_if_wanted(receiver.write(ORDERS, change={"connection": "close"}))
            wire.read_to_the_end()
    assert receiver.post(ORDERS).status == 202
    assert receiver.stored(hidden) == []


@pytest.mark.parametrize("fault", ["no such address", "a wrong method", "a stranger", "no JSON", "a page"])
def test_after_a_refusal_the_connection_is_over_or_right(receiver, fault):
    event_id = new_id()
    with receiver.open() as wire:
        wire.send(
            REFUSED_BEFORE_THEIR_BODY[fault](receiver, order()) + receiver.write(ORDERS, event_id=event_id)
        )
        first = wire.read_answer()
        with contextlib.suppress(ConnectionEnded):
            second = wire.read_answer()
            assert (second.status, second.json["id"]) == (202, event_id)
    assert len(receiver.stored(event_id)) == (0 if first.closes else 1)


def test_a_request_after_broken_chunks_is_not_carried_out(receiver):
    hidden = new_id()
    headers = ORDERS.prove(b"{}", new_id()) | {"transfer-encoding": "chunked"}
    broken = write_request(receiver.target(ORDERS), headers) + b"1\r\n{}\r\n0\r\n\r\n"
    with receiver.open() as wire:
        wire.send_if_wanted(broken + receiver.write(ORDERS, event_id=hidden))
        assert wire.read_answer().status == 400
        wire.read_to_the_end()
    assert receiver.stored(hidden) == []


def test_nobody_is_upgraded_to_another_protocol(receiver):
    offers = [
        {
            "connection": "upgrade",
            "upgrade": "websocket",
            "sec-websocket-key": "x" * 22 + "==",
            "sec-websocket-version": "13",
        },
        {"connection": "upgrade, http2-settings", "upgrade": "h2c", "http2-settings": "AAMAAABkAAQAAP__"},
        {"connection": "upgrade", "upgrade": "TLS/1.0"},
    ]
    for offer in offers:
        with receiver.open() as wire:
            wire.send(write_request(receiver.target(ORDERS), offer, method="GET"))
            assert wire.read_answer(method="GET").status in (400, 403, 404, 405)


def test_a_half_closed_client_still_gets_its_answer(receiver):
    event_id = new_id()
    with receiver.open() as wire:
        wire.send(receiver.write(ORDERS, event_id=event_id, change={"connection": "close"}))
        wire.socket.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionEnded):
            assert wire.read_answer().status == 202


def test_chunks_and_plain_bodies_share_a_connection(receiver):
    body, event_id = order(), new_id()
    headers = ORDERS.prove(body, event_id) | {"transfer-encoding": "chunked"}
    in_chunks = write_request(receiver.target(ORDERS), headers) + chunked(body[:10], body[10:])
    with receiver.open() as wire:
        for request in (in_chunks, receiver.write(ORDERS), in_chunks):
            wire.send(request)
        assert [wire.read_answer().status for _ in range(3)] == [202, 202, 200]


def push(receiver, start: bytes, more: bytes, most: int) -> int:
    """Send `start`, then `more` again and again until the server hangs up; how many bytes it took."""
    address = receiver.address
    sent = 0
    wire = socket.create_connection((address.host, address.port), 20)
    with wire, contextlib.suppress(ConnectionError):
        wire.sendall(start)
        while sent < most:
            wire.sendall(more)
            sent += len(more)
    return sent


@pytest.mark.parametrize("trailer", [b"a:b\r\n" * 1000, b"x" * 6000])
def test_fields_after_the_body_are_not_taken_without_end(receiver, trailer):
    head = b"POST /v1/in/acme/orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    start = head + b"Transfer-Encoding: chunked\r\n\r\n0\r\na: "
    assert push(receiver, start, trailer, 40_000_000) < 20_000_000


def test_requests_are_not_taken_in_advance_without_end(receiver):
    requests = b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n" * 3000
    assert push(receiver, requests, requests, 40_000_000) < 20_000_000
