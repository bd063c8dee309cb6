"""Keeping events: one statement, one commit, many events. What is returned has been committed.

The receiver's flushers call `store_batch` on their own connections; `store_events` does the same for a
task that hands in events it found elsewhere.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple

import asyncpg
from asyncpg.pgproto.pgproto import UUID
from psycopg.conninfo import conninfo_to_dict

from steadfast.errors import ConfigError, WarehouseBusy
from steadfast.warehouse.queries import load_queries
from steadfast.webhooks.envelope import IncomingEvent

STATEMENT_SECONDS = 10
CONNECT_SECONDS = 5
LARGEST_BATCH = 500
DAYS_AHEAD = 2
ACCEPTED, DUPLICATE, CONFLICT = "accepted", "duplicate", "conflict"
Address = tuple[int, UUID]


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of an event: kept, known already, or another body under a known id."""

    outcome: str
    inbox_id: int
    """Of the event itself, or of the first one with its id."""


class Known(NamedTuple):
    """What lies under an id: put there just now, or before."""

    inbox_id: int
    is_new: bool
    body_hash: UUID


async def open_connection(url: str, application: str) -> asyncpg.Connection:
    """Connect as the receiver does: in UTC, with limits on every statement.

    ConfigError if the server refuses us, WarehouseBusy if it is away.
    """
    given = conninfo_to_dict(url)
    place = f"{given.get('host', 'localhost')}:{given.get('port', 5432)}"
    limits = {
        # A server may be set to answer before the disk has it; an acknowledgement must not.
        "synchronous_commit": "on",
        "statement_timeout": f"{STATEMENT_SECONDS}s",
        "idle_in_transaction_session_timeout": f"{2 * STATEMENT_SECONDS}s",
        "timezone": "UTC",
        "application_name": application,
    }
    try:
        connection = await asyncpg.connect(
            host=given.get("host"),
            port=given.get("port"),
            user=given.get("user"),
            password=given.get("password"),
            database=given.get("dbname"),
            ssl=given.get("sslmode"),
            timeout=CONNECT_SECONDS,
            command_timeout=STATEMENT_SECONDS + 2,
            server_settings=limits,
        )
        await check_writable(connection)
    except (
        asyncpg.InvalidAuthorizationSpecificationError,
        asyncpg.InvalidCatalogNameError,
        asyncpg.InsufficientPrivilegeError,
    ) as error:
        raise ConfigError(f"PostgreSQL refuses {given.get('user')} at {place}: {error}") from error
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise WarehouseBusy(f"PostgreSQL does not answer at {place}: {type(error).__name__}") from error
    return connection


async def check_writable(connection: asyncpg.Connection) -> None:
    """WarehouseBusy if the server takes nothing in, as a standby does; the connection is then ended."""
    if await connection.fetchval("SHOW transaction_read_only") == "on":
        connection.terminate()
        raise WarehouseBusy("PostgreSQL is read-only.")


async def store_batch(
    connection: asyncpg.Connection, events: Sequence[IncomingEvent], *, origin: str, now: datetime
) -> list[Stored]:
    """Commit the events that are new; one answer an event, in their order.

    After an exception nothing is stored, and the connection must not be used again.
    """
    # Of several with one id the first is kept.
    first = {_address(event): event for event in reversed(events)}
    columns = zip(*map(_row, first.values()), strict=True)
    query = load_queries("webhook_receive")["store_events"].as_string()
    places = list(first)
    known: dict[Address, Known] = {}
    for place, inbox_id, is_new, body_hash in await connection.fetch(query, *columns, now, origin):
        known.setdefault(places[place - 1], Known(inbox_id, is_new, body_hash))
    answers = list(_judge(events, known))
    await _keep_conflicts(connection, zip(events, answers, strict=True), now)
    return answers


async def ensure_days(connection: asyncpg.Connection, today: date) -> None:
    """Make the partitions of today and the next days, if an upkeep has not made them long ago."""
    query = load_queries("webhook_receive")["ensure_inbox_days"].as_string()
    await connection.fetch(query, today, today + timedelta(days=DAYS_AHEAD))


def store_events(url: str, events: Sequence[IncomingEvent], *, origin: str, now: datetime) -> list[Stored]:
    """Commit events from outside of a receiver, as the receiver does; WarehouseBusy if that fails."""

    async def store() -> list[Stored]:
        connection = await open_connection(url, f"steadfast {origin}")
        try:
            await ensure_days(connection, now.date())
            answers: list[Stored] = []
            for start in range(0, len(events), LARGEST_BATCH):
                part = events[start : start + LARGEST_BATCH]
                answers += await store_batch(connection, part, origin=origin, now=now)
            return answers
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            raise WarehouseBusy(f"Events could not be stored: {type(error).__name__}") from error
        finally:
            connection.terminate()

    return asyncio.run(store())


def _address(event: IncomingEvent) -> Address:
    return event.source.source_id, event.dedup_key


def _row(event: IncomingEvent) -> tuple[object, ...]:
    return (
        event.source.source_id,
        event.event_id,
        event.event_type,
        event.schema_version,
        event.is_text_ok,
        event.body,
        event.dedup_key,
        event.body_hash,
    )


def _judge(events: Iterable[IncomingEvent], known: Mapping[Address, Known]) -> Iterator[Stored]:
    answered: set[Address] = set()
    for event in events:
        address = _address(event)
        found = known[address]
        if found.is_new and address not in answered:
            outcome = ACCEPTED
        else:
            outcome = DUPLICATE if event.body_hash == found.body_hash else CONFLICT
        answered.add(address)
        yield Stored(outcome, found.inbox_id)


async def _keep_conflicts(
    connection: asyncpg.Connection, judged: Iterable[tuple[IncomingEvent, Stored]], now: datetime
) -> None:
    rows = [
        (
            event.source.entity_id,
            event.source.source_id,
            event.event_id,
            stored.inbox_id,
            event.source.conflict_policy,
            event.body,
        )
        for event, stored in judged
        if stored.outcome == CONFLICT
    ]
    if rows:
        query = load_queries("webhook_receive")["keep_conflicts"].as_string()
        await connection.execute(query, now, *zip(*rows, strict=True))
