"""How far the failed executions of an n8n were read back: never past one that may still fail.

n8n numbers executions when they start and lists them by that number, so one that runs for long fails
below others that were read already. One in a Wait node is in no list until it ends. So what was read above
`scanned_to` is remembered one by one, for longer than n8n keeps executions unless told otherwise: then the
lists of what failed are as long as n8n's own. Reading an execution twice does no harm: its events are known.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection

from steadfast.warehouse.connect import translate_errors
from steadfast.warehouse.queries import load_queries
from steadfast.webhooks.n8n.answers import Execution

SETTLED_AFTER = timedelta(days=90)
"""What waited for longer, and failed then below others as old, is lost. n8n keeps executions for 14 days."""
MOST_REMEMBERED = 10_000
"""40 pages of a list; n8n keeps no more executions than that unless told otherwise."""
SETTLED_AT_LEAST_AFTER = timedelta(hours=1)
"""Whatever their number: a posting node with all its retries needs 26 minutes."""


@dataclass(frozen=True)
class Cursor:
    """Every failed execution up to `scanned_to` is done, and those in `handled` are."""

    scanned_to: int = 0
    handled: frozenset[int] = frozenset()

    @property
    def highest(self) -> int:
        """The newest execution that was read back."""
        return max([self.scanned_to, *self.handled])


def advance(
    cursor: Cursor, failed: Sequence[Execution], done: Iterable[int], open_ids: Collection[int], now: datetime
) -> Cursor:
    """Where to go on from: `failed` is all that n8n lists above the cursor, oldest first; `done` is new."""
    listed = {execution.execution_id for execution in failed}
    handled = (cursor.handled | set(done)) & listed
    ceiling = min([*(listed - handled), *open_ids], default=None)
    settled = [
        execution.execution_id
        for later_count, execution in enumerate(reversed(failed))
        if _is_settled(execution, later_count, now) and (ceiling is None or execution.execution_id < ceiling)
    ]
    # Back below one that turns out to be open: what lies above it is read once more.
    scanned_to = max([min([cursor.scanned_to, *(one - 1 for one in open_ids)]), *settled])
    return Cursor(scanned_to, frozenset(one for one in handled if one > scanned_to))


def _is_settled(execution: Execution, later_count: int, now: datetime) -> bool:
    after = SETTLED_AFTER if later_count < MOST_REMEMBERED else SETTLED_AT_LEAST_AFTER
    return execution.started_at is not None and now - execution.started_at > after


def read_cursor(connection: Connection[Any], connection_id: str) -> Cursor:
    """The stored cursor; a new n8n is read from its beginning."""
    query = load_queries("webhook_reconcile")["read_n8n_cursor"]
    with translate_errors(), connection.transaction():
        row = connection.execute(query, {"connection_id": connection_id}).fetchone()
    return Cursor(row[0], frozenset(row[1])) if row else Cursor()


def write_cursor(
    connection: Connection[Any],
    connection_id: str,
    cursor: Cursor,
    *,
    recovered_count: int,
    unreadable_count: int,
    error: str | None,
    now: datetime,
) -> None:
    """Store the cursor and what the look found."""
    values = {
        "connection_id": connection_id,
        "scanned_to": cursor.scanned_to,
        "handled": sorted(cursor.handled),
        "recovered_count": recovered_count,
        "unreadable_count": unreadable_count,
        "error": error,
        "now": now,
    }
    with translate_errors(), connection.transaction():
        connection.execute(load_queries("webhook_reconcile")["write_n8n_cursor"], values)
