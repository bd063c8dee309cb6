"""Decide what a run has to fetch, and write it down as sync items.

The window comes first: the days GA4 may still restate. A scheduled run then fills the holes of the
ledger, newest first, until the property's token budget is spent. A new property and a new report are
nothing but holes, so they need no code of their own; so is a day whose last fetch came too early to be final.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from psycopg import Connection

from steadfast.errors import ConfigError
from steadfast.ga4.quota import estimate_tokens
from steadfast.ga4.reports import CONTROL, DEFAULT_REPORTS, REPORTS, Report
from steadfast.ga4.targets import Published, Target, read_published, read_targets
from steadfast.ga4.windows import (
    DateRange,
    covered_periods,
    missing_ranges,
    newest_full_day,
    sync_window,
)
from steadfast.warehouse.queries import load_queries

EMPTY_DAYS_BEFORE_START = 60
"""After so many empty days going back, a property is taken not to have existed before."""

FIRST_DAY = date(2015, 8, 14)
"""GA4 refuses a request that begins before this day."""

TWO_SHARDS_FROM = 20
"""Fewer properties than this are not worth a second task."""


@dataclass(frozen=True)
class RunRequest:
    """What somebody, or the schedule, asks of a run; empty tuples mean all, no dates mean the window."""

    dag_id: str
    airflow_run_id: str
    kind: str
    partition_on: date | None = None
    start_on: date | None = None
    end_on: date | None = None
    entities: tuple[str, ...] = ()
    reports: tuple[str, ...] = ()


@dataclass(frozen=True)
class PlannedRun:
    """A run's number in the warehouse and the shards its tasks take."""

    run_id: int
    shards: list[int]


@dataclass(frozen=True)
class PlannedItem:
    """One request to come: a report of a property over a range of days."""

    property_id: int
    entity_id: int
    report: str
    range: DateRange
    is_backfill: bool


def plan_run(
    connection: Connection[Any], request: RunRequest, now: datetime, properties_per_shard: int
) -> PlannedRun:
    """Write the items of a run; asked again for the same Airflow run, return what was planned."""
    queries = load_queries("ga4")
    with connection.transaction():
        _check_names(connection, request)
        connection.execute(queries["reopen_items"], _run_values(request, now))
        row = connection.execute(queries["open_run"], _run_values(request, now)).fetchone()
        run_id = int(row[0]) if row else 0
        shards = [r[0] for r in connection.execute(queries["list_shards"], {"run_id": run_id})]
        if shards:
            return PlannedRun(run_id, shards)
        targets = read_targets(connection, request.entities)
        published = read_published(connection, targets, now) if _fills_holes(request) else {}
        shard_of = assign_shards([target.property_id for target in targets], properties_per_shard)
        items = [item for target in targets for item in plan_target(target, request, now, published)]
        if not items and request.kind == "manual":
            raise ConfigError(
                "Nothing to sync: the entity has no enabled property, GA4 refuses the report for it, or the "
                "days have not ended yet. See `steadfast sync status`."
            )
        with connection.cursor().copy(queries["copy_items"]) as copy:
            for item in items:
                copy.write_row(_item_row(run_id, shard_of[item.property_id], item, now))
    return PlannedRun(run_id, sorted({shard_of[item.property_id] for item in items}))


