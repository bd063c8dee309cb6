"""uvicorn's HTTP protocol with a limit on everything that happens before an application is asked.

uvicorn keeps a connection that says nothing, or half a header, for ever, and takes headers of any size.
Here every connection that awaits something has a time at which it ends, headers have a most that they may
grow to, and so have connections. One sweep a second does it: a request costs no timer.
"""

import asyncio
import resource
import secrets
from typing import Any
from weakref import WeakSet

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from steadfast.webhooks.receiving.request import LARGEST_HEADERS
from steadfast.webhooks.refusals import Refused, describe_refusal

HEADER_SECONDS = 10.0
MOST_CONNECTIONS = 20_000
SPARE_FILES = 100
"""Files that the process needs for other things than connections."""
MOST_PIPELINED = 32
"""Requests that one connection may have waiting; each holds a hundred times what it was sent in."""
SWEEP_SECONDS = 1.0
_swept_loops: WeakSet[asyncio.AbstractEventLoop] = WeakSet()


class JoinedWrites:
    """A transport that sends what one turn of the loop writes in one go: head and body of an answer.

    Each of uvicorn's two writes is a call into the kernel, a third of what a request costs in all.
    """

    __slots__ = ("_loop", "_parts", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []

    def write(self, part: bytes) -> None:
        """Send with whatever else is written before the loop turns."""
        if not self._parts:
            self._loop.call_soon(self._send)
        self._parts.append(part)

    def write_whole(self, answer: bytes) -> None:
        """Send a whole answer now, unless a part of another one waits."""
        if self._parts:
            self._parts.append(answer)
        else:
            self._transport.write(answer)

    def close(self) -> None:
        """Send what was written, then end."""
        self._send()
        self._transport.close()

    def _send(self) -> None:
        if self._parts:
            self._transport.write(b"".join(self._parts))
            self._parts.clear()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class GuardedProtocol(HttpToolsProtocol):
    """One connection of a sender."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.refused: Refused | None = None
        self.is_in_headers = False
        self.header_total = 0
        self.silent_bytes = 0
        """What came of a body without being any of it: trailers, which nobody sends."""
        self.ends_at: float | None = None
        """When this connection ends, unless headers come by then; None while a request is answered."""
        self.header_bytes = 0
        self.stuck_until: float | None = None
        """When this connection ends, unless the sender has begun to read his answers by then."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Let the connection in, or send it away if there are too many."""
        self.writes = JoinedWrites(transport, self.loop)
        super().connection_made(self.writes)  # type: ignore[arg-type]
        self.ends_at = self.loop.time() + HEADER_SECONDS
        if self.loop not in _swept_loops:
            _swept_loops.add(self.loop)
            _sweep(self.loop, self.connections)
        if len(self.connections) > most_connections():
            self.refused = Refused("busy", retry_after=2)
            self.send_400_response("")

    def data_received(self, data: bytes) -> None:
        """Feed the parser; headers that do not end are counted here, the others by the application."""
        self.silent_bytes += len(data)
        super().data_received(data)
        if self._is_trailing():
            self.transport.abort()
        elif self.is_in_headers and not self.transport.is_closing():
            self.header_bytes += len(data)
            if self.header_bytes > LARGEST_HEADERS:
                self.refused = Refused("headers_too_large")
                self.send_400_response("")
        elif self.ends_at is not None:
            # Empty lines, or the rest of a body that was refused: no reason to wait as for a new request.
            self.ends_at = min(self.ends_at, self.loop.time() + HEADER_SECONDS)

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self.is_in_headers, self.header_bytes, self.silent_bytes = True, 0, 0
        self.ends_at = self.loop.time() + HEADER_SECONDS

    def on_headers_complete(self) -> None:
        """From here on the application's own limits hold."""
        self.note_headers()
        if len(self.pipeline) >= MOST_PIPELINED:
            self.refused = Refused("bad_request")
            # Raised through the parser, which then calls send_400_response.
            raise self.refused
        super().on_headers_complete()

    def pause_writing(self) -> None:
        """The sender does not read what he is answered."""
        super().pause_writing()
        self.stuck_until = self.loop.time() + HEADER_SECONDS

    def resume_writing(self) -> None:
        """He does."""
        super().resume_writing()
        self.stuck_until = None

    def note_headers(self) -> None:
        """Headers are not awaited any more."""
        self.is_in_headers, self.ends_at = False, None
        self.header_total, self.silent_bytes = len(self.headers), 0

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self.silent_bytes = 0
        super().on_body(body)

    def _is_trailing(self) -> bool:
        """Whether fields follow the body: they could grow for ever, and an endless one is never reported."""
        if self.is_in_headers or self.cycle is None or self.transport.is_closing():
            return False
        return len(self.headers) > self.header_total or self.silent_bytes > LARGEST_HEADERS

    def on_response_complete(self) -> None:
        """Begin what was sent meanwhile, or wait for the next request."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            # It ends when the answer was taken; nobody may take for ever.
            self.ends_at = self.loop.time() + HEADER_SECONDS
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif not self.is_in_headers:
            self.ends_at = self.loop.time() + self.timeout_keep_alive

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request, with a problem document as every other refusal."""
        refused = self.refused or Refused("bad_request")
        content = describe_refusal(refused, secrets.token_hex(8))
        lines = [
            STATUS_LINE[refused.refusal.status],
            b"content-type: application/problem+json\r\n",
            b"content-length: %d\r\n" % len(content),
            b"retry-after: %d\r\n" % refused.retry_after if refused.retry_after else b"",
            b"connection: close\r\n\r\n",
            content,
        ]
        self.transport.write(b"".join(lines))
        self.transport.close()


def _sweep(loop: asyncio.AbstractEventLoop, connections: set[Any]) -> None:
    """End the connections whose time is over, and look again in a second."""
    now = loop.time()
    for connection in list(connections):
        for end in (connection.ends_at, connection.stuck_until):
            if end is not None and end < now:
                connection.transport.abort()
    loop.call_later(SWEEP_SECONDS, _sweep, loop, connections)


def raise_file_limit() -> None:
    """Allow this process as many open files as the system lets it have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def most_connections() -> int:
    """How many senders may be connected at once, which open files bound too."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_CONNECTIONS if soft == resource.RLIM_INFINITY else min(MOST_CONNECTIONS, soft - SPARE_FILES)
