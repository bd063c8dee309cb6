"""Whether a fetched partition may replace the published one: a pure decision with its reason.

To add a guard, add a function to `GUARDS`; the first that objects holds the partition back. Thresholds
follow what real properties show: breakdowns are estimates that differ from the daily total by up to
about 3 %, at times 7 %, so a narrow band would only cry wolf.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from steadfast.ga4.reports import CONTROL, Report

SHARE_OF_ROWS = 0.5
"""Fewer rows than this share of the published partition is a collapse."""
ROWS_TO_JUDGE = 10
SHARE_OF_CONTROL = 0.7
"""A sum below this share of the control total is a collapse, at any size above `TOTAL_TO_JUDGE`."""
TOTAL_TO_JUDGE = 100
TOTAL_TO_COMPARE = 1000
"""Below this daily total the estimates are too coarse to compare narrowly."""
WARN_SHARE = 0.05
SAME_FETCH = timedelta(hours=2)
"""A day that still grows is not smaller than totals fetched so much earlier, and may well be larger."""
VITALS = ("sessions", "eventCount")
"""What the control report itself is judged by."""


@dataclass(frozen=True)
class Fetched:
    """One partition as it came from GA4."""

    row_count: int
    sums: Mapping[str, float]
    content_hash: bytes
    fetched_at: datetime
    is_provisional: bool
    flags: frozenset[str] = frozenset()
    broken: tuple[str, ...] = ()
    """Sentences of the critical rules its rows break."""


@dataclass(frozen=True)
class Ledger:
    """The same partition as it is published; `row_count` is None if it never was."""

    row_count: int | None
    content_hash: bytes | None
    is_provisional: bool
    fetched_at: datetime
    published_at: datetime | None


@dataclass(frozen=True)
class Control:
    """The published control totals of a day, by API name."""

    totals: Mapping[str, float]
    fetched_at: datetime
    is_provisional: bool

    def is_older_than(self, fetched: Fetched) -> bool:
        """Tell whether the day may have grown between the two fetches."""
        return self.is_provisional and fetched.fetched_at - self.fetched_at > SAME_FETCH


@dataclass(frozen=True)
class Verdict:
    """Publish what was fetched; keep what is published because it is the same or newer; or hold back."""

    action: Literal["publish", "keep", "newer", "hold"]
    reason: str
    flags: frozenset[str] = frozenset()
    control_delta: float | None = None


@dataclass(frozen=True)
class Replay:
    """Somebody asked for landed pages again; with `accepts_guards` they also answer for what guards doubt."""

    accepts_guards: bool = False


def judge_partition(
    report: Report,
    fetched: Fetched,
    ledger: Ledger | None,
    control: Control | None,
    replay: Replay | None = None,
) -> Verdict:
    """Decide over one partition; `control` holds the published totals of the same day, if any.

    Rows that break a critical rule are held back whatever anybody accepts.
    """
    delta = measure_delta(report, fetched, control)
    is_far = delta is not None and abs(delta) > WARN_SHARE
    flags = fetched.flags | ({"control_delta"} if is_far else frozenset())
    if ledger and ledger.published_at and ledger.fetched_at > fetched.fetched_at:
        return Verdict("newer", "a newer fetch is published already", flags, delta)
    for guard in GUARDS[:1] if replay and replay.accepts_guards else GUARDS:
        reason = guard(report, fetched, ledger, control)
        if reason:
            return Verdict("hold", reason, flags, delta)
    if ledger and not replay and _is_same(fetched, ledger):
        return Verdict("keep", "nothing changed", flags, delta)
    return Verdict("publish", "checks passed", flags, delta)


def measure_delta(report: Report, fetched: Fetched, control: Control | None) -> float | None:
    """Relative difference of the first control metric from its total; None if there is nothing to compare."""
    if control is None or control.is_older_than(fetched):
        return None
    for metric in report.control:
        total = control.totals.get(metric, 0.0)
        if total:
            return (fetched.sums.get(metric, 0.0) - total) / total
    return None


def _object_to_broken_rules(
    report: Report, fetched: Fetched, ledger: Ledger | None, control: Control | None
) -> str:
    return "; ".join(fetched.broken)


def _object_to_lost_rows(
    report: Report, fetched: Fetched, ledger: Ledger | None, control: Control | None
) -> str:
    before = ledger.row_count if ledger and ledger.row_count else 0
    if before >= ROWS_TO_JUDGE and fetched.row_count < SHARE_OF_ROWS * before:
        return f"collapse: {fetched.row_count} rows where {before} are published"
    if before and not fetched.row_count and not _is_tiny(report, control):
        return f"GA4 answers without rows where {before} are published"
    return ""


def _is_tiny(report: Report, control: Control | None) -> bool:
    """A handful of visits may be restated to none, as spam or below a privacy threshold."""
    metrics = report.control or VITALS
    return control is not None and all(control.totals.get(metric, 0.0) < TOTAL_TO_JUDGE for metric in metrics)


def _object_to_lost_totals(
    report: Report, fetched: Fetched, ledger: Ledger | None, control: Control | None
) -> str:
    """The control report has one row a day whatever happens: its collapse shows in its numbers."""
    if report.name != CONTROL or control is None:
        return ""
    for metric in VITALS:
        before, found = control.totals.get(metric, 0.0), fetched.sums.get(metric, 0.0)
        if before >= TOTAL_TO_JUDGE and found < SHARE_OF_ROWS * before:
            return f"collapse: {found:g} {metric} where {before:g} are published"
    return ""


def _object_to_missing_sums(
    report: Report, fetched: Fetched, ledger: Ledger | None, control: Control | None
) -> str:
    if control is None or "thresholded" in fetched.flags:
        return ""
    for metric in report.control:
        total, found = control.totals.get(metric, 0.0), fetched.sums.get(metric, 0.0)
        if total >= TOTAL_TO_JUDGE and found < SHARE_OF_CONTROL * total:
            return f"collapse: {found:g} {metric} where the control total is {total:g}"
    return ""


def _object_to_control_difference(
    report: Report, fetched: Fetched, ledger: Ledger | None, control: Control | None
) -> str:
    if control is None or "thresholded" in fetched.flags:
        return ""
    for metric, share in report.control.items():
        total, found = control.totals.get(metric, 0.0), fetched.sums.get(metric, 0.0)
        if found > total and control.is_older_than(fetched):
            continue
        if total >= TOTAL_TO_COMPARE and abs(found - total) > share * total:
            return (
                f"{found:g} {metric} differ from the control total {total:g} "
                f"by {(found - total) / total:+.0%}; up to {share:.0%} is normal"
            )
    return ""


def _is_same(fetched: Fetched, ledger: Ledger) -> bool:
    return (
        ledger.published_at is not None
        and ledger.content_hash == fetched.content_hash
        and ledger.is_provisional == fetched.is_provisional
    )


Guard = Callable[[Report, Fetched, Ledger | None, Control | None], str]

GUARDS: tuple[Guard, ...] = (
    _object_to_broken_rules,
    _object_to_lost_rows,
    _object_to_lost_totals,
    _object_to_missing_sums,
    _object_to_control_difference,
)
