"""The report of the throughput benchmark, and what the emulator says is in it.

Importing this module registers the report as if it were a row of `REPORTS`: 40 days of 5,000 rows, five
dimensions beside the date, six metrics.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from rig.emulator import Emulator
from steadfast.ga4.reports import CONTROL, REPORTS, Report

PROPERTY_ID = 800_000_001
DAYS = 40
REPORT = Report(
    "bench_wide",
    ("sessionDefaultChannelGroup", "sessionSource", "sessionMedium", "sessionCampaignName", "landingPage"),
    ("sessions", "engagedSessions", "totalUsers", "newUsers", "eventCount", "totalRevenue"),
    control={"sessions": 0.15},
)
REPORTS[REPORT.name] = REPORT
SYNCED = (CONTROL, REPORT.name)


@dataclass(frozen=True)
class Content:
    """What identifies a loaded table: how many rows, and the sum of their events."""

    rows: int
    events: int


@dataclass(frozen=True)
class Days:
    """The days to load, first and last included."""

    first: date
    last: date

    @property
    def names(self) -> tuple[str, str]:
        """Both as GA4 writes them."""
        return self.first.isoformat(), self.last.isoformat()


def read_truth(emulator: Emulator, days: Days) -> Content:
    """Ask the emulator's control endpoint for the very rows.

    Day by day: a program inherits the peak memory of the one that starts it, so this one stays small.
    """
    dimensions, metrics = ",".join(all_fields()), ",".join(REPORT.metrics)
    place, count, events = REPORT.metrics.index("eventCount"), 0, 0
    for day in list_ranges(days, 1):
        asked = f"dimensions={dimensions}&metrics={metrics}&start={day.first}&end={day.last}"
        rows = emulator.control_call("GET", f"/rows/{PROPERTY_ID}?{asked}")
        count += len(rows)
        events += sum(int(numbers[place]) for _, numbers in rows)
    return Content(count, events)


def list_ranges(days: Days, length: int) -> list[Days]:
    """The days cut into ranges of at most `length`, from the first day on."""
    starts = range(0, (days.last - days.first).days + 1, length)
    firsts = [days.first + timedelta(start) for start in starts]
    return [Days(first, min(first + timedelta(length - 1), days.last)) for first in firsts]


def newest_days(today: date) -> Days:
    """The last 40 days that are over."""
    return Days(today - timedelta(DAYS), today - timedelta(1))


def describe_share(found: Content, truth: Content) -> dict[str, object]:
    """Whether a system delivered everything, as rows of rows."""
    return {"rows": found.rows, "expected": truth.rows, "same_sum": found.events == truth.events}


def all_fields() -> Sequence[str]:
    """Dimensions with the date first."""
    return ("date", *REPORT.dimensions)
