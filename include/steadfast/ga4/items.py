"""Sync items as the shard works on them, and the answers about them that go back to the warehouse."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

from steadfast.errors import SourceUnavailable, SteadfastError, TransientError
from steadfast.ga4.reports import REPORTS, Grain, Report
from steadfast.ga4.windows import DateRange, halve_range
from steadfast.warehouse.queries import load_queries


@dataclass(frozen=True)
class Item:
    """One report of one property over a range of days, with what its property says about itself."""

    item_id: int
    entity_id: int
    property_id: int
    report_name: str
    range: DateRange
    is_backfill: bool
    state: str
    attempt: int
    """How often the item has failed in this run."""
    row_count: int
    fetched_at: datetime | None
    time_zone: str
    currency: str
    connection_id: str

    @property
    def is_divisible(self) -> bool:
        """Tell whether the item may be read in halves; weeks and months are cheap and never cut."""
        return self.report.grain is Grain.DAY and self.range.day_count > 1

    @property
    def report(self) -> Report:
        """The query behind the item."""
        return REPORTS[self.report_name]


@dataclass(frozen=True)
class Decided:
    """How an item ended: `published`, `held` or `failed`, with the reason where it is not the first."""

    item: Item
    state: str
    error_class: str | None = None
    error: str | None = None


def retryable_classes() -> list[str]:
    """Names of the errors after which the same item is worth another attempt."""
    found: list[type[SteadfastError]] = [TransientError]
    for kind in found:
        found.extend(kind.__subclasses__())
    return sorted({kind.__name__ for kind in found})


def claim_items(
    connection: Connection[Any],
    run_id: int,
    shard: int,
    now: datetime,
    property_ids: Sequence[int] | None = None,
) -> list[Item]:
    """What the shard, or some properties of it, still have to do, in the order to do it."""
    values = {
        "property_ids": property_ids,
        "run_id": run_id,
        "shard": shard,
        "now": now,
        "retryable": retryable_classes(),
        "report_order": list(REPORTS),
    }
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(load_queries("ga4")["claim_items"], values).fetchall()
    return [_item(row) for row in rows]


def list_landed_items(
    connection: Connection[Any], property_id: int, reports: Sequence[str], dates: DateRange
) -> list[Item]:
    """Items that overlap the dates and whose pages are landed: by report as given, oldest fetch first."""
    values = {
        "property_id": property_id,
        "reports": list(reports),
        "start_on": dates.start,
        "end_on": dates.end,
    }
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(load_queries("ga4")["list_landed_items"], values).fetchall()
    return [_item(row) for row in rows]


def split_item(connection: Connection[Any], item: Item, now: datetime) -> list[Item]:
    """Replace an item of several days by two halves, which have no first failure ahead of them."""
    queries, attempt = load_queries("ga4"), max(item.attempt, 1)
    first, second = halve_range(item.range)
    with connection.transaction():
        values = {"item_id": item.item_id, "end_on": first.end, "attempt": attempt, "now": now}
        connection.execute(queries["split_item"], values)
        values = {"item_id": item.item_id, "start_on": second.start, "end_on": second.end, "now": now}
        row = connection.execute(queries["add_half"], values).fetchone()
    half = replace(item, range=first, state="planned", attempt=attempt)
    return [half, replace(half, item_id=row[0], range=second)] if row else [half]


def stop_item(
    connection: Connection[Any],
    item: Item,
    error: SteadfastError,
    now: datetime,
    *,
    not_before: datetime | None = None,
    token_count: int = 0,
) -> None:
    """Record that the item was not published: parked until `not_before`, or failed."""
    values = {
        "item_id": item.item_id,
        "state": "parked" if not_before else "failed",
        "error_class": type(error).__name__,
        "error": str(error),
        "not_before": not_before,
        "token_count": token_count,
        "now": now,
    }
    connection.execute(load_queries("ga4")["mark_stopped"], values)


def record_decided(connection: Connection[Any], decided: Sequence[Decided], now: datetime) -> None:
    """Record how items ended, in the transaction that published them."""
    values = {
        "item_ids": [d.item.item_id for d in decided],
        "states": [d.state for d in decided],
        "error_classes": [d.error_class for d in decided],
        "errors": [d.error for d in decided],
        "now": now,
    }
    connection.execute(load_queries("ga4")["mark_published"], values)


def report_missing_pages(item: Item) -> SourceUnavailable:
    """The answer for landed pages that are damaged, or gone before they were published."""
    return SourceUnavailable(
        f"The landed pages of {item.report_name} for property {item.property_id} between {item.range.start} "
        f"and {item.range.end} are damaged or incomplete; the published rows stay, the days are read again."
    )


def report_repeated_keys(item: Item) -> SourceUnavailable:
    """The answer for a fetch in which the same key came twice."""
    return SourceUnavailable(
        f"GA4 repeated keys of {item.report_name} for property {item.property_id} between {item.range.start} "
        f"and {item.range.end}; the published rows stay and the next run reads the days again."
    )


def _item(row: dict[str, Any]) -> Item:
    return Item(
        item_id=row["item_id"],
        entity_id=row["entity_id"],
        property_id=row["property_id"],
        report_name=row["report"],
        range=DateRange(row["start_on"], row["end_on"]),
        is_backfill=row["is_backfill"],
        state=row["state"],
        attempt=row["attempt"],
        row_count=row["row_count"],
        fetched_at=row["fetched_at"],
        time_zone=row["time_zone"],
        currency=row["currency"],
        connection_id=row["connection_id"],
    )
