"""Which day is meant: Google's date words in the property's zone, a day's age, the calendar's dimensions."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from steadfast.demo.ga4.messages import reject_argument

SETTLED_HOURS = 48
EARLIEST = date(2015, 8, 14)

_DAYS_AGO = re.compile(r"(\d{1,5})daysAgo")

CALENDAR: dict[str, Callable[[date], str]] = {
    "date": lambda day: day.strftime("%Y%m%d"),
    "year": lambda day: day.strftime("%Y"),
    "month": lambda day: day.strftime("%m"),
    "yearMonth": lambda day: day.strftime("%Y%m"),
    "isoYearIsoWeek": lambda day: f"{day.isocalendar().year:04d}{day.isocalendar().week:02d}",
    "dayOfWeek": lambda day: str(day.isoweekday() % 7),
}


@dataclass(frozen=True)
class Moment:
    """A day as it is seen now: how many days it ended before today, and how many hours it had to settle."""

    day: date
    days_ago: int
    age: int


def find_today(now: datetime, zone: str) -> date:
    """The calendar day that it is in the zone."""
    return now.astimezone(ZoneInfo(zone)).date()


def measure_age(day: date, now: datetime, zone: str) -> int:
    """Whole hours since the day ended in its zone; negative while it lasts."""
    end = datetime.combine(day + timedelta(days=1), time(), ZoneInfo(zone)).astimezone(UTC)
    return int((now - end).total_seconds() // 3600)


def parse_day(text: str, today: date, field: str) -> date:
    """A day from Google's spellings; `field` is startDate or endDate, for the message."""
    if text == "today":
        return today
    if text == "yesterday":
        return today - timedelta(days=1)
    if ago := _DAYS_AGO.fullmatch(text):
        return today - timedelta(days=int(ago.group(1)))
    if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
        try:
            return date.fromisoformat(text)
        except ValueError as error:
            raise _reject_day(text, field) from error
    raise _reject_day(text, field)


def _reject_day(text: str, field: str) -> Exception:
    return reject_argument(
        f"Invalid {field} : {text}. {field} must be YYYY-MM-DD, NdaysAgo, yesterday, or today."
    )


def parse_range(start: str, end: str, today: date) -> tuple[date, date]:
    """First and last day of a date range, both included."""
    first, last = parse_day(start, today, "startDate"), parse_day(end, today, "endDate")
    if first > last:
        raise reject_argument(
            "start_date must be less than or equal to end_date. "
            f"start_date = {first.isoformat()} and end_date = {last.isoformat()}"
        )
    if first < EARLIEST:
        raise reject_argument(f"start_date must be after 2015-08-13. start_date = {first.isoformat()}")
    return first, last


def list_days(first: date, last: date) -> list[date]:
    """Every day from first to last."""
    return [first + timedelta(days=offset) for offset in range((last - first).days + 1)]
