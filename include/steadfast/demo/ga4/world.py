"""The truth: what each property would answer for any fields and days at this moment, before faults and pages.

Rows are built once for each day and kept as bytes while they are asked for; restated days change here.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

from steadfast.demo.ga4.days import CALENDAR, SETTLED_HOURS, Moment, find_today, list_days, measure_age
from steadfast.demo.ga4.encode import Encoded, Row, encode_rows, join_encoded
from steadfast.demo.ga4.fields import find_dimension, find_metric
from steadfast.demo.ga4.properties import Source
from steadfast.demo.ga4.reshape import regroup_rows, restate_rows
from steadfast.demo.ga4.sample import PropertyInfo
from steadfast.demo.ga4.shape import Shape
from steadfast.demo.ga4.state import State

CACHE_BYTES = 900_000_000


class World:
    """All properties and their data, seen at the clock's time."""

    def __init__(
        self, sources: dict[str, Source], state: State, clock: Callable[[], datetime], grows: bool
    ) -> None:
        self._sources = sources
        self._state = state
        self._clock = clock
        self._grows = grows
        self._kept: OrderedDict[tuple[object, ...], Encoded] = OrderedDict()
        self._kept_bytes = 0
        self._lock = threading.Lock()

    def __contains__(self, property_id: object) -> bool:
        return property_id in self._sources

    @property
    def now(self) -> datetime:
        """The emulator's time."""
        return self._clock()

    def describe(self, property_id: str) -> PropertyInfo:
        """Name, zone and currency of a property, as they are now."""
        return replace(self._sources[property_id].info, **self._state.properties.get(property_id, {}))

    def list_properties(self) -> list[PropertyInfo]:
        """Every property but the two of the benchmarks."""
        return [self.describe(number) for number in self._sources if not number.startswith("80000000")]

    def find_yesterday(self, property_id: str) -> date:
        """The newest day that has numbers."""
        return find_today(self.now, self.describe(property_id).time_zone) - timedelta(days=1)

    def rows(
        self, property_id: str, dimensions: Sequence[str], metrics: Sequence[str], start: date, end: date
    ) -> list[Row]:
        """What the API would answer now, sorted, as pairs of dimension values and metric texts."""
        names = tuple(found.name for name in dimensions if (found := find_dimension(name)))
        numbers = tuple(metric.name for name in metrics if (metric := find_metric(name)))
        return sorted(self.answer(property_id, Shape(names, numbers), start, end).rows)

    def answer(self, property_id: str, shape: Shape, start: date, end: date) -> Encoded:
        """All rows of a report; sorted by dimension when `date` comes first."""
        source = self._sources[property_id]
        moments = self._list_moments(source, property_id, start, end)
        restated = [
            one for moment in moments for one in self._state.find_restatements(property_id, moment.day)
        ]
        owner = property_id if restated else source.identity
        ages = (
            (len(moments), moments[0].days_ago, *(moment.age for moment in moments[-3:])) if moments else ()
        )
        return self._keep(
            (owner, shape, start, end, ages, len(restated)),
            lambda: self._build(source, property_id, shape, moments),
        )

    def _list_moments(self, source: Source, property_id: str, start: date, end: date) -> list[Moment]:
        """The days of a range that have ended, as old as they are now."""
        now, zone = self.now, self.describe(property_id).time_zone
        newest = find_today(now, zone) - timedelta(days=1)
        days = list_days(max(start, source.find_first_day(newest)), min(end, newest))
        return [Moment(day, (newest - day).days, self._measure(day, newest, now, zone)) for day in days]

    def _measure(self, day: date, newest: date, now: datetime, zone: str) -> int:
        if not self._grows or (newest - day).days > 2:
            return SETTLED_HOURS
        return min(measure_age(day, now, zone), SETTLED_HOURS)

    def _build(self, source: Source, property_id: str, shape: Shape, moments: list[Moment]) -> Encoded:
        inner = tuple(name for name in shape.dimensions if name not in CALENDAR)
        days = []
        for moment in moments:
            encoded = source.encode_day(moment, inner, shape.metrics, shape.keeps_empty)
            for one in self._state.find_restatements(property_id, moment.day):
                encoded = encode_rows(restate_rows(encoded.rows, shape.metrics, one))
            days.append(encoded)
        if shape.dimensions == ("date", *inner):
            return join_encoded(days)
        return encode_rows(regroup_rows([row for encoded in days for row in encoded.rows], shape, inner))

    def _keep(self, key: tuple[object, ...], build: Callable[[], Encoded]) -> Encoded:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        built = build()
        with self._lock:
            if key not in self._kept:
                self._kept[key] = built
                self._kept_bytes += built.size
            while self._kept_bytes > CACHE_BYTES and len(self._kept) > 1:
                self._kept_bytes -= self._kept.popitem(last=False)[1].size
        return built
