"""How an ingest run went and what still waits, in numbers, read from the chunks and the inbox."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row

from steadfast.warehouse.connect import translate_errors
from steadfast.warehouse.queries import load_queries

MOST_CHUNKS = 20
"""As many failing chunks as a person reads."""


@dataclass(frozen=True)
class FailingChunk:
    """Events that were tried and are not applied, with the reason."""

    chunk_id: int
    attempt: int
    error: str
    event_count: int
    first_received_at: datetime


@dataclass(frozen=True)
class Backlog:
    """What is acknowledged and in no table yet."""

    chunk_count: int
    failing_count: int
    waiting_count: int
    oldest_at: datetime | None


@dataclass(frozen=True)
class Due:
    """What can be processed now."""

    chunk_count: int
    event_count: int


@dataclass(frozen=True)
class IngestSummary:
    """One run: what it finished, and what is open when it is asked."""

    run_id: int
    event_count: int
    applied_count: int
    dead_count: int
    open_chunk_count: int
    oldest_waiting_at: datetime | None


def find_run(connection: Connection[Any], dag_id: str, airflow_run_id: str) -> int | None:
    """The number of the run that an Airflow run opened; None if it never came that far."""
    bound = {"dag_id": dag_id, "airflow_run_id": airflow_run_id}
    with translate_errors(), connection.transaction():
        row = connection.execute(load_queries("webhook_watch")["find_ingest_run"], bound).fetchone()
    return int(row[0]) if row else None


def find_last_good_run(connection: Connection[Any], dag_id: str) -> datetime | None:
    """When a run last came to its end with everything done."""
    with translate_errors(), connection.transaction():
        query = load_queries("webhook_watch")["find_last_good_run"]
        row = connection.execute(query, {"dag_id": dag_id}).fetchone()
    return row[0] if row else None


def read_backlog(connection: Connection[Any]) -> Backlog:
    """What waits at this moment."""
    with (
        translate_errors(),
        connection.transaction(),
        connection.cursor(row_factory=class_row(Backlog)) as cursor,
    ):
        # A plan for other numbers than these would look at other partitions.
        row = cursor.execute(load_queries("webhook_watch")["read_backlog"], prepare=False).fetchone()
    return row or Backlog(0, 0, 0, None)


def count_due(connection: Connection[Any], now: datetime) -> Due:
    """The chunks that may be tried now."""
    with (
        translate_errors(),
        connection.transaction(),
        connection.cursor(row_factory=class_row(Due)) as cursor,
    ):
        row = cursor.execute(load_queries("webhook_watch")["count_due"], {"now": now}).fetchone()
    return row or Due(0, 0)


def list_failing_chunks(connection: Connection[Any], least_attempts: int = 1) -> list[FailingChunk]:
    """The oldest chunks that failed and are not done."""
    bound = {"least_attempts": least_attempts, "most": MOST_CHUNKS}
    with (
        translate_errors(),
        connection.transaction(),
        connection.cursor(row_factory=class_row(FailingChunk)) as cursor,
    ):
        return cursor.execute(load_queries("webhook_watch")["list_failing_chunks"], bound).fetchall()


def summarise_ingest(connection: Connection[Any], run_id: int) -> IngestSummary:
    """Tell how a run stands; what earlier runs planned and this one applied is its own."""
    backlog = read_backlog(connection)
    with translate_errors(), connection.transaction():
        row = connection.execute(
            load_queries("webhook_watch")["summarise_ingest"], {"run_id": run_id}
        ).fetchone()
    events, applied, dead = row or (0, 0, 0)
    return IngestSummary(run_id, events, applied, dead, backlog.chunk_count, backlog.oldest_at)


def list_received_days(connection: Connection[Any], run_id: int) -> list[date]:
    """The UTC days on which the events arrived that a run applied."""
    with translate_errors(), connection.transaction():
        rows = connection.execute(
            load_queries("webhook_watch")["list_received_days"], {"run_id": run_id}
        ).fetchall()
    return [day for (day,) in rows]


def close_run(connection: Connection[Any], run_id: int, now: datetime) -> None:
    """Mark the run as finished: it did everything, and what fails after it is news."""
    with translate_errors(), connection.transaction():
        connection.execute(load_queries("webhook_watch")["close_ingest_run"], {"run_id": run_id, "now": now})
