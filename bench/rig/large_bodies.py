"""Many bodies of 8 MiB at once: half of them as fast as they are taken, half in small pieces. A program.

Each is sent once and given up when an answer comes or the connection breaks. Prints the statuses.
"""

import asyncio
import contextlib
import json
import sys
import time
from collections import Counter

import uvloop

from rig.signed import Address, make_ids
from rig.wire import FAILURES, read_head

BODY_BYTES = 8 * 2**20
PIECE = 64 * 1024
PAUSE_S = 0.5
"""Between the pieces of a slow body, which then would take longer than a receiver waits."""
LONGEST_S = 60


def make_large_body() -> bytes:
    """An event that only its size makes special; it compresses well, for the disk is not what is tested."""
    start, end = b'{"type": "custom", "data": {"name": "large", "text": "', b'"}}'
    return start + b"x" * (BODY_BYTES - len(start) - len(end)) + end


async def send_large(port: int, request: tuple[bytes, bytes], *, is_slow: bool) -> str:
    """Send one request until it is answered; what became of it, as a word."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return "not connected"
    sending = asyncio.create_task(_send_pieces(writer, *request, is_slow=is_slow))
    try:
        async with asyncio.timeout(LONGEST_S):
            return str(read_head(await reader.readuntil(b"\r\n\r\n"))[0])
    except FAILURES:
        return "connection broken"
    finally:
        sending.cancel()
        # uvloop says RuntimeError when the other side has hung up.
        with contextlib.suppress(asyncio.CancelledError, OSError, RuntimeError):
            await sending
        writer.close()


async def _send_pieces(writer: asyncio.StreamWriter, head: bytes, body: bytes, *, is_slow: bool) -> None:
    writer.write(head)
    for start in range(0, len(body), PIECE):
        writer.write(body[start : start + PIECE])
        await writer.drain()
        if is_slow:
            await asyncio.sleep(PAUSE_S)


async def send_all(port: int, requests: list[tuple[bytes, bytes]]) -> Counter[str]:
    """All of them at once."""
    sends = [send_large(port, request, is_slow=number % 2 == 0) for number, request in enumerate(requests)]
    return Counter(await asyncio.gather(*sends))


def main() -> None:
    """Port, path, key, how many; begins when a line comes in."""
    port, path, key, count = sys.argv[1:]
    address, body, now = Address(path, bytes.fromhex(key)), make_large_body(), int(time.time())
    ids = make_ids()
    requests = [(address.make_head(next(ids), now, body), body) for _ in range(int(count))]
    print("{}", flush=True)
    sys.stdin.readline()
    began = time.monotonic()
    outcomes = uvloop.run(send_all(int(port), requests))
    found = {"bodies": int(count), "outcomes": outcomes, "seconds": round(time.monotonic() - began, 1)}
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
