"""A crowd that never finishes: connections that send half a header and no more, or one byte a second.

A program of its own: it prints a line when the crowd is complete, holds it for the seconds it was given by
opening anew what the receiver ends, and prints what it saw.
"""

import asyncio
import contextlib
import json
import resource
import sys
import time
from dataclasses import dataclass, field

import uvloop

BEGINNING = b"POST /v1/in/bakery/shop HTTP/1.1\r\nhost: 127.0.0.1\r\nx-slow: "
OPENING_AT_ONCE = 200
SOURCE_ADDRESSES = 16
"""127.0.0.2 and on: the ports of one address would not do while ended connections linger."""
SPARE_FILES = 200


@dataclass
class Crowd:
    """The open connections, and what happened to the others."""

    open: set["SlowSender"] = field(default_factory=set)
    opened: int = 0
    most_open: int = 0
    ended_by_receiver: int = 0
    failed_to_open: int = 0


class SlowSender(asyncio.Protocol):
    """One connection; every second one is a trickler."""

    def __init__(self, crowd: Crowd) -> None:
        self.crowd = crowd
        self.is_trickling = crowd.opened % 2 == 0
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Begin a request."""
        self.transport = transport
        transport.write(BEGINNING)
        self.crowd.open.add(self)
        self.crowd.most_open = max(self.crowd.most_open, len(self.crowd.open))

    def connection_lost(self, exc: Exception | None) -> None:
        """The receiver has had enough."""
        self.crowd.open.discard(self)
        self.crowd.ended_by_receiver += 1


async def open_some(crowd: Crowd, port: int, count: int) -> None:
    """Open so many connections at once."""
    loop = asyncio.get_running_loop()

    async def open_one(number: int) -> None:
        source = (f"127.0.0.{2 + number % SOURCE_ADDRESSES}", 0)
        try:
            async with asyncio.timeout(10):
                await loop.create_connection(lambda: SlowSender(crowd), "127.0.0.1", port, local_addr=source)
        except (OSError, TimeoutError):
            crowd.failed_to_open += 1

    crowd.opened += count
    await asyncio.gather(*(open_one(crowd.opened + number) for number in range(count)))


async def trickle(crowd: Crowd) -> None:
    """One byte a second for those who trickle."""
    while True:
        await asyncio.sleep(1)
        for sender in list(crowd.open):
            if sender.is_trickling and sender.transport is not None and not sender.transport.is_closing():
                sender.transport.write(b"x")


async def hold_crowd(port: int, wanted: int, seconds: float) -> Crowd:
    """Fill up to `wanted`, say so, and keep it there."""
    crowd, full_since = Crowd(), None
    trickling = asyncio.create_task(trickle(crowd))
    gives_up_at = time.monotonic() + 120
    while full_since is None or time.monotonic() - full_since < seconds:
        missing = wanted - len(crowd.open)
        if missing > 0:
            await open_some(crowd, port, min(missing, OPENING_AT_ONCE))
        else:
            await asyncio.sleep(0.02)
        if full_since is None and (len(crowd.open) >= wanted or time.monotonic() > gives_up_at):
            full_since = time.monotonic()
            print(json.dumps({"open": len(crowd.open)}), flush=True)
    trickling.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await trickling
    return crowd


def main() -> None:
    """Port, how many, for how long."""
    port, wanted, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard - SPARE_FILES)
    crowd = uvloop.run(hold_crowd(port, wanted, seconds))
    found = {
        "wanted": wanted,
        "most_open": crowd.most_open,
        "opened": crowd.opened,
        "ended_by_receiver": crowd.ended_by_receiver,
        "failed_to_open": crowd.failed_to_open,
    }
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
