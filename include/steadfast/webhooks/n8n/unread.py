"""Failed executions that n8n lists and that could not be read: asked for again, and at last given up.

A person is told of one that is given up, and it is never asked for again; the cursor goes past it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection

from steadfast.warehouse.connect import translate_errors
from steadfast.warehouse.queries import load_queries
from steadfast.webhooks.n8n.answers import TooManyRequests, Unreadable

MOST_LOOKS = 5
PATIENCE = timedelta(hours=1)
"""A proxy with one bad server behind it, or a deployment, is over by then; n8n keeps executions for days."""
REMEMBERED = timedelta(days=90)


@dataclass(frozen=True)
class Unread:
    """How often one could not be read, since when and why."""

    look_count: int
    since: datetime
    reason: str
    is_given_up: bool = False


def count_failure(before: Unread | None, error: Exception, now: datetime) -> Unread:
    """What is known after one more failure; it is given up if a further look would not help."""
    known = before or Unread(0, now, "")
    reason = describe(error)
    if isinstance(error, TooManyRequests):
        # That is not the execution's fault.
        return replace(known, reason=reason)
    looks = known.look_count + 1
    is_hopeless = looks >= MOST_LOOKS and now - known.since >= PATIENCE
    return Unread(looks, known.since, reason, isinstance(error, Unreadable) or is_hopeless)


def describe(error: Exception) -> str:
    """An error in words that PostgreSQL can store: they quote n8n, which may send any sign."""
    text = str(error) or type(error).__name__
    return text.encode("utf-8", "replace").decode().replace("\x00", "?")


def read_unread(connection: Connection[Any], connection_id: str) -> dict[int, Unread]:
    """What could not be read before, by execution."""
    query = load_queries("webhook_reconcile")["read_n8n_unreadable"]
    with translate_errors(), connection.transaction():
        rows = connection.execute(query, {"connection_id": connection_id}).fetchall()
    return {row[0]: Unread(*row[1:]) for row in rows}


def write_unread(
    connection: Connection[Any], connection_id: str, unread: Mapping[int, Unread], now: datetime
) -> None:
    """Store exactly these, less what was given up so long ago that n8n has it no more."""
    kept = {
        number: one for number, one in unread.items() if not one.is_given_up or now - one.since < REMEMBERED
    }
    values = {
        "connection_id": connection_id,
        "ids": list(kept),
        "looks": [one.look_count for one in kept.values()],
        "since": [one.since for one in kept.values()],
        "reasons": [one.reason for one in kept.values()],
        "given_up": [one.is_given_up for one in kept.values()],
    }
    queries = load_queries("webhook_reconcile")
    with translate_errors(), connection.transaction():
        connection.execute(queries["forget_n8n_unreadable"], values)
        connection.execute(queries["write_n8n_unreadable"], values)
