"""Rules for places: the country comes as an ISO 3166 code, which maps and currencies rely on."""

from steadfast.quality.rule import Rule
from steadfast.quality.schemas.finders import find_unmatched
from steadfast.quality.schemas.ga4_values import PLACEHOLDERS

RULES = (
    Rule(
        "country_code",
        "warning",
        "two capital letters, ZZ for an unknown country, or (not set) are valid",
        "Check that the report asks GA4 for countryId and not for country.",
        find_unmatched("country_id", "[A-Z]{2}", PLACEHOLDERS),
    ),
)
