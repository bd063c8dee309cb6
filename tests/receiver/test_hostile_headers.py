"""Heads of requests that are too large or that can be read in two ways."""

import pytest

from .rig import SENDERS, new_id, order
from .wire import chunked, write_request

ORDERS = SENDERS["orders"]
KIB = 1024
TWO_WAYS = {
    "a length and chunks": b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n",
    "chunks and a length": b"Transfer-Encoding: chunked\r\nContent-Length: %d\r\n",
    "two lengths": b"Content-Length: %d\r\nContent-Length: 3\r\n",
    "one length twice": b"Content-Length: %d\r\nContent-Length: %d\r\n",
    "a list of lengths": b"Content-Length: %d, %d\r\n",
    "a length with a plus": b"Content-Length: +%d\r\n",
    "a negative length": b"Content-Length: -%d\r\n",
    "a length in hex": b"Content-Length: 0x%x\r\n",
    "a length that wraps around": b"Content-Length: 18446744073709551617\r\n",
    "a length that is no number": b"Content-Length: many\r\n",
    "an empty length": b"Content-Length: \r\n",
    "a blank before the colon": b"Content-Length : %d\r\n",
    "an unknown transfer coding": b"Transfer-Encoding: xchunked\r\n",
    "chunks that are not last": b"Transfer-Encoding: chunked, identity\r\n",
    "chunks twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    "packed chunks": b"Transfer-Encoding: gzip, chunked\r\n",
    "a control character": b"Transfer-Encoding: \x0bchunked\r\n",
    "a folded line": b"Content-Length:\r\n %d\r\n",
}
BROKEN_CHUNKS = {
    "a size that is no number": b"zz\r\n{}\r\n0\r\n\r\n",
    "a negative size": b"-2\r\n{}\r\n0\r\n\r\n",
    "a size with a prefix": b"0x2\r\n{}\r\n0\r\n\r\n",
    "a size that wraps around": b"10000000000000002\r\n{}\r\n0\r\n\r\n",
    "more than the size says": b"2\r\n{}{}\r\n0\r\n\r\n",
    "no size": b"\r\n{}\r\n0\r\n\r\n",
}


def signed_head(receiver, event_id, body, *lines):
    """A good request whose length lines are ours."""
    headers = ORDERS.prove(body, event_id) | {"connection": "close"}
    return write_request(receiver.target(ORDERS), headers, body, extra=b"".join(lines))


def padding(count):
    """So many headers."""
    return {f"x-padding-{number}": "x" for number in range(count)}


@pytest.mark.parametrize("size", [17 * KIB, 64 * KIB, 1024 * KIB])
def test_a_header_that_is_too_large_is_refused(receiver, size):
    answer = receiver.post(ORDERS, change={"x-large": "x" * size})
    assert answer.status == 431
    assert answer.closes


def test_many_small_headers_are_as_bad_as_a_large_one(receiver):
    answer = receiver.post(ORDERS, change={f"x-{number}": "x" * 700 for number in range(40)})
    assert answer.status == 431
    assert answer.closes


@pytest.mark.parametrize("count", [65, 500, 5000])
def test_too_many_headers_are_refused(receiver, count):
    answer = receiver.post(ORDERS, change=padding(count))
    assert answer.status == 431
    assert answer.closes


def test_a_header_without_an_end_is_cut_before_it_fills_the_memory(receiver):
    with receiver.open() as wire:
        wire.send(b"POST /v1/in/acme/orders HTTP/1.1\r\nx-endless: ")
        for _ in range(64):
            if not wire.send_if_wanted(b"x" * 64 * KIB):
                break
        else:
            assert wire.read_to_the_end()[:12] in (b"", b"HTTP/1.1 431")


@pytest.mark.parametrize("size", [20 * KIB, 200 * KIB])
def test_a_very_long_address_is_no_source(receiver, size):
    answer = receiver.post(ORDERS, target="/v1/in/acme/" + "x" * size)
    assert answer.status in (401, 404, 414, 431)


def test_as_many_headers_as_are_allowed_pass(receiver):
    body = order()
    # Host and Content-Length come on top.
    headers = ORDERS.prove(body, new_id()) | {"connection": "close"}
    full = headers | padding(64 - 2 - len(headers))
    assert receiver.ask(write_request(receiver.target(ORDERS), full, body)).status == 202


def test_large_headers_within_the_limit_pass(receiver):
    assert receiver.post(ORDERS, change={"x-large": "x" * 15 * KIB}).status == 202


@pytest.mark.parametrize("fault", TWO_WAYS)
def test_a_length_that_can_be_read_in_two_ways_is_refused(receiver, fault):
    event_id, body = new_id(), order()
    lines = TWO_WAYS[fault]
    line = lines % ((len(body),) * lines.count(b"%")) if b"%" in lines else lines
    sent = signed_head(receiver, event_id, body, line).removesuffix(body)
    sent += chunked(body) if b"ransfer" in line else body
    answer = receiver.ask(sent)
    assert answer.status in (400, 501)
    assert receiver.stored(event_id) == []


@pytest.mark.parametrize("fault", BROKEN_CHUNKS)
def test_broken_chunks_store_nothing(receiver, fault):
    event_id = new_id()
    head = signed_head(receiver, event_id, b"{}", b"Transfer-Encoding: chunked\r\n").removesuffix(b"{}")
    answer = receiver.ask(head + BROKEN_CHUNKS[fault])
    assert answer.status == 400
    assert receiver.stored(event_id) == []


@pytest.mark.parametrize(
    "line", [b"no colon", b": no name", b"bad name: x", b"bad\x00name: x", b"x: a\x00b", b"x: a\rb"]
)
def test_a_broken_header_line_is_refused(receiver, line):
    event_id, body = new_id(), order()
    length = b"Content-Length: %d\r\n" % len(body)
    assert receiver.ask(signed_head(receiver, event_id, body, length, line + b"\r\n")).status == 400
    assert receiver.stored(event_id) == []


@pytest.mark.parametrize(
    "noise", [b"\x00" * 200, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"SSH-2.0-x\r\n", b"{}\r\n\r\n"]
)
def test_what_is_not_http_at_all_is_refused_or_cut(receiver, noise):
    with receiver.open() as wire:
        wire.send(noise)
        assert wire.read_to_the_end()[:12] in (b"", b"HTTP/1.1 400")
