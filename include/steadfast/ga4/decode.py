"""A page of GA4 as typed columns: what was read, and every cell that could not be read as it stands.

Nothing is dropped here: a damaged cell is null or repaired and told, and what becomes of its row is
decided by validation. A new flag of GA4's metadata is a row of `FLAGS`.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import date
from hashlib import sha256
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from google.analytics.data_v1beta import types

from steadfast.errors import ConfigError
from steadfast.ga4.damage import Damage, repair_texts, show_text
from steadfast.ga4.measures import cast_numbers
from steadfast.ga4.plain_rows import read_cells
from steadfast.ga4.quota import Bucket, QuotaReading
from steadfast.ga4.reports import Grain, Report
from steadfast.ga4.wire import Cells, Frame, UnexpectedLayout, cut_frame, frame_page, locate_cells

PART_ROWS = 50_000
OTHER = b"(other)"
DATE_COLUMN = "report_date"
METRIC_TYPES: Mapping[int, str] = {kind.value: name for name, kind in types.MetricType.__members__.items()}

FLAGS: Mapping[str, Callable[[Any], bool]] = {
    "other_row": lambda metadata: metadata.data_loss_from_other_row,
    "sampled": lambda metadata: bool(metadata.sampling_metadatas),
    "thresholded": lambda metadata: metadata.subject_to_thresholding,
    "metric_restricted": lambda metadata: bool(
        metadata.schema_restriction_response.active_metric_restrictions
    ),
    "truncated": lambda metadata: bool(metadata.data_truncation_reasons),
}


@dataclass(frozen=True)
class PageHead:
    """What a page says about itself; `row_count` is the whole report's, `page_rows` this page's."""

    dimension_names: tuple[str, ...]
    metric_names: tuple[str, ...]
    metric_types: tuple[str, ...]
    row_count: int
    page_rows: int
    time_zone: str
    currency: str
    flags: tuple[str, ...]
    empty_reason: str
    quota: QuotaReading | None


@dataclass(frozen=True)
class DecodedPage:
    """One page: columns report_date, dim_key, dimensions, metrics; damages; a digest of each date's rows."""

    head: PageHead
    table: pa.Table
    damages: tuple[Damage, ...]
    date_digests: dict[date, bytes]


def read_head(body: bytes) -> PageHead:
    """Read what a page says about itself, without its cells; SourceUnavailable when it is not an answer."""
    return _describe_frame(frame_page(body))


def decode_page(body: bytes, report: Report, part_rows: int = PART_ROWS) -> Iterator[DecodedPage]:
    """Decode one page of `report` in parts of at most `part_rows` rows, so that memory stays bounded.

    The last part carries the digests of the whole page. SourceUnavailable when the bytes are not an
    answer, ConfigError when they answer another question.
    """
    frame = frame_page(body)
    head = _describe_frame(frame)
    _check_headers(head, report)
    hashes: dict[date, Any] = {}
    for first in range(0, max(head.page_rows, 1), part_rows):
        after = first + part_rows
        part = cut_frame(frame, first, after)
        table, damages = _decode_rows(part, report, hashes)
        digests = (
            {day: running.digest() for day, running in hashes.items()} if after >= head.page_rows else {}
        )
        yield DecodedPage(replace(head, page_rows=table.num_rows), table, damages, digests)


def _decode_rows(
    frame: Frame, report: Report, hashes: dict[date, Any]
) -> tuple[pa.Table, tuple[Damage, ...]]:
    cells = _read_page(frame, report)
    codes, texts = _encode_runs(cells.columns[0])
    dates = [_parse_date(text, report.grain) for text in texts]
    columns = {DATE_COLUMN: _take_dates(dates, codes), "dim_key": cells.keys}
    damages = list(_damage_dates(codes, texts, dates))
    names = iter(cells.columns[1:])
    for column in report.columns:
        columns[column], found = repair_texts(next(names), column)
        damages += found
    for column, sql_type in report.measures:
        columns[column], found = cast_numbers(next(names), column, sql_type)
        damages += found
    _hash_dates(hashes, frame, codes, dates)
    return pa.table(columns), tuple(damages)


