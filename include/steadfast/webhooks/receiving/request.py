"""One HTTP request, read within limits: address, headers, body. Knows nothing of sources or signatures.

What a limit refuses is refused before it is read; large bodies count against the memory of the process.
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from steadfast.webhooks.refusals import Refused

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MOST_HEADERS = 64
LARGEST_HEADERS = 16 * 1024
BODY_SECONDS = 10
LATE = -1
UNCOUNTED_BYTES = 64 * 1024
"""A connection's own buffer is as large; only larger bodies count against the memory of all."""
MOST_BODY_BYTES = 32 * 2**20
MOST_OF_ONE = MOST_BODY_BYTES // 2
"""What one source may hold of it: whoever knows an address cannot shut out the others."""
SEPARATORS = len(b": \r\n")
Headers = dict[bytes, bytes]
_NOTHING = bytes(64 * 1024)


class Disconnected(Exception):
    """The sender hung up before the body was complete: nobody is left to answer."""


@dataclass
class Reading:
    """The bodies that one process is reading: what they hold together, and since when each is awaited."""

    held_bytes: int = 0
    held_of: dict[int, int] = field(default_factory=dict)
    """By source; only of those that hold any."""
    awaited: dict[asyncio.Task[Any], int] = field(default_factory=dict)
    second: int = 0

    def hold(self, source_id: int, size: int) -> None:
        """Count `size` more bytes that a source makes us keep: Refused with `busy` if there is no room."""
        held = self.held_of.get(source_id, 0) + size
        if held > MOST_OF_ONE or self.held_bytes + size > MOST_BODY_BYTES:
            raise Refused("busy", retry_after=1)
        self.held_of[source_id] = held
        self.held_bytes += size

    def release(self, source_id: int, size: int) -> None:
        """Count off what a source does not make us keep any more; `size` may be 0."""
        if not size:
            return
        self.held_bytes -= size
        self.held_of[source_id] -= size
        if not self.held_of[source_id]:
            del self.held_of[source_id]

    def end_late(self) -> None:
        """Wake the readers whose body has not come in time; called once a second.

        Cheaper than a timer for each request, of which next to none is late.
        """
        self.second += 1
        for task, since in list(self.awaited.items()):
            if since != LATE and self.second - since > BODY_SECONDS:
                self.awaited[task] = LATE
                task.cancel()


def read_headers(scope: Scope) -> Headers:
    """The headers: Refused if there are too many, or the length is said in two ways."""
    given: list[tuple[bytes, bytes]] = scope["headers"]
    found = dict(given)
    if len(found) < len(given):
        found = _read_repeated(given)
    address = len(scope.get("raw_path") or b"") + len(scope["query_string"])
    size = sum(map(len, found)) + sum(map(len, found.values())) + SEPARATORS * len(given)
    if len(given) > MOST_HEADERS or size + address > LARGEST_HEADERS:
        raise Refused("headers_too_large")
    if b"content-length" in found and b"transfer-encoding" in found:
        raise Refused("ambiguous_length")
    return found


def _read_repeated(given: list[tuple[bytes, bytes]]) -> Headers:
    """Headers of which some are said twice: all values count for the size, and two values say nothing."""
    if sum(len(name) + len(value) for name, value in given) > LARGEST_HEADERS:
        raise Refused("headers_too_large")
    found: Headers = {}
    for name, value in given:
        # One of the two may be read by somebody else.
        found[name] = b"" if found.get(name, value) != value else value
    return found


def check_media_type(headers: Headers, allowed: tuple[bytes, ...]) -> bytes:
    """The content type without its parameters: Refused if it is none of `allowed`, or encoded."""
    media_type = headers.get(b"content-type", b"")
    if media_type not in allowed:
        media_type = media_type.partition(b";")[0].strip().lower()
    encoding = headers.get(b"content-encoding")
    if media_type not in allowed or (encoding is not None and encoding.lower() != b"identity"):
        raise Refused("unsupported_media_type")
    return media_type


def check_length(headers: Headers, limit: int) -> None:
    """Refused if the sender says himself that the body is too large; nothing of it has been read."""
    length = headers.get(b"content-length", b"0")
    if not length.isdigit():
        raise Refused("ambiguous_length")
    if len(length) > 15 or int(length) > limit:
        raise Refused("too_large")


async def read_body(receive: Receive, reading: Reading, limit: int, source_id: int | None) -> bytes:
    """The whole body: Refused if it is too large or too slow, Disconnected if the sender hung up.

    Of a large one `size_held` bytes stay counted for the source until they are released. Nothing is kept
    of what nobody (None) sends.
    """
    task = asyncio.current_task()
    assert task is not None
    reading.awaited[task] = reading.second
    try:
        if source_id is None:
            return await _hear_out(receive, limit)
        message = await receive()
        part: bytes = message.get("body", b"")
        if message.get("more_body") or len(part) > UNCOUNTED_BYTES or message["type"] != "http.request":
            return await _read_parts(receive, message, reading, limit, source_id)
        if len(part) > limit:
            raise Refused("too_large")
        return part
    except asyncio.CancelledError:
        if reading.awaited[task] != LATE:
            raise
        task.uncancel()
        raise Refused("too_slow") from None
    finally:
        del reading.awaited[task]


def size_held(body: bytes) -> int:
    """How much of a body that was read is counted for its source."""
    return len(body) if len(body) > UNCOUNTED_BYTES else 0


async def _read_parts(
    receive: Receive, message: MutableMapping[str, Any], reading: Reading, limit: int, source_id: int
) -> bytes:
    parts: list[bytes] = []
    size = held = 0
    try:
        while message["type"] == "http.request":
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > limit:
                raise Refused("too_large")
            if size > UNCOUNTED_BYTES:
                reading.hold(source_id, size - held)
                held = size
            if not message.get("more_body"):
                # From here on it is the caller's.
                held = 0
                return b"".join(parts)
            message = await receive()
        raise Disconnected
    finally:
        if held:
            reading.release(source_id, held)
        # A refusal's traceback would keep them alive until the collector comes round.
        parts.clear()


async def _hear_out(receive: Receive, limit: int) -> bytes:
    """Take as long for nobody's body as for any other, without keeping it."""
    size, is_more = 0, True
    while is_more:
        message = await receive()
        if message["type"] != "http.request":
            raise Disconnected
        size += len(message.get("body", b""))
        if size > limit:
            raise Refused("too_large")
        is_more = message.get("more_body", False)
    # Of others the whole is looked through when it is here, so it must be now.
    digest = hmac.new(b"nobody", digestmod="sha256")
    for start in range(0, size, len(_NOTHING)):
        digest.update(_NOTHING[: size - start])
    digest.digest()
    return b""
