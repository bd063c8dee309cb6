"""Which dates to fetch: pure functions of the clock, the property's time zone and the grain of a report."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from steadfast.errors import ConfigError
from steadfast.ga4.reports import Grain

SUNDAY = 7
SUNDAY_DAYS = 14
MONTH_START_DAYS = 35
SETTLES_AFTER = timedelta(hours=72)
"""GA4 restates a day for 24 to 48 hours; large properties take longer."""
DAY = timedelta(days=1)


@dataclass(frozen=True, order=True)
class DateRange:
    """Dates from start to end, both included."""

    start: date
    end: date

    def __post_init__(self) -> None:
        if self.start > self.end:
            raise ConfigError(f"The date range starts on {self.start}, after its end on {self.end}.")

    @property
    def day_count(self) -> int:
        """Days in the range, at least 1."""
        return (self.end - self.start).days + 1

    def __iter__(self) -> Iterator[date]:
        return (self.start + timedelta(days=offset) for offset in range(self.day_count))


def find_zone(name: str) -> ZoneInfo:
    """Return the IANA time zone; ConfigError when there is none of that name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ConfigError(
            f"Unknown time zone {name!r}; valid are IANA names such as America/New_York."
        ) from error


def newest_full_day(now: datetime, zone: str) -> date:
    """The newest day that has ended in the zone."""
    return now.astimezone(find_zone(zone)).date() - DAY


def sync_window(
    kind: str,
    partition_on: date | None,
    newest: date,
    window_days: int,
    run_on: date,
    requested: DateRange | None = None,
) -> DateRange | None:
    """Days that a run reads again, none of them after `newest`; None when none of them has ended.

    A scheduled or manual run takes the window, longer on Sundays and on the first of a month; a backfill
    takes its partition; `requested` overrides both.
    """
    if requested is not None:
        return _clip_range(requested, newest)
    if kind == "backfill" and partition_on is not None:
        return _clip_range(DateRange(partition_on, partition_on), newest)
    days = max(window_days, 1)
    if run_on.isoweekday() == SUNDAY:
        days = max(days, SUNDAY_DAYS)
    if run_on.day == 1:
        days = max(days, MONTH_START_DAYS)
    return DateRange(newest - timedelta(days=days - 1), newest)


def covered_periods(grain: Grain, dates: DateRange, newest: date) -> list[date]:
    """First days of the periods that overlap `dates` and have ended by `newest`, oldest first."""
    period, periods = _period_start(grain, dates.start), []
    while period <= dates.end and period_end(grain, period) <= newest:
        periods.append(period)
        period = period_end(grain, period) + DAY
    return periods


def period_end(grain: Grain, period: date) -> date:
    """Last day of the day, ISO week or month that begins on `period`."""
    if grain is Grain.WEEK:
        return period + timedelta(days=6)
    if grain is Grain.MONTH:
        return (period.replace(day=1) + timedelta(days=31)).replace(day=1) - DAY
    return period


def is_settled(grain: Grain, period: date, zone: str, fetched_at: datetime) -> bool:
    """Whether numbers fetched at that time are final: 72 hours after the period's end in the zone."""
    midnight = datetime.combine(period_end(grain, period) + DAY, time(), find_zone(zone))
    return fetched_at >= midnight.astimezone(UTC) + SETTLES_AFTER


def missing_ranges(
    expected: set[date], present: set[date], days_per_request: int, grain: Grain = Grain.DAY
) -> list[DateRange]:
    """Ranges that cover the missing periods, newest first.

    Neighbours share a request of at most `days_per_request` days; a period is never cut.
    """
    ranges: list[DateRange] = []
    for period in sorted(expected - present, reverse=True):
        end = period_end(grain, period)
        newest = ranges[-1] if ranges else None
        if newest and end + DAY == newest.start and (newest.end - period).days < days_per_request:
            ranges[-1] = DateRange(period, newest.end)
        else:
            ranges.append(DateRange(period, end))
    return ranges


def halve_range(dates: DateRange) -> list[DateRange]:
    """The range in two halves, oldest first; a single day stays whole."""
    if dates.day_count == 1:
        return [dates]
    middle = dates.start + timedelta(days=dates.day_count // 2 - 1)
    return [DateRange(dates.start, middle), DateRange(middle + DAY, dates.end)]


def _clip_range(dates: DateRange, newest: date) -> DateRange | None:
    return DateRange(dates.start, min(dates.end, newest)) if dates.start <= newest else None


def _period_start(grain: Grain, day: date) -> date:
    if grain is Grain.WEEK:
        return day - timedelta(days=day.isoweekday() - 1)
    if grain is Grain.MONTH:
        return day.replace(day=1)
    return day