def assign_shards(property_ids: Sequence[int], properties_per_shard: int) -> dict[int, int]:
    """Deal the properties out evenly: at least two shards where there is work for two."""
    needed = -(-len(property_ids) // properties_per_shard)
    count = max(needed, 2 if len(property_ids) >= TWO_SHARDS_FROM else 1)
    return {property_id: number % count for number, property_id in enumerate(sorted(property_ids))}


def plan_target(
    target: Target, request: RunRequest, now: datetime, published: Mapping[tuple[int, str], Published]
) -> Iterator[PlannedItem]:
    """The window of every report, then the holes that the token budget pays for."""
    newest = newest_full_day(now, target.time_zone)
    asked = DateRange(request.start_on, request.end_on) if request.start_on and request.end_on else None
    window = sync_window(request.kind, request.partition_on, newest, target.window_days, now.date(), asked)
    reports = [REPORTS[name] for name in _wanted_reports(target, request)]
    if window is not None:
        for report in reports:
            yield from _items(target, report, _periods(report, window, newest), False)
    if _fills_holes(request):
        yield from _plan_holes(target, reports, window, now, published)


def _plan_holes(
    target: Target,
    reports: Sequence[Report],
    window: DateRange | None,
    now: datetime,
    published: Mapping[tuple[int, str], Published],
) -> Iterator[PlannedItem]:
    budget = target.token_budget
    holes = [
        item
        for report in reports
        for item in _items(target, report, _hole_days(target, report, window, now, published), True)
    ]
    for item in sorted(holes, key=lambda item: item.range.end, reverse=True):
        budget -= estimate_tokens(REPORTS[item.report], item.range.day_count)
        if budget < 0:
            return
        yield item


def _hole_days(
    target: Target,
    report: Report,
    window: DateRange | None,
    now: datetime,
    published: Mapping[tuple[int, str], Published],
) -> list[date]:
    newest = newest_full_day(now, target.time_zone)
    start = _history_start(target, published.get((target.property_id, CONTROL)))
    if start > newest:
        return []
    in_window = set(_periods(report, window, newest)) if window else set()
    expected = [day for day in _periods(report, DateRange(start, newest), newest) if day not in in_window]
    known = published.get((target.property_id, report.name))
    if known is None:
        return expected
    zone = target.time_zone
    return [day for day in expected if not known.needs_no_fetch(day, report.grain, zone, now)]


def _periods(report: Report, dates: DateRange, newest: date) -> list[date]:
    return [period for period in covered_periods(report.grain, dates, newest) if period >= FIRST_DAY]


def _history_start(target: Target, control: Published | None) -> date:
    """Going back ends where the property had been empty for long."""
    if control is None or control.first_on is None or control.first_filled_on is None:
        return target.backfill_start_on
    if (control.first_filled_on - control.first_on).days >= EMPTY_DAYS_BEFORE_START:
        return max(target.backfill_start_on, control.first_on)
    return target.backfill_start_on


def _items(
    target: Target, report: Report, periods: Sequence[date], is_backfill: bool
) -> Iterator[PlannedItem]:
    for range_ in missing_ranges(set(periods), set(), report.days_per_request, report.grain):
        yield PlannedItem(target.property_id, target.entity_id, report.name, range_, is_backfill)


def _wanted_reports(target: Target, request: RunRequest) -> list[str]:
    """What was asked for, else what the entity chose; the control report belongs to every choice."""
    chosen = set(request.reports or {CONTROL, *(target.reports or DEFAULT_REPORTS)})
    return [name for name in REPORTS if name in chosen and name not in target.blocked_reports]


def _fills_holes(request: RunRequest) -> bool:
    return request.kind != "backfill" and request.start_on is None


def _check_names(connection: Connection[Any], request: RunRequest) -> None:
    unknown = sorted(set(request.reports) - set(REPORTS))
    if unknown:
        raise ConfigError(f"Unknown report {', '.join(unknown)}; valid are {', '.join(REPORTS)}.")
    query = load_queries("ga4")["list_known_entities"]
    known = {row[0] for row in connection.execute(query, {"entities": list(request.entities)})}
    missing = sorted(set(request.entities) - known)
    if missing:
        raise ConfigError(f"Unknown business entity {', '.join(missing)}; see `steadfast entity list`.")


def _run_values(request: RunRequest, now: datetime) -> dict[str, Any]:
    return {
        "dag_id": request.dag_id,
        "airflow_run_id": request.airflow_run_id,
        "kind": request.kind,
        "partition_on": request.partition_on,
        "now": now,
    }


def _item_row(run_id: int, shard: int, item: PlannedItem, now: datetime) -> tuple[Any, ...]:
    return (
        run_id,
        shard,
        item.entity_id,
        item.property_id,
        item.report,
        item.range.start,
        item.range.end,
        item.is_backfill,
        now,
    )
