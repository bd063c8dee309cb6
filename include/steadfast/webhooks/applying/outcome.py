"""How an ingest run went and what still waits, in numbers, read from the chunks and the inbox."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row, dict_row

from steadfast.warehouse.connect import translate_errors
from steadfast.warehouse.queries import load_queries

MOST_CHUNKS = 20
"""As many failing chunks as a person reads."""
MOST_NEWS = 10_000
"""Chunks that one run tells of; their numbers go from task to task. The next run tells of the others."""


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


@dataclass(frozen=True)
class News:
    """Applied chunks of which downstream DAGs were not told, and what to tell."""

    chunk_ids: tuple[int, ...]
    applied_count: int
    received_on: tuple[date, ...]
    """The UTC days on which their events arrived."""


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


def read_news(connection: Connection[Any], run_id: int) -> News:
    """What a run has to tell downstream DAGs, whoever applied it: a run that was ended told nobody."""
    bound = {"run_id": run_id, "most": MOST_NEWS}
    with translate_errors(), connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        chunks = cursor.execute(load_queries("webhook_watch")["list_news"], bound).fetchall()
    return News(
        tuple(chunk["chunk_id"] for chunk in chunks),
        sum(chunk["applied_count"] for chunk in chunks),
        list_days((chunk["first_received_at"], chunk["last_received_at"]) for chunk in chunks),
    )


def list_days(spans: Iterable[tuple[datetime, datetime]]) -> tuple[date, ...]:
    """The UTC days that these spans of time touch, each once, in order."""
    days = set()
    for start, end in spans:
        first, last = start.astimezone(UTC).date(), end.astimezone(UTC).date()
        days |= {first + timedelta(days=number) for number in range((last - first).days + 1)}
    return tuple(sorted(days))


def mark_announced(connection: Connection[Any], run_id: int, chunk_ids: Sequence[int]) -> None:
    """Remember that downstream DAGs were told of these chunks; to be called when Airflow has the event.

    Whatever ends a run before that, the next one tells of them: twice at times, never not at all.
    """
    bound = {"run_id": run_id, "chunk_ids": list(chunk_ids)}
    with translate_errors(), connection.transaction():
        connection.execute(load_queries("webhook_watch")["mark_announced"], bound)


def close_run(connection: Connection[Any], run_id: int, *, is_good: bool, now: datetime) -> None:
    """Mark the run as finished; what fails after a good one, which left nothing undone, is news."""
    bound = {"run_id": run_id, "is_good": is_good, "now": now}
    with translate_errors(), connection.transaction():
        connection.execute(load_queries("webhook_watch")["close_ingest_run"], bound)


def close_ended_runs(connection: Connection[Any], run_id: int, now: datetime) -> None:
    """Mark earlier runs as finished that Airflow ended before they could say so themselves."""
    with translate_errors(), connection.transaction():
        connection.execute(load_queries("webhook_watch")["close_ended_runs"], {"run_id": run_id, "now": now})
