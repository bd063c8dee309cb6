"""What becomes of the events of one chunk: rows of their tables or dead letters, in one transaction."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import Connection
from psycopg.rows import class_row

from steadfast.errors import QualityError
from steadfast.warehouse.event_tables import EventTable
from steadfast.warehouse.queries import load_queries
from steadfast.webhooks.applying.failures import is_fault_of_event, shorten
from steadfast.webhooks.applying.halve import apply_in_halves
from steadfast.webhooks.applying.statement import Statement, compose_statement
from steadfast.webhooks.contract import EventType

Contracts = Mapping[tuple[str, int], EventType]


@dataclass(frozen=True)
class Chunk:
    """Events of some entities with from_id < inbox_id <= to_id."""

    chunk_id: int
    entity_ids: list[int]
    from_id: int
    to_id: int
    first_received_at: datetime
    last_received_at: datetime
    event_count: int
    attempt: int


@dataclass(frozen=True)
class Counts:
    """How many events were applied and how many died."""

    applied: int = 0
    dead: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.applied + other.applied, self.dead + other.dead)


class EventRefused(Exception):
    """PostgreSQL refuses an event, or some among many, which the checks let through."""

    def __init__(self, cause: psycopg.Error) -> None:
        super().__init__(str(cause))
        self.detail = f"PostgreSQL refuses the event: {shorten(cause)}."
        self.sqlstate = cause.sqlstate


@dataclass(frozen=True)
class Work:
    """A chunk at work: on whose behalf, when, and by which contracts."""

    connection: Connection[Any]
    chunk: Chunk
    run_id: int
    now: datetime
    contracts: Contracts

    def values(self, **more: Any) -> dict[str, Any]:
        """What the queries ask for."""
        known = sorted(self.contracts)
        of_work = {
            "run_id": self.run_id,
            "now": self.now,
            "known_types": [name for name, _ in known],
            "known_versions": [version for _, version in known],
        }
        return {**vars(self.chunk), **of_work, **more}


def claim_chunk(connection: Connection[Any], tried: list[int], now: datetime) -> Chunk | None:
    """Lock the smallest chunk that is due, none of `tried`; None if there is none."""
    query = load_queries("webhook_process")["claim_chunk"]
    with connection.cursor(row_factory=class_row(Chunk)) as cursor:
        return cursor.execute(query, {"tried": tried, "now": now}).fetchone()


def apply_chunk(work: Work) -> Counts:
    """Apply or bury every event of the chunk and mark it as done; QualityError if one is unaccounted for."""
    queries = load_queries("webhook_process")
    tables = newest_tables(work.contracts)
    counts, total = Counts(), 0
    work.connection.execute(queries["make_room"])
    _execute(work, "take_events")
    for name, version, count in _execute(work, "survey_chunk").fetchall():
        total += count
        if name is None:
            _execute(work, "bury_strangers")
            counts += Counts(dead=count)
        else:
            statement = compose_statement(work.contracts[name, version], tables[name])
            counts += _apply_kind(work, statement)
    if counts.applied + counts.dead != total:
        raise QualityError(f"Chunk {work.chunk.chunk_id} has {total} events, but it came to {counts}.")
    if total != work.chunk.event_count:
        raise QualityError(
            f"Chunk {work.chunk.chunk_id} was planned with {work.chunk.event_count} events, but the inbox "
            f"has {total} of them. Was a partition of landing.webhook_inbox dropped or restored?"
        )
    work.connection.execute(queries["resolve_originals"], work.values())
    values = work.values(applied_count=counts.applied, dead_count=counts.dead)
    work.connection.execute(queries["finish_chunk"], values)
    return counts


def newest_tables(contracts: Contracts) -> dict[str, EventTable]:
    """The table of each type: that of its newest version, which has every column of the older ones."""
    return {name: contracts[name, version].table for name, version in sorted(contracts)}


def _apply_kind(work: Work, statement: Statement) -> Counts:
    try:
        return _apply_range(work, statement, work.chunk.from_id, work.chunk.to_id)
    except EventRefused:
        return _apply_around_refused(work, statement)


def _apply_around_refused(work: Work, statement: Statement) -> Counts:
    counts = Counts()

    def apply(after: int, up_to: int) -> None:
        nonlocal counts
        counts += _apply_range(work, statement, after, up_to)

    def bury(inbox_id: int, refused: EventRefused) -> None:
        nonlocal counts
        values = {"from_id": inbox_id - 1, "to_id": inbox_id}
        words = {"detail": refused.detail, "sqlstate": refused.sqlstate}
        _execute(work, "bury_refused", **statement.values, **values, **words)
        counts += Counts(dead=1)

    numbers = [row[0] for row in _execute(work, "list_events", **statement.values)]
    apply_in_halves(numbers, apply, EventRefused, bury)
    return counts


def _apply_range(work: Work, statement: Statement, after: int, up_to: int) -> Counts:
    values = work.values(**statement.values, from_id=after, to_id=up_to)
    try:
        # A savepoint: what PostgreSQL refuses takes nothing else of the chunk with it.
        with work.connection.transaction():
            row = work.connection.execute(statement.query, values, prepare=False).fetchone()
    except psycopg.Error as error:
        if is_fault_of_event(error):
            raise EventRefused(error) from error
        raise
    return Counts(*row) if row else Counts()


def _execute(work: Work, name: str, **values: Any) -> psycopg.Cursor[Any]:
    queries = load_queries("webhook_process")
    query = queries[name].format(lies_in_range=queries["lies_in_range"])
    # A plan for other numbers than these would look at other partitions.
    return work.connection.execute(query, work.values(**values), prepare=False)
