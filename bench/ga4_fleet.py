"""1,000 GA4 properties through the real DAG: how long a morning takes, and what broken ones cost the others.

`make bench NAME=ga4_fleet` (ARGS="--properties 100" for a quick look). Prints one JSON object; what
happens meanwhile goes to stderr. Each scenario has a fresh installation, started as `steadfast up` starts
it: embedded PostgreSQL with fsync, scheduler, DAG processor, triggerer, web server, LocalExecutor. The
emulator shares the machine's cores. `wall_s` runs from the trigger until the run is green, `published_s`
until every healthy property is published. To add a fault, name a kind of the emulator in `FAULTS`.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rig.emulator import Emulator, run_emulator
from rig.fleet import WINDOW_DAYS, FleetRun, list_fleet, open_fleet, run_fleet
from rig.machine import describe_machine
from rig.warehouse import add_businesses, open_warehouse

from steadfast.ga4.reports import CONTROL, DEFAULT_REPORTS
from steadfast.launch.airflow_env import MEMORY

FAULTS = ("no_access", "exhaust_day", "unknown", "unavailable", "collapse")
FAULTY_SHARE = 0.05
SEED = 2
HUGE_ID = 800_000_002
HUGE_REPORTS = (CONTROL, "traffic_acquisition")
"""The report with most columns, and the control report that it is compared with."""
SYNC = Path(__file__).parent / "rig" / "sync_once.py"


def say(text: str) -> None:
    """Tell a person what happens."""
    print(text, file=sys.stderr, flush=True)


def choose_faulty(count: int) -> dict[int, str]:
    """Throw the faults over the fleet, the same way each time: one property in twenty, kinds in turn."""
    properties = [property_id for property_id, _ in list_fleet(count)]
    chosen = random.Random(SEED).sample(properties, round(count * FAULTY_SHARE))
    return {property_id: FAULTS[place % len(FAULTS)] for place, property_id in enumerate(chosen)}


def break_properties(emulator: Emulator, faulty: dict[int, str]) -> None:
    """Ask the emulator for the faults; they last."""
    for property_id, kind in faulty.items():
        emulator.control_call("POST", "/faults", {"property": str(property_id), "kind": kind})


def measure_fleet(count: int, faulty: dict[int, str]) -> FleetRun:
    """One run on a fresh installation."""
    # No setting of the caller may change what is measured.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("STEADFAST_")}
    with temporary_state() as scratch, open_fleet(scratch, count, environment) as (stack, emulator):
        break_properties(emulator, faulty)
        return run_fleet(stack, sorted(faulty), say)


def measure_huge_day() -> dict[str, Any]:
    """The memory of a process that syncs a day of a million rows."""
    with (
        temporary_state() as scratch,
        run_emulator(scratch / "emulator", ["--no-growth"]) as emulator,
        open_warehouse(scratch) as warehouse,
    ):
        yesterday = datetime.now(UTC).date() - timedelta(1)
        add_businesses(warehouse.databases.owner_url, [(HUGE_ID, "UTC")], backfill_start_on=yesterday)
        command = [sys.executable, str(SYNC), warehouse.databases.pipeline_url, emulator.target]
        asked = [str(yesterday), str(yesterday), f"shop-{HUGE_ID}", *HUGE_REPORTS]
        finished = subprocess.run(
            [*command, *asked], check=True, capture_output=True, text=True, env={**os.environ, **MEMORY}
        )
    found = dict(json.loads(finished.stdout))
    say(f"a million rows: {found}")
    return {name: found[name] for name in ("rows", "peak_rss_mb", "sync_wall_s", "sync_cpu_s", "problems")}


def temporary_state() -> tempfile.TemporaryDirectory:
    """A directory that PostgreSQL's own account may enter."""

    class Open(tempfile.TemporaryDirectory):
        def __enter__(self) -> Path:
            Path(self.name).chmod(0o755)
            return Path(self.name)

    return Open(prefix="steadfast-bench-", ignore_cleanup_errors=True)


def run_benchmark(count: int, with_faults: bool, with_huge_day: bool) -> dict[str, Any]:
    """The fleet, the fleet with broken properties, and the huge day."""
    clean = measure_fleet(count, {})
    result: dict[str, Any] = {
        "benchmark": "ga4_fleet",
        "properties": count,
        "reports": len(DEFAULT_REPORTS),
        "window_days": WINDOW_DAYS,
        "wall_s": clean.run_end_s,
        "rows": clean.rows,
        "rows_per_second": round(clean.rows / clean.run_end_s),
        "peak_rss_mb": clean.task_peak_rss_mb,
        "state": clean.state,
        "items": clean.items,
        "published_s": clean.healthy_done_s,
    }
    if with_faults:
        result.update(describe_broken(clean, count))
    if with_huge_day:
        huge = measure_huge_day()
        result |= {"peak_rss_mb_million_row_day": huge["peak_rss_mb"], "million_row_day": huge}
    return {**result, "machine": describe_machine()}


def describe_broken(clean: FleetRun, count: int) -> dict[str, Any]:
    """What broken properties cost the others, and when the run with its retries was over."""
    faulty = choose_faulty(count)
    broken = measure_fleet(count, faulty)
    return {
        "added_share": round(broken.healthy_done_s / clean.healthy_done_s - 1, 3),
        "with_faults": {
            "faulty_properties": len(faulty),
            "kinds": list(FAULTS),
            "published_s": broken.healthy_done_s,
            "run_end_s": broken.run_end_s,
            "state": broken.state,
            "rows": broken.rows,
            "items": broken.items,
            "peak_rss_mb": broken.task_peak_rss_mb,
        },
    }


def main() -> None:
    """Read the command line and print the result."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--properties", type=int, default=1000)
    parser.add_argument("--faults", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--huge-day", action=argparse.BooleanOptionalAction, default=True)
    asked = parser.parse_args()
    print(json.dumps(run_benchmark(asked.properties, asked.faults, asked.huge_day), indent=2))


if __name__ == "__main__":
    main()
