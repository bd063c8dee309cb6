"""Which properties exist: the sample's, the asked-for number of made-up ones, and two for the benchmarks."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Protocol

from steadfast.demo.ga4.days import Moment
from steadfast.demo.ga4.encode import Encoded
from steadfast.demo.ga4.sample import PropertyInfo, list_properties
from steadfast.demo.ga4.sample_source import SampleSource
from steadfast.demo.ga4.synthetic import FAMILIES, FIRST_ID, HUGE_ID, WIDE_ID, SyntheticSource

SYNTHETIC_ZONES = ("America/New_York", "America/New_York", "America/Chicago", "America/Los_Angeles")
WIDE_ROWS = 5_000
HUGE_ROWS = (1_000_000, 370_000)


class Source(Protocol):
    """Where a property's rows come from."""

    @property
    def info(self) -> PropertyInfo:
        """Name, zone and currency."""

    @property
    def identity(self) -> str:
        """Sources that share it have the same rows."""

    def find_first_day(self, newest: date) -> date:
        """The first day with numbers, when `newest` is the last."""

    def encode_day(
        self, moment: Moment, dimensions: tuple[str, ...], metrics: tuple[str, ...], keeps_empty: bool
    ) -> Encoded:
        """The rows of a day, `date` first, sorted by their dimensions."""


def build_sources(shift: timedelta, synthetic: int, rows_per_day: int, seed: int) -> dict[str, Source]:
    """Every property that answers, by id."""
    sources: list[Source] = [SampleSource(info, shift, seed) for info in list_properties()]
    sources += _make_up(synthetic, rows_per_day, seed)
    wide = PropertyInfo(WIDE_ID, "wide", "Benchmark, wide", "UTC")
    huge = PropertyInfo(HUGE_ID, "huge", "Benchmark, huge", "UTC")
    sources.append(SyntheticSource(wide, WIDE_ROWS, f"wide {seed}"))
    sources.append(SyntheticSource(huge, HUGE_ROWS[0], f"huge {seed}", rows_on=HUGE_ROWS))
    return {source.info.property_id: source for source in sources}


def _make_up(count: int, rows_per_day: int, seed: int) -> Iterator[SyntheticSource]:
    for place in range(count):
        number = str(FIRST_ID + place)
        zone = SYNTHETIC_ZONES[place % len(SYNTHETIC_ZONES)]
        info = PropertyInfo(number, f"synthetic-{place + 1:04d}", f"Synthetic shop {place + 1}", zone)
        yield SyntheticSource(info, rows_per_day, f"family {place % FAMILIES} {rows_per_day} {seed}")
