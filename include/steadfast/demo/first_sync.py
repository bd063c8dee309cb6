"""The demo's first run of `ga4_sync`: started through Airflow's own API and watched until it ends."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from steadfast.errors import SourceUnavailable
from steadfast.launch.stack import MAIN_DAG, Stack
from steadfast.launch.steps import Steps
from steadfast.warehouse.connect import connect, translate_errors
from steadfast.warehouse.queries import load_queries

PATIENCE_SECONDS = 900
OWN_RUN_SECONDS = 10
ENDED = {"success", "failed"}


@dataclass(frozen=True)
class FirstSync:
    """How the run ended."""

    run_id: str
    state: str
    first_numbers_s: float | None


@dataclass
class Watch:
    """A run being watched; knows when the first numbers came."""

    stack: Stack
    connection: Connection[Any]
    steps: Steps
    run_id: str
    first_numbers_s: float | None = None

    def look(self) -> dict[str, int]:
        """Return the run's items and the published partitions and rows; note the first numbers."""
        published = read_row(self.connection, "count_published")
        items = read_row(self.connection, "count_items", airflow_run_id=self.run_id)
        if self.first_numbers_s is None and self._has_numbers():
            self.first_numbers_s = self.steps.elapsed
            self.steps.say(f"[green]✓[/green] First numbers in the marts after {self.first_numbers_s:.0f} s")
        return {**published, **items}

    def _has_numbers(self) -> bool:
        found = self.connection.execute(load_queries("demo")["has_numbers"]).fetchone()
        return bool(found and found[0])


def run_first_sync(stack: Stack, steps: Steps) -> FirstSync:
    """Follow the run that syncs the window and backfills what the sample holds; return how it ended."""
    run_id = _find_own_run(stack)
    if run_id is None:
        run_id = stack.api.trigger(MAIN_DAG)
    steps.say(f"[green]✓[/green] {MAIN_DAG} runs: the last days first, then 90 days back")
    with translate_errors(), connect(stack.opened.databases.owner_url, autocommit=True) as connection:
        watch = Watch(stack, connection, steps, run_id)
        state = _watch_until_end(watch)
    return FirstSync(run_id, state, watch.first_numbers_s)


def _find_own_run(stack: Stack) -> str | None:
    # Airflow starts the run of last night itself if it has not seen it yet; a second one would only
    # do the same beside it.
    deadline = time.monotonic() + OWN_RUN_SECONDS
    while time.monotonic() < deadline:
        for run in stack.api.list_runs(MAIN_DAG):
            if run["state"] not in ENDED:
                return str(run["dag_run_id"])
            if run["run_type"] == "scheduled":
                return None
        time.sleep(0.3)
    return None


def read_row(connection: Connection[Any], query: str, **values: Any) -> dict[str, Any]:
    """Return the one row of a query of this package."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(load_queries("demo")[query], values).fetchone() or {}


def _watch_until_end(watch: Watch) -> str:
    deadline = time.monotonic() + PATIENCE_SECONDS
    with _show_progress(watch.steps) as (progress, bar):
        while time.monotonic() < deadline:
            watch.stack.children.check_alive()
            counts = watch.look()
            done = counts["published"] + counts["stuck"]
            text = f"{counts['rows']:,} rows in {counts['partitions']:,} partitions"
            progress.update(bar, completed=done, total=counts["planned"] or None, description=text)
            # A web server that is too busy to answer is asked again; check_alive notices a dead one.
            with suppress(SourceUnavailable):
                state = watch.stack.api.run_state(MAIN_DAG, watch.run_id)
                if state in ENDED:
                    return state
            time.sleep(0.5)
    raise SourceUnavailable(
        f"{MAIN_DAG} was not done after {PATIENCE_SECONDS} s; look at {watch.stack.place.url} and the logs "
        f"in {watch.stack.children.logs}."
    )


@contextmanager
def _show_progress(steps: Steps) -> Iterator[tuple[Progress, TaskID]]:
    columns = (
        TextColumn("  {task.description}"),
        BarColumn(),
        TextColumn("{task.completed} of {task.total} requests"),
        TimeElapsedColumn(),
    )
    with Progress(
        *columns, console=steps.console, transient=True, disable=not steps.console.is_terminal
    ) as progress:
        yield progress, progress.add_task("Waiting for the plan", total=None)
