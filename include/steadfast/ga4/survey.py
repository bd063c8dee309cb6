"""What the checks say about chunks, gathered per partition: how many rows, which sums, which rules broke.

Rows that break a critical rule, or have no date, are kept aside with their rules; the decision over the
partition is made in guard.py.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from steadfast.ga4.chunks import CellDamage, Chunk, FrameCheck
from steadfast.ga4.decode import DATE_COLUMN
from steadfast.ga4.landing import Slice
from steadfast.ga4.reports import Report

KEY_RULE = "key_unique"
TOLD_BY_DAMAGE = ("cell_readable", "key_present")
"""A cell that could not be read is null; its damage says so already, and says what it was."""
QUARANTINED_PER_RULE = 1000
"""More rows of one rule and chunk say nothing new; the count in the check result is complete."""
QUARANTINED_AT_LEAST = 10
"""What every slice of a chunk may show when many share the thousand."""

LOST_DAY = "date_is_other"
DAMAGE_SEVERITY = {"text_repaired": "warning", LOST_DAY: "warning"}
"""A repaired text keeps its numbers; an "(other)" date is Google's remainder. The rest is critical."""


@dataclass(frozen=True)
class Finding:
    """One rule that rows of one partition break; `day` is None for rows of no day that was asked for."""

    slice_no: int
    day: date | None
    rule: str
    severity: str
    failed_count: int
    detail: str


@dataclass(frozen=True)
class SetAside:
    """A row as it came, and the rules it breaks; `day` is None for a row of no day that was asked for."""

    slice_no: int
    day: date | None
    row_number: int
    content: Mapping[str, Any]
    rules: tuple[str, ...]


@dataclass(frozen=True)
class Breach:
    """Rows of one chunk that break one rule."""

    rule: str
    severity: str
    detail: str
    rows: npt.NDArray[np.int64]


@dataclass
class Survey:
    """Everything the first pass learns about the slices of a batch."""

    row_counts: dict[tuple[int, date], int] = field(default_factory=lambda: defaultdict(int))
    sums: dict[tuple[int, date], dict[str, float]] = field(default_factory=dict)
    digests: dict[tuple[int, date], list[bytes]] = field(default_factory=lambda: defaultdict(list))
    flags: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    missing_rows: dict[int, int] = field(default_factory=dict)
    """Rows that the pages of a slice announce and do not hold; no entry for a slice without pages."""
    findings: list[Finding] = field(default_factory=list)
    set_aside: list[SetAside] = field(default_factory=list)

    def content_hash(self, slice_no: int, day: date) -> bytes:
        """A digest of the rows as received; that of a day without rows is the digest of nothing."""
        return sha256(b"".join(self.digests.get((slice_no, day), []))).digest()

    def broken(self, slice_no: int, day: date) -> tuple[str, ...]:
        """Sentences of the critical rules that rows of the partition, or rows of no partition, break.

        A day without rows, beside rows that lost their day, is not known to be empty.
        """
        is_bare = (slice_no, day) not in self.row_counts
        return tuple(
            finding.detail
            for finding in self.findings
            if finding.slice_no == slice_no
            and finding.day in (day, None)
            and (finding.severity == "critical" or (is_bare and finding.rule == LOST_DAY))
        )

    def is_complete(self, slice_no: int) -> bool:
        """Tell whether all pages of the slice were there."""
        return self.missing_rows.get(slice_no) == 0

    def repeats_keys(self, slice_no: int) -> bool:
        """Tell whether a key came twice: the sign of a report that changed between two pages."""
        return any(finding.slice_no == slice_no and finding.rule == KEY_RULE for finding in self.findings)


def survey_chunk(
    survey: Survey, chunk: Chunk, report: Report, slices: Sequence[Slice], check: FrameCheck
) -> None:
    """Add what one chunk says to the survey."""
    for slice_no, heads in chunk.heads.items():
        survey.flags[slice_no].update(flag for head in heads for flag in head.flags)
        missing = survey.missing_rows.get(slice_no, heads[0].row_count)
        survey.missing_rows[slice_no] = missing - sum(head.page_rows for head in heads)
    for key, digests in chunk.digests.items():
        survey.digests[key] += digests
    _count_partitions(survey, chunk, report)
    is_outside = _find_outside_range(chunk, slices)
    broken = [*_find_breaches(chunk, report, check), *_group_damages(chunk)]
    outside = np.flatnonzero(is_outside)
    if len(outside):
        broken.append(
            Breach("date_in_range", "critical", "GA4 answered days that were not asked for", outside)
        )
    if broken:
        _record_findings(survey, chunk, broken, is_outside)


