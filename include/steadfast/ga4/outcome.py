"""How a run ended, in numbers and in sentences for people."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

from steadfast.ga4.sync import read_outcome
from steadfast.warehouse.queries import load_queries


@dataclass(frozen=True)
class RunSummary:
    """One run: `items` counts by state, `partitions` those published or confirmed by it."""

    run_id: int
    partition_on: date | None
    properties: int
    items: dict[str, int]
    rows: int
    partitions: int
    tokens: int
    problems: tuple[str, ...]


def close_run(connection: Connection[Any], run_id: int, now: datetime) -> RunSummary:
    """Mark the run as finished and tell how it went."""
    with connection.transaction():
        row = connection.execute(load_queries("ga4")["close_run"], {"run_id": run_id, "now": now}).fetchone()
    return summarise_run(connection, run_id, row[0] if row else None)


def summarise_run(connection: Connection[Any], run_id: int, partition_on: date | None) -> RunSummary:
    """Tell how a run stands."""
    queries = load_queries("ga4")
    with connection.cursor(row_factory=dict_row) as cursor:
        totals = cursor.execute(queries["summarise_run"], {"run_id": run_id}).fetchone() or {}
    items = dict(connection.execute(queries["count_states"], {"run_id": run_id}).fetchall())
    problems = read_outcome(connection, run_id).problems
    return RunSummary(run_id=run_id, partition_on=partition_on, items=items, problems=problems, **totals)
