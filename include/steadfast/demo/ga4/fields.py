"""The dimensions and metrics the emulated API knows, and which of them may be asked for together.

A new field is one row; its `group` says which breakdown of `shares.py` gives its values.
"""

from collections.abc import Sequence
from dataclasses import dataclass

INTEGER, FLOAT, SECONDS, CURRENCY = 1, 2, 4, 9

TIME_GROUP = "time"


@dataclass(frozen=True)
class Dimension:
    """One dimension; `group` names the breakdown it belongs to."""

    name: str
    label: str
    category: str
    group: str
    deprecated: tuple[str, ...] = ()


@dataclass(frozen=True)
class Metric:
    """One metric; `in_cents`: numbers are kept as whole cents; `is_user_count`: days do not add up."""

    name: str
    label: str
    category: str
    type: int
    group: str = ""
    in_cents: bool = False
    is_user_count: bool = False
    deprecated: tuple[str, ...] = ()


_DIMENSIONS = (
    Dimension("date", "Date", "Time", TIME_GROUP),
    Dimension("year", "Year", "Time", TIME_GROUP),
    Dimension("month", "Month", "Time", TIME_GROUP),
    Dimension("yearMonth", "Year month", "Time", TIME_GROUP),
    Dimension("isoYearIsoWeek", "ISO week of ISO year", "Time", TIME_GROUP),
    Dimension("dayOfWeek", "Day of week", "Time", TIME_GROUP),
    Dimension("hour", "Hour", "Time", "hour"),
    Dimension(
        "sessionDefaultChannelGroup",
        "Session default channel group",
        "Traffic Source",
        "session",
        ("sessionDefaultChannelGrouping",),
    ),
    Dimension("sessionSource", "Session source", "Traffic Source", "session"),
    Dimension("sessionMedium", "Session medium", "Traffic Source", "session"),
    Dimension("sessionCampaignName", "Session campaign", "Traffic Source", "session"),
    Dimension(
        "firstUserDefaultChannelGroup",
        "First user default channel group",
        "Attribution",
        "first_user",
        ("firstUserDefaultChannelGrouping",),
    ),
    Dimension("firstUserSource", "First user source", "Attribution", "first_user"),
    Dimension("firstUserMedium", "First user medium", "Attribution", "first_user"),
    Dimension("firstUserCampaignName", "First user campaign", "Attribution", "first_user"),
    Dimension("hostName", "Hostname", "Page / Screen", "page"),
    Dimension("pagePath", "Page path", "Page / Screen", "page"),
    Dimension("landingPage", "Landing page", "Page / Screen", "landing"),
    Dimension("countryId", "Country ID", "Geography", "geo"),
    Dimension("country", "Country", "Geography", "geo"),
    Dimension("region", "Region", "Geography", "geo"),
    Dimension("city", "City", "Geography", "geo"),
    Dimension("platform", "Platform", "Platform / Device", "tech"),
    Dimension("deviceCategory", "Device category", "Platform / Device", "tech"),
    Dimension("operatingSystem", "Operating system", "Platform / Device", "tech"),
    Dimension("browser", "Browser", "Platform / Device", "tech"),
    Dimension("language", "Language", "User", "language"),
    Dimension("userAgeBracket", "Age", "Demographics", "demographics"),
    Dimension("userGender", "Gender", "Demographics", "demographics"),
    Dimension("eventName", "Event name", "Event", "event"),
    Dimension("itemId", "Item ID", "Ecommerce", "item"),
    Dimension("itemName", "Item name", "Ecommerce", "item"),
    Dimension("itemBrand", "Item brand", "Ecommerce", "item"),
    Dimension("itemCategory", "Item category", "Ecommerce", "item"),
)

_METRICS = (
    Metric("activeUsers", "Active users", "User", INTEGER, is_user_count=True),
    Metric("totalUsers", "Total users", "User", INTEGER, is_user_count=True),
    Metric("newUsers", "New users", "User", INTEGER),
    Metric("sessions", "Sessions", "Session", INTEGER),
    Metric("engagedSessions", "Engaged sessions", "Session", INTEGER),
    Metric("screenPageViews", "Views", "Page / Screen", INTEGER),
    Metric("eventCount", "Event count", "Event", INTEGER),
    Metric("keyEvents", "Key events", "Event", FLOAT, deprecated=("conversions",)),
    Metric("userEngagementDuration", "User engagement", "User", SECONDS),
    Metric("totalRevenue", "Total revenue", "Revenue", CURRENCY, in_cents=True),
    Metric("eventValue", "Event value", "Event", FLOAT, in_cents=True),
    Metric("itemsViewed", "Items viewed", "Ecommerce", INTEGER, "item"),
    Metric("itemsAddedToCart", "Items added to cart", "Ecommerce", INTEGER, "item"),
    Metric("itemsPurchased", "Items purchased", "Ecommerce", INTEGER, "item"),
    Metric("itemRevenue", "Item revenue", "Ecommerce", CURRENCY, "item", in_cents=True),
)

DIMENSIONS = {field.name: field for field in _DIMENSIONS}
METRICS = {field.name: field for field in _METRICS}
_DIMENSION_NAMES = {name: field for field in _DIMENSIONS for name in (field.name, *field.deprecated)}
_METRIC_NAMES = {name: field for field in _METRICS for name in (field.name, *field.deprecated)}

ITEM_METRIC_PARTNERS = frozenset({TIME_GROUP, "hour", "geo", "tech", "language", "item"})


def find_dimension(name: str) -> Dimension | None:
    """The dimension of that name, or of a deprecated name that still answers."""
    return _DIMENSION_NAMES.get(name)


def find_metric(name: str) -> Metric | None:
    """The metric of that name, or of a deprecated name that still answers."""
    return _METRIC_NAMES.get(name)


def find_incompatible(dimensions: Sequence[str], metrics: Sequence[str]) -> str | None:
    """The field to remove so that the rest fits together, or None. Names must be known ones."""
    groups = [(name, _DIMENSION_NAMES[name].group) for name in dimensions]
    item_dimension = next((name for name, group in groups if group == "item"), None)
    item_metric = next((name for name in metrics if _METRIC_NAMES[name].group == "item"), None)
    if item_dimension and any(_METRIC_NAMES[name].group != "item" for name in metrics):
        return item_dimension
    if item_dimension and any(group not in ITEM_METRIC_PARTNERS for _, group in groups):
        return item_dimension
    if item_metric and any(group not in ITEM_METRIC_PARTNERS for _, group in groups):
        return item_metric
    return None
