"""A small HTTP client that keeps count: one connection, whole requests as bytes, the status of the answer."""

import asyncio
import contextlib
from dataclasses import dataclass

ANSWER_SECONDS = 20.0
LARGEST_ANSWER_HEAD = 64 * 1024
FAILURES = (OSError, asyncio.IncompleteReadError, TimeoutError)
"""What a broken connection looks like from here."""


@dataclass
class Wire:
    """A connection to a port of this machine, opened at the first request and again after a failure."""

    port: int
    is_keep_alive: bool = True
    _reader: asyncio.StreamReader | None = None
    _writer: asyncio.StreamWriter | None = None

    async def post(self, request: bytes) -> int:
        """Send a request and return the status of its answer; one of FAILURES if there is none."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._exchange(request)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Hang up."""
        if self._writer is not None:
            with contextlib.suppress(OSError):
                self._writer.close()
        self._reader = self._writer = None

    async def _exchange(self, request: bytes) -> int:
        if self._reader is None or self._writer is None:
            opened = await asyncio.open_connection("127.0.0.1", self.port, limit=LARGEST_ANSWER_HEAD)
            self._reader, self._writer = opened
        self._writer.write(request)
        await self._writer.drain()
        status, length, is_last = read_head(await self._reader.readuntil(b"\r\n\r\n"))
        await self._reader.readexactly(length)
        if is_last or not self.is_keep_alive:
            self.close()
        return status


def read_head(head: bytes) -> tuple[int, int, bool]:
    """Status, length of the content, and whether the connection ends."""
    lines = head.lower().split(b"\r\n")
    fields = dict(line.split(b":", 1) for line in lines[1:] if b":" in line)
    is_last = fields.get(b"connection", b"").strip() == b"close"
    return int(lines[0].split(b" ")[1]), int(fields.get(b"content-length", b"0")), is_last
