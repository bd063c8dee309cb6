"""A property of the sample as a source of rows: its real days, moved to the present, in any breakdown."""

from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np

from steadfast.demo.chance import draw_fraction
from steadfast.demo.ga4.chance import draw_fractions
from steadfast.demo.ga4.days import CALENDAR, SETTLED_HOURS, Moment
from steadfast.demo.ga4.encode import NO_ROWS, Encoded, Integers, encode_columns, encode_dimension
from steadfast.demo.ga4.fields import DIMENSIONS, METRICS
from steadfast.demo.ga4.sample import (
    FIRST_DAY,
    LAST_DAY,
    MARGINALS,
    PropertyInfo,
    read_daily_sessions,
    read_marginal,
)
from steadfast.demo.ga4.shares import Spread, spread_sessions
from steadfast.demo.ga4.totals import measure_growth, spread_day, spread_events, total_day

OTHER = "(other)"
ROWS_BEFORE_OTHER = 12


@dataclass(frozen=True)
class SampleSource:
    """One real property; `shift` is how far its days are moved, in whole weeks."""

    info: PropertyInfo
    shift: timedelta
    seed: int = 0
    spreads: dict[tuple[str, ...], Spread] = field(default_factory=dict, compare=False)

    @property
    def identity(self) -> str:
        """What the rows depend on besides the request; sources that share it share cached rows."""
        return self.info.property_id

    def find_first_day(self, newest: date) -> date:
        """The sample's first day, moved."""
        return min(FIRST_DAY + self.shift, newest)

    def find_sample_day(self, day: date) -> date | None:
        """The day of the sample that this day shows; after its end the last week repeats."""
        moved = day - self.shift
        if moved < FIRST_DAY:
            return None
        late = (moved - LAST_DAY).days
        return moved - timedelta(weeks=-(-late // 7)) if late > 0 else moved

    def encode_day(
        self, moment: Moment, dimensions: tuple[str, ...], metrics: tuple[str, ...], keeps_empty: bool
    ) -> Encoded:
        """The rows of a day, `date` first, sorted by their dimensions."""
        day, age = moment.day, moment.age
        origin = self.find_sample_day(day)
        sessions = read_daily_sessions().get((self.identity, origin)) if origin else None
        if origin is None or not sessions:
            return NO_ROWS
        known = round(sessions * measure_growth(age, self.identity, day))
        totals = total_day(max(known, 1), self.identity, day, self.seed)
        spread = self._spread_day(origin, day, dimensions, age)
        if dimensions == ("eventName",):
            found = spread_events(totals, spread, set(metrics))
        else:
            if _is_marginal(dimensions):
                totals.metrics["sessions"] = int(spread.weights.sum())
            found = spread_day(totals, spread.weights, set(metrics), self.identity, day, *dimensions)
        if any(DIMENSIONS[name].group == "item" for name in dimensions):
            found["exists"] = totals.metrics["itemsViewed"] * (spread.weights > 0)
        return _encode(day, spread, found, metrics, keeps_empty)

    def _spread_day(self, origin: date, day: date, dimensions: tuple[str, ...], age: int) -> Spread:
        """The breakdown of a day: real where the sample has it, late rows missing, the tail in "(other)"."""
        if _is_marginal(dimensions):
            rows = read_marginal(dimensions[0]).get((self.identity, origin), [])
            growth = measure_growth(age, self.identity, day)
            spread = _read_real_spread(rows, growth, age)
        else:
            if dimensions not in self.spreads:
                self.spreads[dimensions] = spread_sessions(self.identity, dimensions)
            spread = self.spreads[dimensions]
            sway = 0.85 + 0.3 * draw_fractions(len(spread.keys), self.identity, day, *dimensions, self.seed)
            spread = spread.reweigh(spread.weights * sway)
        if age < SETTLED_HOURS and len(spread.keys) > 1:
            spread = self._lose_late_rows(spread, day, age)
        if age < SETTLED_HOURS // 2 and _is_folded(dimensions):
            spread = _fold_tail(spread)
        return spread

    def _lose_late_rows(self, spread: Spread, day: date, age: int) -> Spread:
        """A few of the lightest rows only turn up as the day settles."""
        share = 0.08 * (1 - age / SETTLED_HOURS)
        median = float(np.median(spread.weights))
        late = [
            weight < median and draw_fraction("late", self.identity, day, *key) < share
            for key, weight in zip(spread.keys, spread.weights.tolist(), strict=True)
        ]
        return spread.reweigh(np.where(late, 0.0, spread.weights))


def _is_marginal(dimensions: tuple[str, ...]) -> bool:
    return len(dimensions) == 1 and dimensions[0] in MARGINALS


def _is_folded(dimensions: tuple[str, ...]) -> bool:
    return any(DIMENSIONS[name].group in ("tech", "hour") for name in dimensions)


def _read_real_spread(rows: list[tuple[str, int]], growth: float, age: int) -> Spread:
    known = {value: int(sessions * growth) for value, sessions in rows}
    if age >= SETTLED_HOURS // 2 and OTHER in known:
        # The sample's own last day was never read again; once settled, "(other)" belongs to named values.
        lost = known.pop(OTHER)
        if known:
            known[max(known, key=lambda value: known[value])] += lost
    keys = sorted(known)
    return Spread(
        tuple((value,) for value in keys), np.array([known[value] for value in keys], dtype=np.float64)
    )


def _fold_tail(spread: Spread) -> Spread:
    """Everything after the heaviest rows becomes one "(other)" row, as on a day that is not processed yet."""
    if len(spread.keys) <= ROWS_BEFORE_OTHER:
        return spread
    order = np.argsort(-spread.weights, kind="stable")
    kept, folded = sorted(order[:ROWS_BEFORE_OTHER].tolist()), order[ROWS_BEFORE_OTHER:]
    rows = {spread.keys[index]: float(spread.weights[index]) for index in kept}
    other = tuple(OTHER for _ in spread.keys[0])
    rows[other] = rows.get(other, 0.0) + float(spread.weights[folded].sum())
    keys = sorted(rows)
    return Spread(tuple(keys), np.array([rows[key] for key in keys]))


def _encode(
    day: date, spread: Spread, found: dict[str, Integers], metrics: tuple[str, ...], keeps_empty: bool
) -> Encoded:
    columns = [found[name] for name in metrics]
    kept = found["exists" if "exists" in found else "sessions"] > 0
    if columns and not keeps_empty:
        kept = kept & (np.sum(columns, axis=0) > 0)
    places = np.flatnonzero(kept)
    head = encode_dimension(CALENDAR["date"](day))
    prefixes = [head + spread.prefixes[place] for place in places.tolist()]
    texts = [
        write_numbers(values[places].tolist(), METRICS[name].in_cents)
        for name, values in zip(metrics, columns, strict=True)
    ]
    return encode_columns(prefixes, texts)


def write_numbers(values: list[int], in_cents: bool) -> list[str]:
    """Numbers as the API prints them: no decimals on a whole number."""
    if not in_cents:
        return list(map(str, values))
    return [str(value // 100) if value % 100 == 0 else repr(value / 100) for value in values]
