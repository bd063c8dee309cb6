"""Changes to finished rows: days summed to weeks, months or a whole range, and restated days."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date

from steadfast.demo.chance import draw_fraction
from steadfast.demo.ga4.days import CALENDAR
from steadfast.demo.ga4.encode import Row
from steadfast.demo.ga4.fields import METRICS
from steadfast.demo.ga4.sample_source import write_numbers
from steadfast.demo.ga4.shape import Shape
from steadfast.demo.ga4.state import Restatement

# People come back: over n days the distinct users are the sum of the days divided by this power of n.
# A small power: those who are new on different days are different people, so they must fit into the users.
USER_REPEAT = 0.12
CHANGE_FACTOR = 1.07
TOTAL_FACTOR = 1.004


def regroup_rows(rows: Sequence[Row], shape: Shape, inner: tuple[str, ...]) -> list[Row]:
    """Rows by day brought into the asked-for dimensions, summed where the day is not among them."""
    found: dict[tuple[str, ...], list[list[int]]] = defaultdict(list)
    for (day_text, *values), texts in rows:
        day = date.fromisoformat(day_text)
        key = tuple(
            CALENDAR[name](day) if name in CALENDAR else values[inner.index(name)]
            for name in shape.dimensions
        )
        found[key].append([_read_number(name, text) for name, text in zip(shape.metrics, texts, strict=True)])
    return [(key, _sum_days(shape.metrics, days)) for key, days in sorted(found.items())]


def _read_number(metric: str, text: str) -> int:
    return round(float(text) * 100) if METRICS[metric].in_cents else int(text)


def _sum_days(metrics: tuple[str, ...], days: list[list[int]]) -> tuple[str, ...]:
    texts = []
    for name, values in zip(metrics, zip(*days, strict=True), strict=True):
        total = sum(values)
        if METRICS[name].is_user_count:
            total = max(round(total / len(days) ** USER_REPEAT), max(values))
        texts += write_numbers([total], METRICS[name].in_cents)
    return tuple(texts)


def restate_rows(rows: Sequence[Row], metrics: tuple[str, ...], restatement: Restatement) -> list[Row]:
    """A day after a restatement: some of the lighter keys are gone, some others have other numbers."""
    if not rows:
        return []
    if len(rows[0][0]) == 1:
        return [(key, _scale(metrics, texts, TOTAL_FACTOR)) for key, texts in rows]
    order = sorted(rows, key=lambda row: draw_fraction("restate", restatement.serial, *row[0]))
    heavy = sorted(rows, key=_weigh_row)[len(rows) // 2 :]
    light = [row for row in order if row not in heavy]
    gone = {row[0] for row in light[: _count(len(rows), restatement.drop)]}
    rest = [row for row in order if row[0] not in gone]
    changed = {row[0] for row in rest[: _count(len(rows), restatement.change)]}
    return [
        (key, _scale(metrics, texts, CHANGE_FACTOR) if key in changed else texts)
        for key, texts in rows
        if key not in gone
    ]


def _weigh_row(row: Row) -> tuple[float, tuple[str, ...]]:
    return (float(row[1][0]) if row[1] else 0.0, row[0])


def _count(rows: int, share: float) -> int:
    return max(1, round(rows * share)) if share > 0 else 0


def _scale(metrics: tuple[str, ...], texts: tuple[str, ...], factor: float) -> tuple[str, ...]:
    scaled: list[str] = []
    for name, text in zip(metrics, texts, strict=True):
        scaled += write_numbers([int(_read_number(name, text) * factor) + 1], METRICS[name].in_cents)
    return tuple(scaled)
