"""A report as it is answered: the header and metadata as a message, the page's rows as bytes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from google.analytics.data_v1beta.types import RunReportResponse

from steadfast.demo.ga4.encode import Encoded, Row, encode_rows
from steadfast.demo.ga4.faults import DAYS, ROW_FAULTS, Fault, Page, lose_day
from steadfast.demo.ga4.ordering import find_order
from steadfast.demo.ga4.sample_source import OTHER
from steadfast.demo.ga4.validate import ReportQuery
from steadfast.demo.ga4.world import World

RESPONSE = RunReportResponse.pb()
COLLAPSE_KEEPS = 0.02
_OTHER_BYTES = b"\x0a\x07" + OTHER.encode()


@dataclass(frozen=True)
class Report:
    """One answer; `header` is the response without its rows."""

    header: Any
    page: Encoded

    def write_wire(self) -> bytes:
        """The response as protobuf: fields may come in any order, so header and rows are simply joined."""
        return bytes(self.header.SerializeToString()) + self.page.buffer


def build_report(
    world: World, property_id: str, query: ReportQuery, faults: Sequence[Fault], shuffles: bool
) -> Report:
    """The page that a valid query gets, with the faults that spoil it."""
    encoded, dimensions = _collect_ranges(world, property_id, query)
    encoded = _lose_days(encoded, world.find_yesterday(property_id).strftime("%Y%m%d"), dimensions, faults)
    page = _cut_page(encoded, query, dimensions, shuffles)
    for fault in faults:
        if fault.kind in ROW_FAULTS:
            spoiled = Page(list(page.rows), dimensions, query.metrics)
            page = encode_rows(ROW_FAULTS[fault.kind](spoiled, fault))
    header = _write_header(world, property_id, query, dimensions)
    _write_count(header, len(encoded), faults)
    _write_flags(header, _OTHER_BYTES in encoded.buffer, query, faults)
    return Report(header, page)


def _collect_ranges(world: World, property_id: str, query: ReportQuery) -> tuple[Encoded, tuple[str, ...]]:
    """The rows of the one range, or of all ranges with their name as one more dimension."""
    answers = [world.answer(property_id, query.shape, first, last) for _, first, last in query.ranges]
    if len(answers) == 1:
        return answers[0], query.dimensions
    named = zip(query.ranges, answers, strict=True)
    rows: list[Row] = [((*key, name), texts) for (name, _, _), one in named for key, texts in one.rows]
    return encode_rows(sorted(rows)), (*query.dimensions, "dateRange")


def _lose_days(
    encoded: Encoded, yesterday: str, dimensions: Sequence[str], faults: Sequence[Fault]
) -> Encoded:
    for fault in faults:
        if fault.kind not in DAYS or "date" not in dimensions:
            continue
        if fault.kind == "collapse" and len(dimensions) == 1:
            continue
        day = fault.date.replace("-", "") or yesterday
        kept = COLLAPSE_KEEPS if fault.kind == "collapse" else 0.0
        encoded = encode_rows(lose_day(encoded.rows, dimensions.index("date"), day, kept))
    return encoded


def _cut_page(encoded: Encoded, query: ReportQuery, dimensions: Sequence[str], shuffles: bool) -> Encoded:
    order = find_order(encoded, query.orders, dimensions, query.metrics, shuffles)
    if order is None:
        return encoded.slice(query.offset, query.offset + query.limit)
    return encoded.take(np.asarray(order[query.offset : query.offset + query.limit]))


def _write_header(world: World, property_id: str, query: ReportQuery, dimensions: Sequence[str]) -> Any:
    header = RESPONSE(kind="analyticsData#runReport")
    for name in dimensions:
        header.dimension_headers.add(name=name)
    for name, kind in zip(query.metrics, query.metric_types, strict=True):
        header.metric_headers.add(name=name, type_=kind)
    info = world.describe(property_id)
    header.metadata.currency_code, header.metadata.time_zone = info.currency, info.time_zone
    return header


def _write_count(header: Any, count: int, faults: Sequence[Fault]) -> None:
    if any(fault.kind == "row_count_changes" for fault in faults):
        count += 7
    header.row_count = count


def _write_flags(header: Any, has_other: bool, query: ReportQuery, faults: Sequence[Fault]) -> None:
    kinds = {fault.kind: fault for fault in faults}
    metadata = header.metadata
    metadata.data_loss_from_other_row = has_other or "other_in_date" in kinds
    if query.is_thresholded or "thresholded" in kinds:
        # Set to false it would be written out, which the real API never does.
        metadata.subject_to_thresholding = True
    if "sampled" in kinds:
        for _ in query.ranges:
            metadata.sampling_metadatas.add(samples_read_count=10_000_000, sampling_space_size=43_218_764)
    if "time_zone_changed" in kinds:
        metadata.time_zone = kinds["time_zone_changed"].value or "Asia/Tokyo"
    if "currency_changed" in kinds:
        metadata.currency_code = kinds["currency_changed"].value or "EUR"
    if "empty_yesterday" in kinds and kinds["empty_yesterday"].value:
        metadata.empty_reason = kinds["empty_yesterday"].value
