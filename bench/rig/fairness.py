"""One source floods at ten times its limit while another sends on: what the other one notices of it."""

import json
from collections import Counter
from collections.abc import Callable

from rig.receiver import ReceiverProcess
from rig.signed import Address
from rig.steady import Rhythm, run_steadily, start_steadily

LIMIT = {"rate_per_second": 100, "burst": 2000}
"""The defaults of a source."""
FLOOD_PER_SECOND = 1000
STEADY_PER_SECOND = 20
LEAD_SECONDS = 6
"""So long it takes until two processes have let the burst pass; then the limit holds."""


def measure_fairness(
    receiver: ReceiverProcess,
    flooding: Address,
    steady: Address,
    say: Callable[[str], None],
    *,
    phases: int,
    seconds: float,
) -> dict[str, object]:
    """Idle and flooded phases in turns; latencies of all phases of a kind are taken together."""
    run_steadily(receiver.port, steady, STEADY_PER_SECOND, 1)
    idle, burst, flooded, flood = Rhythm(), Rhythm(), Rhythm(), Counter[str]()
    for _ in range(phases):
        _add(idle, run_steadily(receiver.port, steady, STEADY_PER_SECOND, seconds))
        flood_process = start_steadily(receiver.port, flooding, FLOOD_PER_SECOND, LEAD_SECONDS + seconds + 1)
        _add(burst, run_steadily(receiver.port, steady, STEADY_PER_SECOND, LEAD_SECONDS))
        _add(flooded, run_steadily(receiver.port, steady, STEADY_PER_SECOND, seconds))
        told, _ = flood_process.communicate()
        flood.update(json.loads(told))
        say(f"fairness: idle p99 {idle.p99_ms} ms, under flood {flooded.p99_ms} ms; the flood got {flood}")
    everything = Rhythm()
    for part in (idle, burst, flooded):
        _add(everything, part)
    return {
        "p99_idle_ms": idle.p99_ms,
        "p99_while_the_burst_passes_ms": burst.p99_ms,
        "p99_under_flood_ms": flooded.p99_ms,
        "p99_ratio": round(flooded.p99_ms / idle.p99_ms, 2),
        # A stall of the disk hits two or three events in a row; of so few it may be all of the last percent.
        "p95_idle_ms": _find_part(idle, 0.95),
        "p95_under_flood_ms": _find_part(flooded, 0.95),
        "p50_idle_ms": _find_part(idle, 0.5),
        "p50_under_flood_ms": _find_part(flooded, 0.5),
        "requests_each": len(idle.taken_ms),
        "answers_429": everything.statuses[429],
        "non_2xx": everything.refused,
        "flood_statuses": dict(flood),
        "flood_times_limit": FLOOD_PER_SECOND / LIMIT["rate_per_second"],
        "workers": receiver.workers,
    }


def _add(total: Rhythm, part: Rhythm) -> None:
    total.statuses.update(part.statuses)
    total.taken_ms += part.taken_ms


def _find_part(rhythm: Rhythm, part: float) -> float:
    return round(sorted(rhythm.taken_ms)[int(len(rhythm.taken_ms) * part)], 2)
