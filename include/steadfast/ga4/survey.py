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
import pyarrow as pa
import pyarrow.compute as pc

from steadfast.ga4.chunks import Chunk, FrameCheck
from steadfast.ga4.decode import DATE_COLUMN
from steadfast.ga4.landing import Slice
from steadfast.ga4.reports import Report

KEY_RULE = "key_unique"
TOLD_BY_DAMAGE = ("cell_readable", "key_present")
"""A cell that could not be read is null; its damage says so already, and says what it was."""
QUARANTINED_PER_RULE = 1000
"""More rows of one rule and chunk say nothing new; the count in the check result is complete."""

DAMAGE_SEVERITY = {"text_repaired": "warning", "date_is_other": "warning"}
"""A repaired text keeps its numbers; an "(other)" date is Google's remainder. The rest is critical."""


@dataclass(frozen=True)
class Finding:
    """One rule that rows of one partition break; `day` is None where the row has no date."""

    slice_no: int
    day: date | None
    rule: str
    severity: str
    failed_count: int
    detail: str


@dataclass(frozen=True)
class SetAside:
    """A row as it came, and the rules it breaks."""

    slice_no: int
    day: str
    row_number: int
    content: Mapping[str, Any]
    rules: tuple[str, ...]


@dataclass
class Survey:
    """Everything the first pass learns about the slices of a batch."""

    row_counts: dict[tuple[int, date], int] = field(default_factory=lambda: defaultdict(int))
    sums: dict[tuple[int, date], dict[str, float]] = field(default_factory=dict)
    digests: dict[tuple[int, date], list[bytes]] = field(default_factory=lambda: defaultdict(list))
    flags: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    findings: list[Finding] = field(default_factory=list)
    set_aside: list[SetAside] = field(default_factory=list)

    def content_hash(self, slice_no: int, day: date) -> bytes:
        """A digest of the rows as received; that of a day without rows is the digest of nothing."""
        return sha256(b"".join(self.digests.get((slice_no, day), []))).digest()

    def broken(self, slice_no: int, day: date) -> tuple[str, ...]:
        """Sentences of the critical rules that rows of the partition break."""
        return tuple(
            finding.detail
            for finding in self.findings
            if (finding.slice_no, finding.day, finding.severity) == (slice_no, day, "critical")
        )

    def repeats_keys(self, slice_no: int) -> bool:
        """Tell whether a key came twice: the sign of a report that changed between two pages."""
        return any(finding.slice_no == slice_no and finding.rule == KEY_RULE for finding in self.findings)


def survey_chunk(
    survey: Survey, chunk: Chunk, report: Report, slices: Sequence[Slice], check: FrameCheck
) -> None:
    """Add what one chunk says to the survey."""
    for slice_no, heads in chunk.heads.items():
        survey.flags[slice_no].update(flag for head in heads for flag in head.flags)
    for key, digests in chunk.digests.items():
        survey.digests[key] += digests
    _count_partitions(survey, chunk, report)
    broken = dict(_check(chunk, report, check))
    broken.update(_group_damages(chunk))
    outside = _find_outside_range(chunk, slices)
    if len(outside):
        broken["date_in_range", "critical", DATE_COLUMN, "GA4 answered days that were not asked for"] = (
            outside
        )
    if broken:
        _record_findings(survey, chunk, broken)


def _check(
    chunk: Chunk, report: Report, check: FrameCheck
) -> Iterator[tuple[tuple[str, str, str, str], Any]]:
    damaged = np.array([cell.row for cell in chunk.damages], np.int64)
    for rule in check(report.table, chunk.frame(report)):
        rows = np.setdiff1d(rule.rows, damaged) if rule.name in TOLD_BY_DAMAGE else rule.rows
        if len(rows):
            yield (rule.name, rule.severity, rule.column, rule.detail), rows


def _is_critical(rule: str) -> bool:
    return DAMAGE_SEVERITY.get(rule, "critical") == "critical"


def _group_damages(chunk: Chunk) -> dict[tuple[str, str, str, str], Any]:
    grouped: dict[tuple[str, str], list[Any]] = defaultdict(list)
    for cell in chunk.damages:
        grouped[cell.damage.rule, cell.damage.column].append(cell)
    return {
        (
            rule,
            DAMAGE_SEVERITY.get(rule, "critical"),
            column,
            _describe_damage(rule, column, cells),
        ): np.array([cell.row for cell in cells], np.int64)
        for (rule, column), cells in grouped.items()
    }


def _describe_damage(rule: str, column: str, cells: Sequence[Any]) -> str:
    shown = ", ".join(repr(cell.damage.text[:60]) for cell in cells[:3])
    return f"{column}: {len(cells)} cells are {rule.replace('_', ' ')}: {shown}"


def _find_outside_range(chunk: Chunk, slices: Sequence[Slice]) -> Any:
    days = pc.fill_null(chunk.table[DATE_COLUMN].cast(pa.int32()), -1).to_numpy()
    slice_nos = chunk.table["slice_no"].to_numpy()
    epoch = date(1970, 1, 1)
    first = np.array([(s.item.range.start - epoch).days for s in slices])[slice_nos]
    last = np.array([(s.item.range.end - epoch).days for s in slices])[slice_nos]
    return np.flatnonzero((days >= 0) & ((days < first) | (days > last)))


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


def _record_findings(survey: Survey, chunk: Chunk, broken: Mapping[tuple[str, str, str, str], Any]) -> None:
    rules_of_row: dict[int, list[str]] = defaultdict(list)
    for (name, severity, _, detail), rows in broken.items():
        places = chunk.table.select(["slice_no", DATE_COLUMN]).take(pa.array(rows))
        for place, count in _count_places(places).items():
            survey.findings.append(Finding(*place, name, severity, count, detail))
        if severity == "critical" or name.startswith("date_"):
            for row in rows[:QUARANTINED_PER_RULE].tolist():
                rules_of_row[row].append(name)
    raw = {(cell.row, cell.damage.column): cell.damage.text for cell in chunk.damages}
    aside = chunk.table.take(pa.array(sorted(rules_of_row), pa.int64())).to_pylist()
    for position, content in zip(sorted(rules_of_row), aside, strict=True):
        survey.set_aside.append(_set_aside(content, position, raw, rules_of_row[position]))


def _count_places(places: pa.Table) -> dict[tuple[int, date | None], int]:
    counted = places.group_by(["slice_no", DATE_COLUMN]).aggregate([([], "count_all")]).to_pylist()
    return {(row["slice_no"], row[DATE_COLUMN]): row["count_all"] for row in counted}


def _set_aside(
    content: dict[str, Any], position: int, raw: Mapping[tuple[int, str], str], rules: Sequence[str]
) -> SetAside:
    slice_no, row_number = content.pop("slice_no"), content.pop("row_number")
    shown = {name: raw.get((position, name), value) for name, value in content.items()}
    return SetAside(slice_no, str(shown.pop(DATE_COLUMN)), row_number, shown, tuple(rules))
