"""A sender with a rhythm: so many events a second, whatever the answers are. Also a program of its own.

A latency counts from the moment the event was due, so a receiver that stalls cannot hide it.
"""

import asyncio
import json
import math
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from rig.signed import Address, make_body, make_ids
from rig.wire import FAILURES, Wire

BODY_BYTES = 512
BENCH = Path(__file__).resolve().parents[1]


@dataclass
class Rhythm:
    """What a steady sender saw; status 0 is a broken connection."""

    statuses: Counter[int] = field(default_factory=Counter)
    taken_ms: list[float] = field(default_factory=list)

    @property
    def p99_ms(self) -> float:
        """The latency that 99 of 100 events kept."""
        return find_p99(self.taken_ms)

    @property
    def refused(self) -> dict[str, int]:
        """Answers other than 2xx, by status."""
        return {str(status): count for status, count in self.statuses.items() if not 200 <= status < 300}


def find_p99(values: Sequence[float]) -> float:
    """The smallest value that 99 % are not above."""
    ordered = sorted(values)
    return round(ordered[math.ceil(0.99 * len(ordered)) - 1], 2) if ordered else 0.0


async def send_steadily(port: int, address: Address, per_second: float, seconds: float) -> Rhythm:
    """Send at the rate over connections that stay open, as many as it takes."""
    rhythm, free, ids, body = Rhythm(), [Wire(port)], make_ids(), make_body(BODY_BYTES)
    began = time.monotonic()

    async def send(due: float) -> None:
        wire = free.pop() if free else Wire(port)
        try:
            status = await wire.post(address.make_request(next(ids), int(time.time()), body))
        except FAILURES:
            status = 0
        rhythm.statuses[status] += 1
        rhythm.taken_ms.append(1000 * (time.monotonic() - due))
        free.append(wire)

    sending: set[asyncio.Task[None]] = set()
    for number in range(int(per_second * seconds)):
        due = began + number / per_second
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        task = asyncio.create_task(send(due))
        sending.add(task)
        task.add_done_callback(sending.discard)
    await asyncio.gather(*sending)
    for wire in free:
        wire.close()
    return rhythm


def run_steadily(port: int, address: Address, per_second: float, seconds: float) -> Rhythm:
    """The same, to its end."""
    return uvloop.run(send_steadily(port, address, per_second, seconds))


def start_steadily(port: int, address: Address, per_second: float, seconds: float) -> subprocess.Popen[str]:
    """The same in a process of its own, which prints its statuses."""
    arguments = [str(port), address.path, address.key.hex(), str(per_second), str(seconds)]
    command = [sys.executable, "-m", "rig.steady", *arguments]
    return subprocess.Popen(command, cwd=BENCH, stdout=subprocess.PIPE, text=True)


def main() -> None:
    """Send as the command line says."""
    port, path, key, per_second, seconds = sys.argv[1:]
    address = Address(path, bytes.fromhex(key))
    rhythm = run_steadily(int(port), address, float(per_second), float(seconds))
    print(json.dumps({str(status): count for status, count in rhythm.statuses.items()}))


if __name__ == "__main__":
    main()
