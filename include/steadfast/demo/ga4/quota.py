"""The six quota buckets of a property, refilled by the clock: at the full hour, and at midnight Pacific.

One cloud project calls the emulator, so the buckets "per project" are kept per property too.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from google.analytics.data_v1beta.types import PropertyQuota

from steadfast.demo.ga4.messages import refuse_quota

PACIFIC = ZoneInfo("America/Los_Angeles")
DEMOGRAPHICS = "demographics"


@dataclass(frozen=True)
class QuotaLimits:
    """What a property may use; the defaults are those of a standard property."""

    day: int = 200_000
    hour: int = 40_000
    project_hour: int = 14_000
    concurrent: int = 10
    server_errors: int = 10
    thresholded: int = 120


STANDARD = QuotaLimits()

# Bucket, field of the real message.
_FIELDS = {
    "day": "tokens_per_day",
    "hour": "tokens_per_hour",
    "concurrent": "concurrent_requests",
    "server_errors": "server_errors_per_project_per_hour",
    "thresholded": "potentially_thresholded_requests_per_hour",
    "project_hour": "tokens_per_project_per_hour",
}


TOKEN_BUCKETS = ("day", "hour", "project_hour")


def price_report(dimensions: int, metrics: int, days: int) -> int:
    """Tokens of a report: 1 for a short narrow one, 2 for 1 x 10, 4 for 9 x 10, 7 for 1 x 1 over a year."""
    return int(1 + max(metrics - 1, 0) / 9 + max(dimensions - 1, 0) / 4 + 6 * days / 365)


class QuotaBook:
    """Who has used how much, and who is asking right now."""

    def __init__(self, limits: QuotaLimits, clock: Callable[[], datetime]) -> None:
        self._limits = limits
        self._clock = clock
        self._used: dict[tuple[str, str], int] = {}
        self._periods: dict[str, tuple[datetime, date]] = {}
        self._running: dict[str, int] = {}
        self._lock = threading.Lock()

    @contextmanager
    def hold_slot(self, property_id: str) -> Iterator[None]:
        """Count as a running request; one too many is refused with 429."""
        with self._lock:
            if self._running.get(property_id, 0) >= self._limits.concurrent:
                raise refuse_quota("concurrent")
            self._running[property_id] = self._running.get(property_id, 0) + 1
        try:
            yield
        finally:
            with self._lock:
                self._running[property_id] -= 1

    def check(self, property_id: str, is_thresholded: bool) -> None:
        """Refuse with 429 when a bucket that the request needs is empty."""
        needed = [
            "project_hour",
            "hour",
            "day",
            "server_errors",
            *(["thresholded"] if is_thresholded else []),
        ]
        with self._lock:
            self._refill(property_id)
            for bucket in needed:
                if self._used.get((property_id, bucket), 0) >= getattr(self._limits, bucket):
                    raise refuse_quota(bucket)

    def charge(self, property_id: str, tokens: int, is_thresholded: bool) -> None:
        """Take the price of an answered report."""
        with self._lock:
            for bucket in TOKEN_BUCKETS:
                self._add(property_id, bucket, tokens)
            if is_thresholded:
                self._add(property_id, "thresholded", 1)

    def count_server_error(self, property_id: str) -> None:
        """Remember a 500 or 503."""
        with self._lock:
            self._refill(property_id)
            self._add(property_id, "server_errors", 1)

    def drain(self, property_id: str, bucket: str) -> None:
        """Empty a bucket; it stays empty until it refills."""
        with self._lock:
            self._refill(property_id)
            self._used[property_id, bucket] = getattr(self._limits, bucket)

    def reset(self) -> None:
        """Fill every bucket of every property."""
        with self._lock:
            self._used.clear()

    def describe(self, property_id: str, tokens: int | None = None) -> Any:
        """The real message: what a request of `tokens` has used, or what everybody has, and what is left."""
        with self._lock:
            self._refill(property_id)
            quota = PropertyQuota.pb()()
            for bucket, name in _FIELDS.items():
                used = self._count(property_id, bucket)
                status = getattr(quota, name)
                status.consumed = used if tokens is None else tokens if bucket in TOKEN_BUCKETS else 0
                status.remaining = max(getattr(self._limits, bucket) - used, 0)
            return quota

    def _count(self, property_id: str, bucket: str) -> int:
        if bucket == "concurrent":
            return self._running.get(property_id, 0)
        return self._used.get((property_id, bucket), 0)

    def _add(self, property_id: str, bucket: str, amount: int) -> None:
        self._used[property_id, bucket] = self._used.get((property_id, bucket), 0) + amount

    def _refill(self, property_id: str) -> None:
        now = self._clock()
        hour, day = now.replace(minute=0, second=0, microsecond=0), now.astimezone(PACIFIC).date()
        before = self._periods.get(property_id)
        self._periods[property_id] = (hour, day)
        if before is None or before == (hour, day):
            return
        for bucket in ("hour", "project_hour", "server_errors", "thresholded"):
            self._used.pop((property_id, bucket), None)
        if before[1] != day:
            self._used.pop((property_id, "day"), None)
