"""The GA4 reports we keep, one row each.

To add a report, add a row: its fact table, its checks, its ledger and its backfill follow from it.
Names are those of the GA4 Data API; columns are the same words in snake case. The metrics are
numerators, never ratios, so that any view may sum or divide them. User counts are not additive:
week and month have reports of their own.
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum

from steadfast.warehouse.facts import FactTable


class Grain(StrEnum):
    """The length of one partition, and the GA4 dimension that names it."""

    DAY = "date"
    WEEK = "isoYearIsoWeek"
    MONTH = "yearMonth"


SQL_TYPES = {
    "totalRevenue": "numeric(20,6)",
    "itemRevenue": "numeric(20,6)",
    "eventValue": "double precision",
    "keyEvents": "double precision",
}
"""Everything else is a count: bigint. Seconds of engagement are whole in GA4."""


@dataclass(frozen=True)
class Report:
    """One GA4 query and the fact table it fills."""

    name: str
    dimensions: tuple[str, ...]
    metrics: tuple[str, ...]
    grain: Grain = Grain.DAY
    is_default: bool = True
    days_per_request: int = 31
    """Longest date range of one request; shorter where a day has many rows, whole weeks for weeks."""
    control: dict[str, float] = field(default_factory=dict, hash=False)
    """Metric -> share by which its sum may differ from the control report before a day is held back."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Dimension columns in the order of `dimensions`."""
        return tuple(column_name(name) for name in self.dimensions)

    @property
    def measures(self) -> tuple[tuple[str, str], ...]:
        """(column, SQL type) in the order of `metrics`."""
        return tuple((column_name(name), SQL_TYPES.get(name, "bigint")) for name in self.metrics)

    @property
    def table(self) -> FactTable:
        """The fact table this report is published to."""
        return FactTable(f"fact_{self.name}", "report_date", self.columns, self.measures)


def column_name(api_name: str) -> str:
    """Turn `sessionDefaultChannelGroup` into `session_default_channel_group`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", api_name).lower()


CONTROL = "daily_totals"
"""The report without dimensions that the others are compared with."""

_ESTIMATED = {"sessions": 0.15}

_ROWS = (
    Report(
        CONTROL,
        (),
        (
            "activeUsers",
            "totalUsers",
            "newUsers",
            "sessions",
            "engagedSessions",
            "screenPageViews",
            "eventCount",
            "keyEvents",
            "userEngagementDuration",
            "totalRevenue",
        ),
        days_per_request=366,
    ),
    Report(
        "traffic_acquisition",
        ("sessionDefaultChannelGroup", "sessionSource", "sessionMedium", "sessionCampaignName"),
        (
            "sessions",
            "engagedSessions",
            "totalUsers",
            "newUsers",
            "eventCount",
            "keyEvents",
            "userEngagementDuration",
            "totalRevenue",
        ),
        control=_ESTIMATED,
    ),
    Report(
        "user_acquisition",
        ("firstUserDefaultChannelGroup", "firstUserSource", "firstUserMedium", "firstUserCampaignName"),
        ("newUsers", "totalUsers", "engagedSessions", "eventCount", "keyEvents", "totalRevenue"),
        control={"newUsers": 0.3},
    ),
    Report(
        "pages",
        ("hostName", "pagePath"),
        ("screenPageViews", "activeUsers", "eventCount", "userEngagementDuration", "keyEvents"),
        days_per_request=7,
        control={"screenPageViews": 0.15},
    ),
    Report(
        "landing_pages",
        ("hostName", "landingPage"),
        ("sessions", "engagedSessions", "activeUsers", "newUsers", "keyEvents", "totalRevenue"),
        days_per_request=7,
        control=_ESTIMATED,
    ),
    Report(
        "geo",
        ("countryId", "country", "region", "city"),
        ("activeUsers", "newUsers", "sessions", "engagedSessions", "keyEvents", "totalRevenue"),
        control=_ESTIMATED,
    ),
    Report(
        "tech",
        ("platform", "deviceCategory", "operatingSystem", "browser"),
        ("activeUsers", "newUsers", "sessions", "engagedSessions", "screenPageViews", "keyEvents"),
        control=_ESTIMATED,
    ),
    Report(
        "events",
        ("eventName",),
        ("eventCount", "totalUsers", "keyEvents", "eventValue", "totalRevenue"),
        control={"eventCount": 0.15},
    ),
    Report(
        "weekly_users",
        (),
        ("activeUsers", "totalUsers", "newUsers", "sessions"),
        grain=Grain.WEEK,
        days_per_request=371,
    ),
    Report(
        "monthly_users",
        (),
        ("activeUsers", "totalUsers", "newUsers", "sessions"),
        grain=Grain.MONTH,
        days_per_request=5000,
    ),
    Report(
        "items",
        ("itemId", "itemName", "itemBrand", "itemCategory"),
        ("itemsViewed", "itemsAddedToCart", "itemsPurchased", "itemRevenue"),
        is_default=False,
    ),
)

REPORTS: dict[str, Report] = {report.name: report for report in _ROWS}
DEFAULT_REPORTS: tuple[str, ...] = tuple(report.name for report in _ROWS if report.is_default)
