"""Rules for devices and platforms: short lists in GA4, so a new value is worth a look."""

from steadfast.quality.schemas.ga4_values import DEVICE_CATEGORIES, PLATFORMS, listed_values

_REMEDY = "Look the value up in GA4's schema; if GA4 added it, add it to the list of known values."

RULES = (
    listed_values("device_known", "device_category", DEVICE_CATEGORIES, _REMEDY),
    listed_values("platform_known", "platform", PLATFORMS, _REMEDY),
)
