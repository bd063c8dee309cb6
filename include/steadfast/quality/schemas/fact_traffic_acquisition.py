"""Rules for the channel of a session: other than GA4's default channels is allowed, but said."""

from steadfast.quality.schemas.ga4_values import known_channel

RULES = (known_channel("session_default_channel_group"),)
