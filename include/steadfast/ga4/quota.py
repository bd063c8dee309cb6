"""How fast we may ask GA4, decided from the quota that every answer carries.

Google changes its limits without notice, so none is written here: the size of a bucket is the most that
was ever seen in it. All decisions are pure; the caller waits, parks and keeps the sizes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime, time, timedelta
from math import ceil
from typing import Literal
from zoneinfo import ZoneInfo

from steadfast.ga4.reports import Report

RefillKind = Literal["hour", "day", "thresholded_hour"]

PACIFIC = ZoneInfo("America/Los_Angeles")
DAY_REFILL = time(0, 5)
"""Day buckets refill at midnight Pacific; the minutes are for clocks that differ."""
SLOW_BELOW = 0.20
PARK_BELOW = 0.05
LONGEST_WAIT_S = 60.0

REFILLS: Mapping[str, RefillKind] = {
    "tokens_per_day": "day",
    "tokens_per_hour": "hour",
    "tokens_per_project_per_hour": "hour",
    "server_errors_per_project_per_hour": "hour",
}
"""Buckets that stop a whole property, and when they refill."""


@dataclass(frozen=True)
class Bucket:
    """What the last request took from one quota, and what is left of it."""

    consumed: int
    remaining: int


@dataclass(frozen=True)
class QuotaReading:
    """The quota of a property as one answer states it; a bucket the answer leaves out is None."""

    tokens_per_day: Bucket | None = None
    tokens_per_hour: Bucket | None = None
    tokens_per_project_per_hour: Bucket | None = None
    concurrent_requests: Bucket | None = None
    server_errors_per_project_per_hour: Bucket | None = None
    potentially_thresholded_requests_per_hour: Bucket | None = None

    @property
    def tokens(self) -> int:
        """Tokens the request has cost."""
        return self.tokens_per_day.consumed if self.tokens_per_day else 0


@dataclass(frozen=True)
class Pace:
    """What to do before the next request: wait some seconds, or leave the property alone until a time."""

    wait_s: float = 0.0
    park_until: datetime | None = None
    reason: str = ""


def enlarge_sizes(sizes: Mapping[str, int], reading: QuotaReading) -> dict[str, int]:
    """Return the bucket sizes known after `reading`: the largest remaining + consumed seen so far."""
    seen = {name: bucket.remaining + bucket.consumed for name, bucket in _named_buckets(reading)}
    return {name: max(sizes.get(name, 0), seen.get(name, 0)) for name in sizes.keys() | seen.keys()}


def decide_pace(
    reading: QuotaReading, now: datetime, sizes: Mapping[str, int] | None = None, jitter_s: float = 0.0
) -> Pace:
    """Go, slow down or park, by the scarcest bucket; `jitter_s` is added to the time of a refill."""
    known = enlarge_sizes(sizes or {}, reading)
    paces = [
        _pace_bucket(name, bucket, known[name], now, jitter_s)
        for name, bucket in _named_buckets(reading)
        if name in REFILLS
    ]
    earliest = datetime.min.replace(tzinfo=UTC)
    return max(paces, key=lambda pace: (pace.park_until or earliest, pace.wait_s), default=Pace())


def refill_at(kind: RefillKind, now: datetime) -> datetime:
    """When a used-up quota is worth another request, aware UTC."""
    if kind == "hour":
        return now.astimezone(UTC).replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    if kind == "thresholded_hour":
        return now.astimezone(UTC) + timedelta(hours=1)
    today = now.astimezone(PACIFIC).date()
    refill = datetime.combine(today, DAY_REFILL, PACIFIC).astimezone(UTC)
    if refill <= now:
        refill = datetime.combine(today + timedelta(days=1), DAY_REFILL, PACIFIC).astimezone(UTC)
    return refill


def estimate_tokens(report: Report, days: int) -> int:
    """Tokens that one request over `days` days should cost, fitted to recorded requests."""
    dimensions, metrics = 1 + len(report.dimensions), len(report.metrics)
    return ceil(1 + 2 * (dimensions - 1) / 8 + (metrics - 1) / 9 + 6 * (max(days, 1) - 1) / 364)


def _named_buckets(reading: QuotaReading) -> Iterator[tuple[str, Bucket]]:
    for bucket_field in fields(reading):
        bucket = getattr(reading, bucket_field.name)
        if bucket is not None:
            yield bucket_field.name, bucket


def _pace_bucket(name: str, bucket: Bucket, size: int, now: datetime, jitter_s: float) -> Pace:
    share = bucket.remaining / size if size else 0.0
    refill = refill_at(REFILLS[name], now)
    text = f"{bucket.remaining} of about {size} {name.replace('_', ' ')} remain"
    if share < PARK_BELOW:
        return Pace(park_until=refill + timedelta(seconds=jitter_s), reason=text)
    if share >= SLOW_BELOW or name == "server_errors_per_project_per_hour":
        return Pace()
    requests_left = (bucket.remaining - PARK_BELOW * size) / max(bucket.consumed, 1)
    seconds_left = (refill - now).total_seconds()
    return Pace(min(seconds_left / max(requests_left, 1.0), LONGEST_WAIT_S), None, text)
