"""Faults that a test or the demo asks for, one property at a time, and what each does to a page of rows.

A new fault that refuses is a row in `REFUSALS`; one that spoils rows is a function in `ROW_FAULTS`.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from steadfast.demo.chance import draw_fraction
from steadfast.demo.ga4 import messages
from steadfast.demo.ga4.encode import Row

REFUSALS: dict[str, messages.ApiError] = {
    "no_access": messages.NO_ACCESS,
    "api_disabled": messages.API_DISABLED,
    "unauthenticated": messages.CREDENTIALS_INVALID,
    "internal": messages.INTERNAL,
    "unavailable": messages.UNAVAILABLE,
    "unknown": messages.UNKNOWN,
    "new_wording": messages.NEW_WORDING,
}
EXHAUSTION = {f"exhaust_{bucket}": bucket for bucket in messages.EXHAUSTED}
TRANSPORT = frozenset({"deadline", "reset_mid_page", "html", "slow"})
METADATA = frozenset({"time_zone_changed", "currency_changed", "sampled", "thresholded"})
LATER_PAGES = frozenset({"row_count_changes", "page_missing"})
DAYS = frozenset({"empty_yesterday", "collapse"})
ANY_METHOD = frozenset({*REFUSALS, *TRANSPORT, "incompatible_field"})


@dataclass(frozen=True)
class Fault:
    """One fault: whom it hits (`*` is everybody), how often (None is always), and in which reports.

    `report_has` is a field the report must ask for. `value` is the bad text, field, zone or currency; `date`
    the day of a collapse (YYYY-MM-DD, yesterday if empty); `seconds` how long `slow` waits and `deadline` at
    most. The `exhaust_` kinds empty the bucket: it stays empty until it refills or the faults are cleared.
    """

    property: str
    kind: str
    times: int | None = None
    report_has: str | None = None
    value: str = ""
    date: str = ""
    seconds: float = 300.0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"fault kind {self.kind!r} is unknown; valid are {', '.join(sorted(KINDS))}")


class FaultBook:
    """The faults that wait for a request they fit."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        """From now on this happens."""
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        """From now on everything works."""
        with self._lock:
            self._faults.clear()

    def take(self, property_id: str, fields: Sequence[str], kinds: frozenset[str]) -> list[Fault]:
        """The faults that hit this request, each counted down."""
        if not self._faults:
            return []
        with self._lock:
            hits = [fault for fault in self._faults if _fits(fault, property_id, fields, kinds)]
            self._faults = [
                replace(fault, times=fault.times - 1) if fault in hits and fault.times else fault
                for fault in self._faults
            ]
            self._faults = [fault for fault in self._faults if fault.times != 0]
        return hits


def _fits(fault: Fault, property_id: str, fields: Sequence[str], kinds: frozenset[str]) -> bool:
    return (
        fault.kind in kinds
        and fault.property in ("*", property_id)
        and (fault.report_has is None or fault.report_has in fields)
    )


@dataclass(frozen=True)
class Page:
    """The rows a fault may spoil, and what they mean."""

    rows: list[Row]
    dimensions: Sequence[str]
    metrics: Sequence[str]


def _change_row(page: Page, change: Callable[[Row], Row]) -> list[Row]:
    """All rows, the middle one changed."""
    if not page.rows:
        return []
    middle = len(page.rows) // 2
    return [*page.rows[:middle], change(page.rows[middle]), *page.rows[middle + 1 :]]


def _spoil_metric(page: Page, text: str) -> list[Row]:
    return _change_row(page, lambda row: (row[0], (text, *row[1][1:])) if row[1] else row)


def _spoil_dimension(page: Page, wanted: Sequence[str], text: str) -> list[Row]:
    """Change the first wanted dimension that the report has, else its last one."""
    if not page.dimensions:
        return page.rows
    place = next((page.dimensions.index(name) for name in wanted if name in page.dimensions), -1)
    place %= len(page.dimensions)
    return _change_row(page, lambda row: ((*row[0][:place], text, *row[0][place + 1 :]), row[1]))


def _repeat_key(page: Page, fault: Fault) -> list[Row]:
    return [*page.rows[:-1], page.rows[0]] if len(page.rows) > 1 else page.rows * 2


def _cut_page(page: Page, fault: Fault) -> list[Row]:
    middle = len(page.rows) // 2
    return [*page.rows[:middle], *page.rows[middle + 1 :]]


ROW_FAULTS: dict[str, Callable[[Page, Fault], list[Row]]] = {
    "page_missing": lambda page, fault: [],
    "page_short": _cut_page,
    "repeat_key": _repeat_key,
    "metric_text": lambda page, fault: _spoil_metric(page, fault.value or "abc"),
    "metric_float_in_integer": lambda page, fault: _spoil_metric(page, fault.value or "12.0"),
    "negative_metric": lambda page, fault: _spoil_metric(page, fault.value or "-5"),
    "other_in_date": lambda page, fault: _spoil_dimension(page, ("date",), "(other)"),
    "long_path": lambda page, fault: _spoil_dimension(page, ("pagePath", "landingPage"), "/" + "a" * 9_999),
    "nul_and_surrogate": lambda page, fault: _spoil_dimension(
        page, ("pagePath", "landingPage", "sessionSource"), fault.value or "/bad\x00path\ud83d"
    ),
}
KINDS = frozenset({*ANY_METHOD, *EXHAUSTION, *METADATA, *LATER_PAGES, *DAYS, *ROW_FAULTS})


def lose_day(rows: Sequence[Row], place: int, day: str, kept: float) -> list[Row]:
    """The rows of one day but for a share; `place` is where the date stands, `day` is YYYYMMDD."""
    of_day = [row for row in rows if row[0][place] == day]
    most = max(1, round(len(of_day) * kept)) if kept else 0
    lucky = set(sorted((row[0] for row in of_day), key=lambda key: draw_fraction("collapse", *key))[:most])
    return [row for row in rows if row[0][place] != day or row[0] in lucky]
