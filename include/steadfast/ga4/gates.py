"""Which properties may be asked right now. Shared by the fetching threads of one shard, kept in the
warehouse between runs: quota that is nearly used up, and breakers after repeated failures.
"""

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection

from steadfast.ga4.quota import Pace, QuotaReading, decide_pace, enlarge_sizes
from steadfast.resilience.breaker import (
    FAILURES_TO_OPEN,
    OPEN_FOR,
    close_breakers,
    count_failures,
    open_breaker,
    read_breaker,
    write_breaker,
)
from steadfast.warehouse.queries import load_queries


@dataclass(frozen=True)
class Parked:
    """A property that is left alone until a time."""

    until: datetime
    reason: str


class Gates:
    """Parked properties, their quota and their failures; safe to use from several threads."""

    def __init__(self, parked: Mapping[int, Parked] | None = None) -> None:
        self._lock = threading.Lock()
        self._parked = dict(parked or {})
        self._out_of_quota: dict[int, Parked] = {}
        self._sizes: dict[int, dict[str, int]] = {}
        self._readings: dict[int, QuotaReading] = {}
        self._failures: Counter[int] = Counter()
        self._unsaved_failures: Counter[int] = Counter()
        self._unsaved_breakers: dict[int, Parked] = {}
        self._answered: set[int] = set()

    def parked(self, property_id: int, now: datetime) -> Parked | None:
        """Until when and why the property is left alone, or None."""
        with self._lock:
            found = self._parked.get(property_id)
        return found if found and found.until > now else None

    def observe(self, property_id: int, reading: QuotaReading, now: datetime) -> Pace:
        """Note the quota of an answer; park the property when it is nearly used up."""
        with self._lock:
            self._answered.add(property_id)
            self._readings[property_id] = reading
            sizes = self._sizes[property_id] = enlarge_sizes(self._sizes.get(property_id, {}), reading)
            pace = decide_pace(reading, now, sizes)
            if pace.park_until:
                self._wait_for_quota(property_id, pace.park_until, f"Quota nearly used up: {pace.reason}.")
            return pace

    def park(self, property_id: int, until: datetime, reason: str) -> None:
        """Leave the property alone: GA4 said that its quota is used up."""
        with self._lock:
            self._wait_for_quota(property_id, until, reason)
            self._readings.setdefault(property_id, QuotaReading())

    def _wait_for_quota(self, property_id: int, until: datetime, reason: str) -> None:
        self._out_of_quota[property_id] = self._parked[property_id] = Parked(until, reason)

    def open_breaker(self, property_id: int, until: datetime, reason: str) -> None:
        """Leave the property alone: asking again before then cannot help."""
        with self._lock:
            self._unsaved_breakers[property_id] = self._parked[property_id] = Parked(until, reason)

    def count_failure(self, property_id: int, now: datetime, reason: str) -> None:
        """Note a server error; the fifth within this shard opens the breaker at once."""
        with self._lock:
            self._failures[property_id] += 1
            self._unsaved_failures[property_id] += 1
            if self._failures[property_id] >= FAILURES_TO_OPEN:
                self._parked[property_id] = Parked(now + OPEN_FOR, reason)

    def save(self, connection: Connection[Any], now: datetime) -> None:
        """Write what changed since the last time."""
        with self._lock:
            readings, self._readings = self._readings, {}
            failures, self._unsaved_failures = self._unsaved_failures, Counter()
            breakers, self._unsaved_breakers = self._unsaved_breakers, {}
            healthy = self._answered - self._failures.keys() - breakers.keys()
            self._answered = set()
            parked = dict(self._out_of_quota)
        with connection.transaction(), connection.cursor() as cursor:
            rows = [_quota_values(p, reading, parked.get(p), now) for p, reading in sorted(readings.items())]
            cursor.executemany(load_queries("ga4")["record_quota"], rows)
            for property_id in sorted(failures.keys() | breakers.keys()):
                _save_breaker(connection, property_id, failures[property_id], breakers.get(property_id), now)
            if healthy:
                close_breakers(
                    connection, [_breaker_name(property_id) for property_id in sorted(healthy)], now
                )


def load_gates(connection: Connection[Any], run_id: int, property_ids: Sequence[int], now: datetime) -> Gates:
    """The gates as the last run left them, for the run that is to pass them."""
    values = {"run_id": run_id, "property_ids": list(property_ids), "now": now}
    rows = connection.execute(load_queries("ga4")["read_gates"], values)
    return Gates({property_id: Parked(until, reason) for property_id, until, reason in rows})


def _save_breaker(
    connection: Connection[Any], property_id: int, failures: int, parked: Parked | None, now: datetime
) -> None:
    name = _breaker_name(property_id)
    breaker = read_breaker(connection, name)
    if failures:
        breaker = count_failures(
            breaker, failures, now, f"GA4 answered {failures} requests with an error of its own."
        )
    if parked:
        breaker = open_breaker(breaker, parked.until, parked.reason)
    write_breaker(connection, name, breaker, now)


def _breaker_name(property_id: int) -> str:
    return f"ga4:property:{property_id}"


def _quota_values(
    property_id: int, reading: QuotaReading, parked: Parked | None, now: datetime
) -> dict[str, Any]:
    buckets = {
        "day_remaining": reading.tokens_per_day,
        "hour_remaining": reading.tokens_per_hour,
        "project_hour_remaining": reading.tokens_per_project_per_hour,
    }
    return {
        "property_id": property_id,
        "now": now,
        "parked_until": parked.until if parked else None,
        "parked_reason": parked.reason if parked else None,
        **{name: bucket.remaining if bucket else None for name, bucket in buckets.items()},
    }
