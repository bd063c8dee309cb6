"""A server that answers slowly, endlessly or never is left in time; it is made of bare sockets."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from steadfast.errors import SourceUnavailable
from steadfast.webhooks.n8n import client as n8n
from steadfast.webhooks.n8n.answers import N8nServer
from steadfast.webhooks.n8n.client import open_n8n

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
ROUNDS = 150
"""Three seconds of dripping: a client that waits for the end fails its test, and does not hang."""


@pytest.fixture
def serve():
    """A function that starts a server which says `first` and then repeats `drop` until nobody listens."""
    is_over = threading.Event()
    listeners, threads = [], []

    def answer(listener: socket.socket, first: bytes, drop: bytes, pause: float) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(65536)
                drip(connection, first, drop, pause)

    def drip(connection: socket.socket, first: bytes, drop: bytes, pause: float) -> None:
        try:
            connection.sendall(first)
            for _ in range(ROUNDS):
                if is_over.wait(pause):
                    return
                connection.sendall(drop)
        except OSError:
            return

    def start(first: bytes, drop: bytes, pause: float = 0.02) -> N8nServer:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        thread = threading.Thread(target=answer, args=(listener, first, drop, pause), daemon=True)
        threads.append(thread)
        thread.start()
        return N8nServer(f"http://127.0.0.1:{listener.getsockname()[1]}", "key", timeout_s=5)

    yield start
    is_over.set()
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
    for thread in threads:
        thread.join()


@pytest.fixture
def hurried(monkeypatch) -> Iterator[None]:
    monkeypatch.setattr(n8n, "ANSWER_SECONDS", 0.3)


@pytest.mark.parametrize(
    ("first", "drop"),
    [
        (b"", b""),
        (OK, b"X-More: x\r\n"),
        (b"HTTP/1.1 102 Processing\r\n\r\n", b"HTTP/1.1 102 Processing\r\n\r\n"),
        (CHUNKED, b"1\r\nx\r\n"),
        (OK + b"Content-Length: 100000\r\n\r\n", b"x"),
        (b"HTTP/1.1 500 No\r\nContent-Length: 100000\r\n\r\n", b"x"),
    ],
    ids=["nothing", "headers", "interim answers", "chunks", "body", "refusal"],
)
def test_what_drips_is_left_when_its_time_is_over(serve, hurried, first, drop):
    begun = time.monotonic()
    with pytest.raises(SourceUnavailable, match="needed over"), open_n8n(serve(first, drop)) as client:
        client.newest_id()
    assert time.monotonic() - begun < 2


def test_an_answer_without_end_is_left_when_it_is_too_large(serve, monkeypatch):
    monkeypatch.setattr(n8n, "LARGEST_LIST", 100_000)
    server = serve(CHUNKED, b"10000\r\n" + b"x" * 65536 + b"\r\n", pause=0)
    with pytest.raises(SourceUnavailable, match="more than 100000 bytes"), open_n8n(server) as client:
        client.newest_id()
