"""A fleet of made-up properties behind the real Airflow: installation, trigger, watching until the end."""

import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from psycopg import Connection
from rich.console import Console

from rig.emulator import Emulator
from rig.measure import find_peak_rss
from rig.warehouse import CONNECTION_ID, add_businesses
from steadfast.launch.databases import OpenDatabases
from steadfast.launch.processes import Children
from steadfast.launch.stack import MAIN_DAG, LaunchOptions, Sources, Stack, open_stack
from steadfast.launch.steps import Steps
from steadfast.settings import read_settings
from steadfast.warehouse.connect import connect

FIRST_ID = 900_000_001
ZONES = ("America/New_York", "America/New_York", "America/Chicago", "America/Los_Angeles")
ENDED = ("success", "failed")
PATIENCE_S = 300
"""The target for the fleet; what is not done then waits for a retry and is reported as it stands."""
WINDOW_DAYS = 4
COUNT_OPEN = """
    SELECT count(*)
    FROM ops.sync_item
    JOIN ops.sync_run USING (run_id)
    WHERE airflow_run_id = %s AND state <> 'published' AND property_id <> ALL (%s)
"""
COUNT_ITEMS = """
    SELECT state, count(*), coalesce(sum(row_count) FILTER (WHERE state = 'published'), 0)::bigint
    FROM ops.sync_item
    JOIN ops.sync_run USING (run_id)
    WHERE airflow_run_id = %s
    GROUP BY state
"""


@dataclass(frozen=True)
class FleetRun:
    """One run of the DAG over the fleet; seconds count from the trigger."""

    healthy_done_s: float
    run_end_s: float
    state: str
    rows: int
    items: Mapping[str, int]
    task_peak_rss_mb: float


@dataclass
class RssWatch:
    """The largest memory of any process below another one, looked at several times a second."""

    root: int
    peak_mb: float = 0.0
    _ended: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def watching(self) -> Iterator["RssWatch"]:
        """Look for the length of a block."""
        thread = threading.Thread(target=self._look, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            thread.join()

    def _look(self) -> None:
        while not self._ended.wait(0.5):
            self.peak_mb = max(self.peak_mb, find_peak_rss(self.root))


def list_fleet(count: int) -> list[tuple[int, str]]:
    """Ids and time zones of the made-up properties, as the emulator has them."""
    return [(FIRST_ID + place, ZONES[place % len(ZONES)]) for place in range(count)]


@contextmanager
def open_fleet(state: Path, count: int, environment: Mapping[str, str]) -> Iterator[tuple[Stack, Emulator]]:
    """Start databases, emulator and Airflow as `up` does, then add the properties."""
    started: list[Emulator] = []

    def prepare(options: LaunchOptions, children: Children, opened: OpenDatabases, steps: Steps) -> Sources:
        command = [sys.executable, "-m", "steadfast.demo.ga4", "--state", str(state / "emulator")]
        ports = children.start_announcing("ga4", [*command, "--synthetic", str(count)], options.environ)
        pid = children.running[-1].process.pid
        started.append(Emulator(ports["grpc"], ports["http"], ports["control"], pid))
        extra = {"endpoint": started[0].target, "is_plaintext": True}
        return Sources({CONNECTION_ID: {"conn_type": "generic", "extra": extra}})

    settings = read_settings({})
    options = LaunchOptions(state, 18080, settings, environment, lambda: datetime.now(UTC))
    steps = Steps(Console(stderr=True))
    with open_stack(options, steps, prepare) as stack:
        _await_own_run(stack)
        with steps.step(f"Adding {count} entities with a property each"):
            yesterday = datetime.now(UTC).date() - timedelta(1)
            owner_url = stack.opened.databases.owner_url
            add_businesses(owner_url, list_fleet(count), backfill_start_on=yesterday)
        yield stack, started[0]


def run_fleet(stack: Stack, faulty: list[int], say: Callable[[str], None]) -> FleetRun:
    """Trigger the DAG for the window and watch it; `faulty` properties are not waited for."""
    scheduler = next(child for child in stack.children.running if child.name == "scheduler")
    first, last = _choose_window(datetime.now(UTC).date())
    with connect(stack.opened.databases.owner_url, autocommit=True) as connection:
        with RssWatch(scheduler.process.pid).watching() as memory:
            began = time.monotonic()
            run_id = stack.api.trigger(MAIN_DAG, conf={"start_date": str(first), "end_date": str(last)})
            healthy = _await_healthy(stack, connection, run_id, faulty, began)
            say(f"every healthy property is done after {healthy:.1f} s")
            state = _await_end(stack, run_id, began)
            ended = time.monotonic() - began
        counted = connection.execute(COUNT_ITEMS, (run_id,)).fetchall()
    say(f"{run_id} ended as {state} after {ended:.1f} s: {counted}")
    items = {name: int(count) for name, count, _ in counted}
    rows = sum(int(rows) for _, _, rows in counted)
    return FleetRun(round(healthy, 1), round(ended, 1), state, rows, items, memory.peak_mb)


def _choose_window(today: date) -> tuple[date, date]:
    return today - timedelta(WINDOW_DAYS), today - timedelta(1)


def _await_own_run(stack: Stack) -> None:
    """Airflow starts last night's run by itself; nothing is in it yet, but it must be out of the way."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        runs = stack.api.list_runs(MAIN_DAG)
        if runs and all(run["state"] in ENDED for run in runs):
            return
        time.sleep(1)


def _await_healthy(
    stack: Stack, connection: Connection[Any], run_id: str, faulty: list[int], began: float
) -> float:
    while True:
        stack.children.check_alive()
        planned = connection.execute(COUNT_ITEMS, (run_id,)).fetchall()
        still_open = connection.execute(COUNT_OPEN, (run_id, faulty)).fetchone()
        is_over = stack.api.run_state(MAIN_DAG, run_id) in ENDED
        elapsed = time.monotonic() - began
        if (planned and still_open and not still_open[0]) or is_over or elapsed > PATIENCE_S:
            return elapsed
        time.sleep(0.5)


def _await_end(stack: Stack, run_id: str, began: float) -> str:
    while True:
        stack.children.check_alive()
        state = stack.api.run_state(MAIN_DAG, run_id)
        if state in ENDED or time.monotonic() - began > PATIENCE_S:
            return state
        time.sleep(0.5)
