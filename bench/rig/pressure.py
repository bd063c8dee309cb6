"""What the receiver holds in memory while a crowd hangs on it, and whether an honest sender gets through."""

import json
import subprocess
import sys
from collections.abc import Callable

from rig.process_tree import PeakRss, read_rss_mb
from rig.receiver import ReceiverProcess
from rig.signed import Address
from rig.steady import BENCH, run_steadily

SLOW_CONNECTIONS = 10_000
LARGE_BODIES = 1_000
LARGE_LIMIT = {"max_bytes": 8 * 2**20, "rate_per_second": 10_000, "burst": 1_000_000}
STEADY_PER_SECOND = 20


def measure_pressure(
    receiver: ReceiverProcess,
    large: Address,
    steady: Address,
    say: Callable[[str], None],
    *,
    slow_count: int = SLOW_CONNECTIONS,
    large_count: int = LARGE_BODIES,
    seconds: float,
) -> dict[str, object]:
    """First the crowd alone, then with the large bodies; the honest sender sends all the time."""
    bodies = _start("rig.large_bodies", receiver.port, large.path, large.key.hex(), large_count)
    _read(bodies)
    before = read_rss_mb(receiver.pid)
    with PeakRss(receiver.pid).watching() as memory:
        crowd = _start("rig.slow_senders", receiver.port, slow_count, 2 * seconds + 2)
        say(f"memory: the crowd is complete, {_read(crowd)}")
        among_slow = run_steadily(receiver.port, steady, STEADY_PER_SECOND, seconds)
        peak_slow = memory.peak_mb
        _release(bodies)
        among_all = run_steadily(receiver.port, steady, STEADY_PER_SECOND, seconds)
        found_bodies, found_crowd = _read(bodies), _read(crowd)
    for process in (bodies, crowd):
        process.communicate()
    say(f"memory: peak {memory.peak_mb:.0f} MB; bodies {found_bodies}; crowd {found_crowd}")
    return {
        "peak_rss_mb": round(memory.peak_mb, 1),
        "peak_rss_slow_only_mb": round(peak_slow, 1),
        "rss_before_mb": round(before, 1),
        "workers": receiver.workers,
        "slow_connections": found_crowd,
        "large_bodies": found_bodies,
        "honest_p99_ms_among_slow": among_slow.p99_ms,
        "honest_p99_ms_among_all": among_all.p99_ms,
        "honest_requests": len(among_slow.taken_ms) + len(among_all.taken_ms),
        "honest_non_2xx": {**among_slow.refused, **among_all.refused},
    }


def _start(module: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=BENCH, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )


def _read(process: subprocess.Popen[str]) -> dict[str, object]:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"{process.args!r} ended without a word")
    return dict(json.loads(line))


def _release(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
