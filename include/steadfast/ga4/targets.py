"""What a plan starts from: the properties to sync with their settings, and what is published of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

from steadfast.ga4.reports import Grain
from steadfast.ga4.windows import is_settled
from steadfast.warehouse.queries import load_queries

HELD_PATIENCE = timedelta(days=3)
HELD_PAUSE = timedelta(days=7)
"""A hole that was held back again and again for so long waits so long: asking daily would only mail daily."""


@dataclass(frozen=True)
class Target:
    """One property with what its entity has set."""

    property_id: int
    entity_id: int
    time_zone: str
    currency: str
    connection_id: str
    reports: tuple[str, ...] | None
    window_days: int
    token_budget: int
    backfill_start_on: date
    blocked_reports: tuple[str, ...]


@dataclass(frozen=True)
class Published:
    """The days of one report that are in the warehouse, and those that wait because they were held back."""

    settled: frozenset[date]
    provisional: frozenset[date]
    waiting: frozenset[date]
    first_on: date | None
    first_filled_on: date | None

    def needs_no_fetch(self, day: date, grain: Grain, zone: str, now: datetime) -> bool:
        """Tell whether the day is final, cannot be final yet, or has been held back for long."""
        if day in self.settled or day in self.waiting:
            return True
        return day in self.provisional and not is_settled(grain, day, zone, now)


def read_targets(connection: Connection[Any], slugs: Sequence[str]) -> list[Target]:
    """Every enabled property of the entities named, or of all where none is."""
    query = load_queries("ga4")["list_sync_targets"]
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(query, {"entities": list(slugs)}).fetchall()
    return [
        Target(
            **{
                **row,
                "reports": tuple(row["reports"]) if row["reports"] else None,
                "blocked_reports": tuple(row["blocked_reports"]),
            }
        )
        for row in rows
    ]


def read_published(
    connection: Connection[Any], targets: Sequence[Target], now: datetime
) -> dict[tuple[int, str], Published]:
    """What the ledger knows of the targets, by property and report."""
    values = {
        "property_ids": [target.property_id for target in targets],
        "held_since": now - HELD_PAUSE,
        "patience": HELD_PATIENCE,
    }
    rows = connection.execute(load_queries("ga4")["list_published_ranges"], values)
    return {
        (property_id, report): Published(
            frozenset(_days(settled)), frozenset(_days(provisional)), frozenset(_days(waiting)), *firsts
        )
        for property_id, report, settled, provisional, waiting, *firsts in rows
    }


def _days(ranges: Any) -> Iterator[date]:
    for range_ in ranges or ():
        yield from (range_.lower + timedelta(n) for n in range((range_.upper - range_.lower).days))
