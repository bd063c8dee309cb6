"""What a receiver answered: for /metrics at once, and for `ops.webhook_traffic` when a minute is over.

Signals, silence and the last use of a key are read from the table; the counters start anew with a process.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import asyncpg
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from steadfast.warehouse.queries import load_queries

MOST_ROWS = 10_000
"""Kept while the warehouse is away; a longer absence loses counts, never events."""
Place = tuple[int | None, int | None, int]
_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


@dataclass(slots=True)
class Counts:
    """What went through one place: a source, a key and a status."""

    requests: int = 0
    events: int = 0
    bytes: int = 0

    def add(self, other: "Counts") -> None:
        """Count what was counted elsewhere."""
        self.requests += other.requests
        self.events += other.events
        self.bytes += other.bytes


@dataclass(eq=False)
class Traffic:
    """The counters of one process. `names` says what sources are called in the metrics."""

    minutes: dict[tuple[int, *Place], Counts] = field(default_factory=lambda: defaultdict(Counts))
    recorded: dict[tuple[int | None, int], Counts] = field(default_factory=lambda: defaultdict(Counts))
    """What was counted in minutes that are kept no more, by source and status."""
    names: dict[int, tuple[str, str]] = field(default_factory=dict)
    gauges: dict[str, float] = field(default_factory=dict)
    registry: CollectorRegistry = field(default_factory=CollectorRegistry)

    def __post_init__(self) -> None:
        self._flush_seconds = Histogram(
            "steadfast_webhook_flush_seconds",
            "How long a commit took.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self._flush_events = Histogram(
            "steadfast_webhook_flush_events",
            "How many events a commit held.",
            buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500),
            registry=self.registry,
        )
        self.registry.register(self)

    def count_request(
        self, minute: int, source_id: int | None, key_id: int | None, status: int, events: int, size: int
    ) -> None:
        """Count an answer; `minute` is the number of the minute since 1970."""
        counts = self.minutes[minute, source_id, key_id, status]
        counts.requests += 1
        counts.events += events
        counts.bytes += size

    def count_flush(self, events: int, seconds: float) -> None:
        """Count a commit."""
        self._flush_seconds.observe(seconds)
        self._flush_events.observe(events)

    def render(self) -> bytes:
        """The text format of Prometheus."""
        return generate_latest(self.registry)

    def collect(self) -> Iterator[Metric]:
        """What prometheus_client asks of a collector."""
        labels = ["entity", "source", "status"]
        requests = CounterMetricFamily("steadfast_webhook_requests", "Requests answered.", labels=labels)
        events = CounterMetricFamily("steadfast_webhook_events", "Events in them.", labels=labels)
        for (source_id, status), counts in self._sum_up().items():
            names = [*self.names.get(source_id or 0, ("", "")), str(status)]
            requests.add_metric(names, counts.requests)
            events.add_metric(names, counts.events)
        yield requests
        yield events
        for name, value in self.gauges.items():
            yield GaugeMetricFamily(f"steadfast_webhook_{name}", name.replace("_", " "), value=value)

    async def record(self, connection: asyncpg.Connection, before_minute: int) -> None:
        """Write the minutes that are over to the warehouse and forget them."""
        over = {place: counts for place, counts in self.minutes.items() if place[0] < before_minute}
        if not over:
            return
        rows = [
            (datetime.fromtimestamp(60 * minute, UTC), *place, counts.requests, counts.events, counts.bytes)
            for (minute, *place), counts in over.items()
        ]
        query = load_queries("webhook_receive")["record_traffic"].as_string()
        await connection.execute(query, *zip(*rows, strict=True))
        self._forget(over)

    def forget_excess(self) -> None:
        """Drop the oldest minutes if the warehouse has been away for very long."""
        self._forget(sorted(self.minutes, key=lambda place: place[0])[: -MOST_ROWS or None])

    def _forget(self, places: Iterable[tuple[int, *Place]]) -> None:
        for place in list(places):
            _, source_id, _, status = place
            self.recorded[source_id, status].add(self.minutes.pop(place))

    def _sum_up(self) -> dict[tuple[int | None, int], Counts]:
        found = {place: replace(counts) for place, counts in self.recorded.items()}
        for (_, source_id, _, status), counts in self.minutes.items():
            found.setdefault((source_id, status), Counts()).add(counts)
        return found
