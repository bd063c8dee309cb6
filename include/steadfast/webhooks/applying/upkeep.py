"""What the inbox needs so that it neither stops nor grows: partitions ahead, old ids and counts gone.

Inbox partitions stay: how long events are kept is a policy, and policies belong to retention.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection

from steadfast.warehouse.connect import translate_errors
from steadfast.warehouse.partitions import ensure_day_partitions
from steadfast.warehouse.queries import load_queries

DAYS_AHEAD = 7
"""A week of holidays in which nobody looks at a red run."""
ROWS_A_STEP = 10_000
"""A transaction this size is over in well under a second, and holds up no flush."""
MOST_STEPS = 20
"""Of each kind in one run: 57 million rows a day at the pace of one run in 5 minutes."""
TRAFFIC_LASTS = timedelta(days=35)
"""The 28 days that silence is learned from, and a week to look back."""


@dataclass(frozen=True)
class Upkeep:
    """What was done."""

    made_partitions: tuple[str, ...]
    forgotten_key_count: int
    forgotten_traffic_count: int


def keep_up(connection: Connection[Any], now: datetime) -> Upkeep:
    """Make the inbox of the next days and forget what is over, a bounded number of rows at a time.

    The connection must be outside a transaction. An id is forgotten when no request that carries it could
    be accepted any more, and never before its event is applied or dead.
    """
    today = now.date()
    with translate_errors():
        made = ensure_day_partitions(connection, "webhook_inbox", today, today + timedelta(days=DAYS_AHEAD))
        keys = _repeat(lambda: _purge(connection, "purge_keys", _key_bounds(connection, now)))
        traffic = _repeat(lambda: _purge(connection, "purge_traffic", {"before": now - TRAFFIC_LASTS}))
    return Upkeep(tuple(made), keys, traffic)


def _key_bounds(connection: Connection[Any], now: datetime) -> dict[str, Any]:
    row = connection.execute(load_queries("webhook_watch")["find_applied_to"]).fetchone()
    return {"now": now, "applied_to": row[0] if row else 0}


def _purge(connection: Connection[Any], query: str, bounds: dict[str, Any]) -> int:
    with connection.transaction():
        return connection.execute(
            load_queries("webhook_watch")[query], {**bounds, "most": ROWS_A_STEP}
        ).rowcount


def _repeat(step: Callable[[], int]) -> int:
    total = 0
    for _ in range(MOST_STEPS):
        count = step()
        total += count
        if count < ROWS_A_STEP:
            break
    return total
