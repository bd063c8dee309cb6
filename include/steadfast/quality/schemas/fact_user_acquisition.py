"""Rules for the channel that brought a user: other than GA4's default channels is allowed, but said."""

from steadfast.quality.schemas.ga4_values import known_channel

RULES = (known_channel("first_user_default_channel_group"),)
