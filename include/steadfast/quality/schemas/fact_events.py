"""Rules for event names: GA4 drops or merges names that break its limits, so the owner should know."""

from steadfast.quality.rule import Rule
from steadfast.quality.schemas.finders import find_unmatched
from steadfast.quality.schemas.ga4_values import PLACEHOLDERS

RULES = (
    Rule(
        "event_name",
        "warning",
        "a letter followed by at most 39 letters, digits or underscores is valid",
        "Rename the event in the tag that sends it; GA4 does not promise to keep such names apart.",
        find_unmatched("event_name", r"[^\W\d_]\w{0,39}", PLACEHOLDERS),
    ),
)
