"""As many signed posts as a server takes: by wrk, or by a small client of our own where there is no wrk.

Every event is new; signatures are made before. wrk's percentiles are corrected for what waited unsent.
"""

import asyncio
import json
import shutil
import statistics
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from rig.signed import Address, make_body, make_ids
from rig.wire import FAILURES, Wire

THREADS = 2
MOST_A_SECOND = {True: 16_000, False: 8_000}
"""More than any receiver here takes, with keep-alive and without: so many ids are signed for a second."""
MOST_BYTES_A_SECOND = 300_000_000
SCRIPT = Path(__file__).with_name("post.lua")


@dataclass(frozen=True)
class Shape:
    """How a server is loaded."""

    connections: int
    body_bytes: int
    is_keep_alive: bool
    seconds: float

    @property
    def connection(self) -> str:
        """As the header says it."""
        return "keep-alive" if self.is_keep_alive else "close"


@dataclass(frozen=True)
class Load:
    """What came back."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    non_2xx: int
    socket_errors: int

    @property
    def per_second(self) -> float:
        """Answers a second."""
        return self.requests / self.seconds


def find_tool() -> str:
    """The load generator that is used."""
    return "wrk" if shutil.which("wrk") else "asyncio"


@dataclass(frozen=True)
class Ammunition:
    """Events that are signed and waiting in files, for one shape."""

    address: Address
    shape: Shape
    directory: Path
    body: bytes = field(repr=False)
    signed: list[tuple[str, int, str]] = field(repr=False)


def prepare_load(address: Address, shape: Shape, directory: Path) -> Ammunition:
    """Sign more events than will be sent."""
    body, now = make_body(shape.body_bytes), int(time.time())
    a_second = min(MOST_A_SECOND[shape.is_keep_alive], MOST_BYTES_A_SECOND // shape.body_bytes)
    ids = make_ids()
    wanted = [next(ids) for _ in range(int(a_second * (shape.seconds + 0.5)))]
    signed = [(event_id, now, address.sign(event_id, now, body)) for event_id in wanted]
    directory.mkdir(exist_ok=True)
    (directory / "body").write_bytes(body)
    for thread in range(THREADS):
        lines = [f"{event_id} {at} {signature}\n" for event_id, at, signature in signed[thread::THREADS]]
        (directory / f"signed.{thread}").write_text("".join(lines), "ascii")
    return Ammunition(address, shape, directory, body, signed)


def fire(prepared: Ammunition, port: int) -> Load:
    """Send for as long as the shape says; RuntimeError if there were too few ids, so that some came twice."""
    is_wrk = find_tool() == "wrk"
    load = _fire_wrk(prepared, port) if is_wrk else uvloop.run(_fire_own(prepared, port))
    if load.requests + prepared.shape.connections > len(prepared.signed):
        raise RuntimeError(f"{len(prepared.signed)} signed events were too few: raise MOST_A_SECOND")
    return load


def _fire_wrk(prepared: Ammunition, port: int) -> Load:
    shape = prepared.shape
    options = [f"-t{THREADS}", f"-c{shape.connections}", f"-d{shape.seconds:.0f}s", "--timeout", "20s"]
    script = ["-s", str(SCRIPT), f"http://127.0.0.1:{port}"]
    arguments = [str(prepared.directory), prepared.address.path, shape.connection]
    done = subprocess.run(
        ["wrk", *options, *script, *arguments], capture_output=True, text=True, check=True
    ).stdout
    (line,) = [line for line in done.splitlines() if line.startswith("RESULT ")]
    return Load(**json.loads(line.removeprefix("RESULT ")))


async def _fire_own(prepared: Ammunition, port: int) -> Load:
    shape, waiting = prepared.shape, iter(prepared.signed)
    statuses: Counter[int] = Counter()
    taken_ms: list[float] = []
    began = time.monotonic()

    async def send() -> None:
        wire = Wire(port, shape.is_keep_alive)
        while time.monotonic() - began < shape.seconds:
            sent_at = time.monotonic()
            try:
                statuses[await wire.post(_join(prepared, *next(waiting)))] += 1
            except FAILURES:
                statuses[0] += 1
            taken_ms.append(1000 * (time.monotonic() - sent_at))
        wire.close()

    await asyncio.gather(*(send() for _ in range(shape.connections)))
    answered = statuses.total() - statuses[0]
    good = statuses[200] + statuses[202]
    parts = statistics.quantiles(taken_ms, n=100)
    seconds = time.monotonic() - began
    return Load(answered, seconds, parts[49], parts[98], answered - good, statuses[0])


def _join(prepared: Ammunition, event_id: str, at: int, signature: str) -> bytes:
    head = (
        f"POST {prepared.address.path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        f"connection: {prepared.shape.connection}\r\ncontent-length: {len(prepared.body)}\r\n"
        f"webhook-id: {event_id}\r\nwebhook-timestamp: {at}\r\nwebhook-signature: {signature}\r\n\r\n"
    )
    return head.encode() + prepared.body
