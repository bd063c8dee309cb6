"""Values that GA4 documents for its dimensions, as lists for the rules of the tables that carry them.

When GA4 adds a value, add it here: until then it is a warning, never a held partition.
"""

from steadfast.quality.rule import Rule
from steadfast.quality.schemas.finders import find_unlisted

PLACEHOLDERS = ("", "(not set)", "(other)", "(data not available)")
"""What GA4 writes where it has or shows no value; each stands for something else and is kept as it is."""
DEVICE_CATEGORIES = ("desktop", "mobile", "tablet", "smart tv")
PLATFORMS = ("web", "iOS", "Android")
CHANNELS = (
    "Affiliates",
    "Audio",
    "Cross-network",
    "Direct",
    "Display",
    "Email",
    "Mobile Push Notifications",
    "Organic Search",
    "Organic Shopping",
    "Organic Social",
    "Organic Video",
    "Paid Other",
    "Paid Search",
    "Paid Shopping",
    "Paid Social",
    "Paid Video",
    "Referral",
    "SMS",
    "Unassigned",
)


def listed_values(name: str, column: str, values: tuple[str, ...], remedy: str) -> Rule:
    """A warning for texts of `column` that are neither among `values` nor a placeholder of GA4."""
    allowed = f"{', '.join(values)} and GA4's placeholders such as (not set) are valid"
    return Rule(name, "warning", allowed, remedy, find_unlisted(column, values + PLACEHOLDERS))


def known_channel(column: str) -> Rule:
    """A warning for channel groups that are not GA4's default ones."""
    remedy = "Nothing, if the property defines this channel itself; else add it to GA4's list of channels."
    return listed_values("channel_known", column, CHANNELS, remedy)