def _find_breaches(chunk: Chunk, report: Report, check: FrameCheck) -> Iterator[Breach]:
    """Broken rules, told slice by slice: what the rows of one entity hold is not for another to read."""
    frame, slice_nos = chunk.frame(report), chunk.table["slice_no"].to_numpy()
    touched = {int(n) for rule in check(report.table, frame) for n in np.unique(slice_nos[rule.rows])}
    damaged = np.array([cell.row for cell in chunk.damages], np.int64)
    for slice_no in sorted(touched):
        own = np.flatnonzero(slice_nos == slice_no)
        for rule in check(report.table, frame.iloc[own].reset_index(drop=True)):
            rows = own[rule.rows]
            rows = np.setdiff1d(rows, damaged) if rule.name in TOLD_BY_DAMAGE else rows
            if len(rows):
                yield Breach(rule.name, rule.severity, rule.detail, rows)


def _group_damages(chunk: Chunk) -> Iterator[Breach]:
    slice_nos = chunk.table["slice_no"].to_numpy()
    grouped: dict[tuple[int, str, str], list[CellDamage]] = defaultdict(list)
    for cell in chunk.damages:
        grouped[int(slice_nos[cell.row]), cell.damage.rule, cell.damage.column].append(cell)
    for (_, rule, column), cells in grouped.items():
        rows = np.array([cell.row for cell in cells], np.int64)
        severity = DAMAGE_SEVERITY.get(rule, "critical")
        yield Breach(rule, severity, _describe_damage(rule, column, cells), rows)


def _describe_damage(rule: str, column: str, cells: Sequence[CellDamage]) -> str:
    shown = ", ".join(repr(cell.damage.text[:60]) for cell in cells[:3])
    return f"{column}: {len(cells)} cells are {rule.replace('_', ' ')}: {shown}"


def _find_outside_range(chunk: Chunk, slices: Sequence[Slice]) -> npt.NDArray[np.bool_]:
    """Tell for every row whether it has a day that its slice does not cover."""
    days = pc.fill_null(chunk.table[DATE_COLUMN].cast(pa.int32()), -1).to_numpy()
    slice_nos = chunk.table["slice_no"].to_numpy()
    epoch = date(1970, 1, 1)
    first = np.array([(s.item.range.start - epoch).days for s in slices])[slice_nos]
    last = np.array([(s.item.range.end - epoch).days for s in slices])[slice_nos]
    is_outside: npt.NDArray[np.bool_] = (days >= 0) & ((days < first) | (days > last))
    return is_outside


def _count_partitions(survey: Survey, chunk: Chunk, report: Report) -> None:
    names = [name for name, _ in report.measures]
    grouped = chunk.table.group_by(["slice_no", DATE_COLUMN]).aggregate(
        [("dim_key", "count"), *((name, "sum") for name in names)]
    )
    api_names = dict(zip(names, report.metrics, strict=True))
    for row in grouped.to_pylist():
        if row[DATE_COLUMN] is None:
            continue
        key = (row["slice_no"], row[DATE_COLUMN])
        survey.row_counts[key] += row["dim_key_count"]
        sums = survey.sums.setdefault(key, dict.fromkeys(report.metrics, 0.0))
        for name, api_name in api_names.items():
            sums[api_name] += float(row[f"{name}_sum"] or 0)


def _record_findings(
    survey: Survey, chunk: Chunk, broken: Sequence[Breach], is_outside: npt.NDArray[np.bool_]
) -> None:
    days = pc.if_else(pa.array(is_outside), pa.scalar(None, pa.date32()), chunk.table[DATE_COLUMN])
    places = pa.table({"slice_no": chunk.table["slice_no"], "day": days})
    rules_of_row: dict[int, list[str]] = defaultdict(list)
    most = max(QUARANTINED_PER_RULE // len(chunk.heads), QUARANTINED_AT_LEAST)
    for breach in broken:
        for place, count in _count_places(places.take(pa.array(breach.rows))).items():
            survey.findings.append(Finding(*place, breach.rule, breach.severity, count, breach.detail))
        if breach.severity == "critical" or breach.rule.startswith("date_"):
            for row in breach.rows[:most].tolist():
                rules_of_row[row].append(breach.rule)
    raw = {(cell.row, cell.damage.column): cell.damage.text for cell in chunk.damages}
    rows = sorted(rules_of_row)
    chosen = pa.array(rows, pa.int64())
    for row, content, day in zip(
        rows, chunk.table.take(chosen).to_pylist(), days.take(chosen).to_pylist(), strict=True
    ):
        survey.set_aside.append(_set_aside(content, day, row, raw, rules_of_row[row]))


def _count_places(places: pa.Table) -> dict[tuple[int, date | None], int]:
    counted = places.group_by(["slice_no", "day"]).aggregate([([], "count_all")]).to_pylist()
    return {(row["slice_no"], row["day"]): row["count_all"] for row in counted}


def _set_aside(
    content: dict[str, Any],
    day: date | None,
    row: int,
    raw: Mapping[tuple[int, str], str],
    rules: Sequence[str],
) -> SetAside:
    slice_no, row_number = content.pop("slice_no"), content.pop("row_number")
    shown = {name: raw.get((row, name), value) for name, value in content.items()}
    return SetAside(slice_no, day, row_number, shown, tuple(rules))
