"""Which moment or day a text of the right look means, as PostgreSQL reads it; some are in no calendar.

`contract.py` says what they look like. To allow one more way to write a moment, change both.
"""

import re
from datetime import UTC, date, datetime, time, timedelta

_PARTS = re.compile(
    r"(?P<day>.{10})[Tt ](?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?P<fraction>\.\d+)?)?"
    r"(?:[Zz]|(?P<sign>[+-])(?P<zone_hours>\d\d):?(?P<zone_minutes>\d\d))",
    re.ASCII,
)


def read_day(text: str) -> date | None:
    """The day, or None if there is none: the 30th of February."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def read_moment(text: str) -> datetime | None:
    """The moment, or None if there is none; 24:00 is the next day and :60 the next minute."""
    parts = _PARTS.fullmatch(text)
    day = read_day(parts["day"]) if parts else None
    if parts is None or day is None:
        return None
    passed = timedelta(
        hours=int(parts["hour"]),
        minutes=int(parts["minute"]),
        seconds=int(parts["second"] or 0),
        microseconds=round(float(parts["fraction"] or 0) * 1e6),
    )
    if passed > timedelta(days=1):
        return None
    zone = timedelta(hours=int(parts["zone_hours"] or 0), minutes=int(parts["zone_minutes"] or 0))
    return datetime.combine(day, time(), UTC) + passed + (zone if parts["sign"] == "-" else -zone)
