"""Reads a report request as the API does: field by field, with the API's own refusals."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from google.analytics.data_v1beta.types import MetricType

from steadfast.demo.ga4.days import parse_range
from steadfast.demo.ga4.fields import (
    DIMENSIONS,
    METRICS,
    Dimension,
    Metric,
    find_dimension,
    find_incompatible,
    find_metric,
)
from steadfast.demo.ga4.messages import (
    reject_argument,
    reject_incompatible,
    reject_property_id,
    reject_unknown_dimension,
    reject_unknown_metric,
)
from steadfast.demo.ga4.ordering import check_order
from steadfast.demo.ga4.shape import Shape

DEFAULT_LIMIT, MOST_LIMIT = 10_000, 250_000
_UNSUPPORTED = ("dimension_filter", "metric_filter", "cohort_spec")


@dataclass(frozen=True)
class ReportQuery:
    """A valid request: the fields as they were spelled, what they mean, the days and the page."""

    dimensions: tuple[str, ...]
    metrics: tuple[str, ...]
    shape: Shape
    ranges: tuple[tuple[str, date, date], ...]
    orders: Sequence[Any]
    offset: int
    limit: int

    @property
    def metric_types(self) -> list[MetricType]:
        """The types for the header."""
        return [MetricType(METRICS[name].type) for name in self.shape.metrics]

    @property
    def is_thresholded(self) -> bool:
        """Whether the report could show who somebody is."""
        return any(DIMENSIONS[name].group == "demographics" for name in self.shape.dimensions)

    @property
    def days(self) -> int:
        """Days over all ranges, for the price."""
        return sum((last - first).days + 1 for _, first, last in self.ranges)


def parse_property(name: str) -> str:
    """The number in `properties/123`; anything else is refused with 403."""
    match = re.fullmatch(r"properties/([^/]+)(?:/metadata)?", name)
    text = match.group(1) if match else name.removeprefix("properties/")
    if not text.isdigit():
        raise reject_property_id(text)
    return text


def read_query(request: Any, today: date) -> ReportQuery:
    """A request as values, or the refusal that the API gives."""
    if not request.date_ranges:
        raise reject_argument("A dateRange is required.")
    if len(request.date_ranges) > 4:
        count = len(request.date_ranges)
        raise reject_argument(
            f"Requests are limited to 4 dateRanges.\n  This request contains {count} dateRanges."
        )
    _reject_unsupported(request)
    dimensions = tuple(one.name for one in request.dimensions)
    metrics = tuple(one.name for one in request.metrics)
    shape = read_fields(dimensions, metrics, request.keep_empty_rows)
    check_order(request.order_bys, dimensions, metrics)
    if request.limit < 0:
        raise reject_argument(f"limit must be positive. The API received limit = {request.limit}")
    if request.offset < 0:
        raise reject_argument(f"offset must be positive. The API received offset = {request.offset}")
    ranges = tuple(
        (one.name or f"date_range_{place}", *parse_range(one.start_date, one.end_date, today))
        for place, one in enumerate(request.date_ranges)
    )
    limit = min(request.limit or DEFAULT_LIMIT, MOST_LIMIT)
    return ReportQuery(dimensions, metrics, shape, ranges, request.order_bys, request.offset, limit)


def _reject_unsupported(request: Any) -> None:
    used = [name for name in _UNSUPPORTED if request.HasField(name)]
    used += [name for name in ("metric_aggregations", "comparisons") if getattr(request, name)]
    if used:
        raise reject_argument(f"This emulator does not answer requests with {', '.join(used)}.")


def read_fields(dimensions: tuple[str, ...], metrics: tuple[str, ...], keeps_empty: bool) -> Shape:
    """The fields by their current names; unknown, repeated, too many or clashing ones are refused."""
    if len(dimensions) > 9:
        raise reject_argument("Requests are limited to 9 dimensions within a nested request.")
    if len(metrics) > 10:
        raise reject_argument("Requests are limited to 10 metrics within a nested request.")
    if not dimensions and not metrics:
        raise reject_argument("A report needs at least one dimension or metric.")
    known = tuple(_know_dimension(name).name for name in dimensions)
    numbers = tuple(_know_metric(name).name for name in metrics)
    if repeated := _find_repeated(dimensions):
        raise reject_argument(f"Found duplicate dimensions: {repeated}")
    if repeated := _find_repeated(metrics):
        raise reject_argument(f"Duplicate metrics are not allowed. Found duplicate metrics: {repeated}")
    if clash := find_incompatible(dimensions, metrics):
        raise reject_incompatible(clash)
    return Shape(known, numbers, keeps_empty)


def _find_repeated(names: tuple[str, ...]) -> str | None:
    return next((name for name in names if names.count(name) > 1), None)


def _know_dimension(name: str) -> Dimension:
    if found := find_dimension(name):
        return found
    raise reject_unknown_dimension(name)


def _know_metric(name: str) -> Metric:
    if found := find_metric(name):
        return found
    raise reject_unknown_metric(name)