def _read_page(frame: Frame, report: Report) -> Cells:
    counts = 1 + len(report.dimensions), len(report.metrics)
    try:
        return locate_cells(frame, *counts)
    except UnexpectedLayout:
        return read_cells(frame, *counts)


def _describe_frame(frame: Frame) -> PageHead:
    rest, metadata = frame.rest, frame.rest.metadata
    return PageHead(
        dimension_names=tuple(header.name for header in rest.dimension_headers),
        metric_names=tuple(header.name for header in rest.metric_headers),
        metric_types=tuple(_name_type(header.type_) for header in rest.metric_headers),
        row_count=rest.row_count,
        page_rows=len(frame.starts),
        time_zone=metadata.time_zone,
        currency=metadata.currency_code,
        flags=tuple(name for name, is_set in FLAGS.items() if is_set(metadata)),
        empty_reason=metadata.empty_reason,
        quota=_read_quota(rest.property_quota) if rest.HasField("property_quota") else None,
    )


def _name_type(number: int) -> str:
    return METRIC_TYPES.get(number, f"TYPE_{number}")


def _read_quota(quota: Any) -> QuotaReading:
    names = [field.name for field in fields(QuotaReading) if quota.HasField(field.name)]
    read = {name: getattr(quota, name) for name in names}
    return QuotaReading(**{name: Bucket(status.consumed, status.remaining) for name, status in read.items()})


def _check_headers(head: PageHead, report: Report) -> None:
    asked = ((report.grain.value, *report.dimensions), report.metrics)
    found = (head.dimension_names, head.metric_names)
    if found == asked:
        return
    if found == ((), ()) and not head.page_rows and not head.row_count:
        return
    raise ConfigError(
        f"The page answers {', '.join(found[0] + found[1]) or 'nothing'}, "
        f"but report {report.name} asks for {', '.join(asked[0] + asked[1])}; fetch it again."
    )


def _encode_runs(cells: pa.BinaryArray) -> tuple[npt.NDArray[np.int32], list[bytes]]:
    encoded = cells.dictionary_encode()
    return encoded.indices.to_numpy(), encoded.dictionary.to_pylist()


def _parse_date(text: bytes, grain: Grain) -> date | None:
    digits = 8 if grain is Grain.DAY else 6
    if len(text) != digits or not text.isdigit():
        return None
    year, rest = int(text[:4]), int(text[4:])
    try:
        if grain is Grain.DAY:
            return date(year, rest // 100, rest % 100)
        if grain is Grain.WEEK:
            return date.fromisocalendar(year, rest, 1)
        return date(year, rest, 1)
    except ValueError:
        return None


def _take_dates(dates: list[date | None], codes: npt.NDArray[np.int32]) -> pa.Array:
    return pa.array(dates, pa.date32()).take(pa.array(codes))


def _damage_dates(
    codes: npt.NDArray[np.int32], texts: list[bytes], dates: list[date | None]
) -> Iterator[Damage]:
    for code, (text, day) in enumerate(zip(texts, dates, strict=True)):
        if day is None:
            rule = "date_is_other" if text == OTHER else "date_not_a_date"
            shown = show_text(text)
            for row in np.flatnonzero(codes == code).tolist():
                yield Damage(row, DATE_COLUMN, shown, rule)


def _hash_dates(
    hashes: dict[date, Any], frame: Frame, codes: npt.NDArray[np.int32], dates: list[date | None]
) -> None:
    """Hash each date's rows as received; a run of neighbouring rows of one date is one slice of the body."""
    breaks = np.flatnonzero((codes[1:] != codes[:-1]) | (frame.fields[1:] != frame.ends[:-1])) + 1
    firsts = [0, *breaks.tolist()] if len(codes) else []
    body = memoryview(frame.body)
    for first, after in zip(firsts, [*firsts[1:], len(codes)], strict=False):
        day = dates[codes[first]]
        if day is not None:
            hashes.setdefault(day, sha256()).update(body[frame.fields[first] : frame.ends[after - 1]])
