"""Made-up properties for scale: rows of fixed width, built as one array and patched; a million cost a second.

Totals agree between reports, as each spreads the same numbers. A new dimension is an entry in `_LINKED` (few
values) or in `_MANY` (one value a row).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import product

import numpy as np

from steadfast.demo.chance import hash_words
from steadfast.demo.ga4.days import CALENDAR, Moment
from steadfast.demo.ga4.encode import (
    DATE_HOLE,
    NO_ROWS,
    Encoded,
    Integers,
    encode_columns,
    encode_dimension,
    encode_metric,
    join_encoded,
    wrap_row,
)
from steadfast.demo.ga4.fields import METRICS
from steadfast.demo.ga4.sample import PropertyInfo
from steadfast.demo.ga4.sample_source import write_numbers
from steadfast.demo.ga4.totals import measure_growth

FIRST_ID = 900_000_001
WIDE_ID = "800000001"
HUGE_ID = "800000002"
FAMILIES = 8
MOST_BLOCKS = 24

# Smallest value and span of a metric in one row; the span keeps the number of digits, whatever the growth.
_LEVELS = {
    "activeUsers": (440, 50),
    "totalUsers": (500, 40),
    "newUsers": (260, 60),
    "sessions": (560, 80),
    "engagedSessions": (330, 60),
    "screenPageViews": (700, 250),
    "eventCount": (3000, 900),
    "keyEvents": (20, 60),
    "userEngagementDuration": (40_000, 20_000),
    "totalRevenue": (20_000, 60_000),
    "eventValue": (30_000, 50_000),
    "itemsViewed": (300, 200),
    "itemsAddedToCart": (150, 50),
    "itemsPurchased": (110, 20),
    "itemRevenue": (20_000, 50_000),
}

# Few-valued dimensions; those in one tuple move together, and each is sorted so that rows come out sorted.
_LINKED: tuple[dict[str, tuple[str, ...]], ...] = (
    {
        "sessionDefaultChannelGroup": ("Direct", "Email", "Organic Search", "Referral"),
        "sessionMedium": ("(none)", "email", "organic", "referral"),
    },
    {
        "firstUserDefaultChannelGroup": ("Direct", "Email", "Organic Search", "Referral"),
        "firstUserMedium": ("(none)", "email", "organic", "referral"),
    },
    {
        "countryId": ("AU", "CA", "DE", "US"),
        "country": ("Australia", "Canada", "Germany", "United States"),
    },
    {
        "deviceCategory": ("desktop", "mobile", "tablet"),
        "operatingSystem": ("Android", "Macintosh", "Windows"),
    },
    {"platform": ("web",)},
    {"hostName": ("shop.example.com", "www.example.com")},
    {"language": ("English", "French", "German", "Spanish")},
    {"hour": tuple(f"{hour:02d}" for hour in range(24))},
    {"userAgeBracket": ("18-24", "25-34", "35-44"), "userGender": ("female", "male", "unknown")},
    {"eventName": ("click", "first_visit", "page_view", "scroll", "session_start", "user_engagement")},
    {"itemBrand": ("Acme", "Bolt", "Crest"), "itemCategory": ("Garden", "Kitchen", "Office")},
)

_MANY = {
    "sessionSource": "partner-newsletter-",
    "sessionCampaignName": "spring-collection-launch-",
    "firstUserSource": "partner-newsletter-",
    "firstUserCampaignName": "spring-collection-launch-",
    "pagePath": "/collections/spring/garden-chair-",
    "landingPage": "/collections/spring/garden-chair-",
    "region": "Region ",
    "city": "City of ",
    "browser": "Browser ",
    "itemId": "SKU-",
    "itemName": "Folding garden chair, model ",
}
_DIGITS = 7


@dataclass(frozen=True)
class SyntheticSource:
    """A made-up property with so many rows a report and day; `rows_on` says it for each of the last days."""

    info: PropertyInfo
    rows_per_day: int
    family: str
    days: int = 90
    rows_on: tuple[int, ...] = ()

    @property
    def identity(self) -> str:
        """Properties of one family have the same rows, so they share what is cached."""
        return self.family

    def find_first_day(self, newest: date) -> date:
        """The first day with rows."""
        return newest - timedelta(days=(len(self.rows_on) or self.days) - 1)

    def count_rows(self, days_ago: int) -> int:
        """Rows of a day that ended this many days ago (0 is yesterday)."""
        if self.rows_on:
            return self.rows_on[days_ago] if days_ago < len(self.rows_on) else 0
        return self.rows_per_day if days_ago < self.days else 0

    def encode_day(
        self, moment: Moment, dimensions: tuple[str, ...], metrics: tuple[str, ...], keeps_empty: bool
    ) -> Encoded:
        """The rows of a day, `date` first, sorted by their dimensions."""
        day, rows = moment.day, self.count_rows(moment.days_ago)
        if not rows:
            return NO_ROWS
        offset = hash_words(self.family, day.weekday()) % 100_000
        growth = measure_growth(moment.age, self.family, day)
        numbers = {name: draw_numbers(name, rows, offset, growth) for name in metrics}
        build = _build_many if any(name in _MANY for name in dimensions) else _build_few
        return build(dimensions, metrics, numbers, rows).fill_date(CALENDAR["date"](day))


def draw_numbers(metric: str, rows: int, offset: int, growth: float) -> Integers:
    """One value a row, all with the same number of digits; money never ends in a zero."""
    low, span = _LEVELS[metric]
    steps = (np.arange(rows, dtype=np.int64) * 7919 + offset) % span
    values = ((low + steps) * growth).astype(np.int64)
    return values // 10 * 10 + 1 + steps % 9 if METRICS[metric].in_cents else values


def _combine(dimensions: Sequence[str], most: int) -> list[dict[str, str]]:
    """Sorted combinations of the few-valued dimensions, evenly picked when there are too many."""
    used = [link for link in _LINKED if any(name in link for name in dimensions)]
    used.sort(key=lambda link: min(dimensions.index(name) for name in link if name in dimensions))
    sizes = [range(len(next(iter(link.values())))) for link in used]
    every = list(product(*sizes))
    picked = [every[place * len(every) // most] for place in range(most)] if len(every) > most else every
    return [
        {name: values[at] for link, at in zip(used, places, strict=True) for name, values in link.items()}
        for places in picked
    ]


def _build_few(
    dimensions: tuple[str, ...], metrics: tuple[str, ...], numbers: dict[str, Integers], rows: int
) -> Encoded:
    """Reports without a many-valued dimension: as many rows as there are combinations."""
    blocks = _combine(dimensions, rows)
    head = encode_dimension(DATE_HOLE.decode())
    prefixes = [head + b"".join(encode_dimension(block[name]) for name in dimensions) for block in blocks]
    columns = []
    for name in metrics:
        whole, rest = divmod(int(numbers[name].sum()), len(blocks))
        values = [whole + (place < rest) for place in range(len(blocks))]
        columns.append(write_numbers(values, METRICS[name].in_cents))
    return encode_columns(prefixes, columns)


def _build_many(
    dimensions: tuple[str, ...], metrics: tuple[str, ...], numbers: dict[str, Integers], rows: int
) -> Encoded:
    blocks = _combine(dimensions, min(rows, MOST_BLOCKS))
    edges = [place * rows // len(blocks) for place in range(len(blocks) + 1)]
    return join_encoded(
        [
            _stamp_block(block, dimensions, metrics, numbers, first, last)
            for block, first, last in zip(blocks, edges[:-1], edges[1:], strict=True)
        ]
    )


def _stamp_block(
    block: dict[str, str],
    dimensions: tuple[str, ...],
    metrics: tuple[str, ...],
    numbers: dict[str, Integers],
    first: int,
    last: int,
) -> Encoded:
    """One template row repeated, with the running number and the metrics stamped over it."""
    body = bytearray(encode_dimension(DATE_HOLE.decode()))
    stamps: list[tuple[int, Integers]] = []
    running = _write_digits(np.arange(first, last, dtype=np.int64), _DIGITS)
    for name in dimensions:
        body += encode_dimension(block.get(name) or _MANY[name] + "0" * _DIGITS)
        if name not in block:
            stamps.append((len(body) - _DIGITS, running))
    for name in metrics:
        texts = _write_digits(numbers[name][first:last], len(str(_LEVELS[name][0])))
        if METRICS[name].in_cents:
            texts = np.insert(texts, -2, ord("."), axis=1)
        body += encode_metric("0" * texts.shape[1])
        stamps.append((len(body) - texts.shape[1], texts))
    row = wrap_row(bytes(body))
    shift = len(row) - len(body)
    table = np.tile(np.frombuffer(row, dtype=np.uint8), (last - first, 1))
    for at, texts in stamps:
        table[:, at + shift : at + shift + texts.shape[1]] = texts
    ends = np.arange(1, last - first + 1, dtype=np.int64) * len(row)
    return Encoded(table.tobytes(), ends)


def _write_digits(values: Integers, width: int) -> Integers:
    powers = 10 ** np.arange(width - 1, -1, -1, dtype=np.int64)
    return (values[:, None] // powers % 10 + ord("0")).astype(np.int64)
