"""One sync in a process of its own, as a task of the DAG does it; prints what it took as JSON.

`python bench/rig/sync_once.py PIPELINE_URL EMULATOR_TARGET FIRST LAST ENTITY [REPORT …]`
"""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rig import wide_report  # noqa: F401 - registers the report
from rig.stages import Stopwatch
from steadfast.ga4.client import ClientConfig, open_client
from steadfast.ga4.plan import RunRequest, plan_run
from steadfast.ga4.sync import sync_shard
from steadfast.quality.check import check_frame
from steadfast.warehouse.connect import connect


def read_clock() -> datetime:
    """The real time, aware."""
    return datetime.now(UTC)


def read_peak_mb() -> float:
    """The largest memory of this program; what getrusage tells includes that of its parent at the fork."""
    status = Path("/proc/self/status").read_text("ascii")
    return round(int(status.split("VmHWM:")[1].split()[0]) / 1024, 1)


def sync_once(url: str, target: str, first: date, last: date, entity: str, reports: Sequence[str]) -> dict:
    """Plan and do one run; the stages, the CPU and the memory of this process."""
    watch = Stopwatch()
    watch.install()
    client = open_client(ClientConfig(endpoint=target, is_plaintext=True))
    began, began_cpu = time.monotonic(), time.process_time()
    request = RunRequest("ga4_sync", f"bench {began}", "manual", last, first, last, (entity,), tuple(reports))
    with connect(url) as connection:
        planned = plan_run(connection, request, read_clock(), 100)
    outcomes = [
        sync_shard(
            planned.run_id,
            shard,
            connect=lambda: connect(url),
            open_client=lambda _: client,
            check=check_frame,
            clock=read_clock,
        )
        for shard in planned.shards
    ]
    return {
        "sync_wall_s": round(time.monotonic() - began, 2),
        "sync_cpu_s": round(time.process_time() - began_cpu, 2),
        "start_cpu_s": round(began_cpu, 2),
        "peak_rss_mb": read_peak_mb(),
        "rows": sum(int(outcome.rows) for outcome in outcomes),
        "problems": [problem for outcome in outcomes for problem in outcome.problems],
        "shares": watch.shares(),
        "stages": {name: asdict(stage) for name, stage in watch.stages.items()},
    }


if __name__ == "__main__":
    warehouse, emulator, first_day, last_day, slug, *names = sys.argv[1:]
    days = date.fromisoformat(first_day), date.fromisoformat(last_day)
    print(json.dumps(sync_once(warehouse, emulator, *days, slug, names)))
