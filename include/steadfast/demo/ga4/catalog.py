"""GetMetadata and CheckCompatibility: which fields there are, and which go together."""

from collections.abc import Sequence
from typing import Any

from google.analytics.data_v1beta.types import CheckCompatibilityResponse, Compatibility, Metadata

from steadfast.demo.ga4.fields import DIMENSIONS, METRICS, Dimension, Metric, find_incompatible
from steadfast.demo.ga4.validate import read_fields

METADATA = Metadata.pb()
COMPATIBILITY = CheckCompatibilityResponse.pb()
_YES, _NO = Compatibility.COMPATIBLE, Compatibility.INCOMPATIBLE


def build_metadata(property_id: str) -> Any:
    """Every field a property has; there are no custom ones."""
    answer = METADATA(name=f"properties/{property_id}/metadata")
    for dimension in DIMENSIONS.values():
        _fill_dimension(answer.dimensions.add(), dimension)
    for metric in METRICS.values():
        _fill_metric(answer.metrics.add(), metric)
    return answer


def _fill_dimension(entry: Any, field: Dimension) -> None:
    entry.api_name, entry.ui_name, entry.category = field.name, field.label, field.category
    entry.deprecated_api_names.extend(field.deprecated)
    entry.description = f"{field.label} of the {field.category.lower()} category."


def _fill_metric(entry: Any, field: Metric) -> None:
    entry.api_name, entry.ui_name, entry.category = field.name, field.label, field.category
    entry.deprecated_api_names.extend(field.deprecated)
    entry.type_, entry.description = field.type, f"{field.label} of the {field.category.lower()} category."


def build_compatibility(request: Any, broken: Sequence[str]) -> Any:
    """Every field with whether it may join the request; fields in `broken` may join nothing."""
    dimensions = tuple(one.name for one in request.dimensions)
    metrics = tuple(one.name for one in request.metrics)
    if dimensions or metrics:
        _check_names(dimensions, metrics)
    wanted = request.compatibility_filter
    answer = COMPATIBILITY()
    for dimension in DIMENSIONS.values():
        fits = _YES if _fits(dimensions, metrics, broken, dimension=dimension.name) else _NO
        if wanted in (0, fits):
            _fill_dimension(
                answer.dimension_compatibilities.add(compatibility=fits).dimension_metadata, dimension
            )
    for metric in METRICS.values():
        fits = _YES if _fits(dimensions, metrics, broken, metric=metric.name) else _NO
        if wanted in (0, fits):
            _fill_metric(answer.metric_compatibilities.add(compatibility=fits).metric_metadata, metric)
    return answer


def _check_names(dimensions: tuple[str, ...], metrics: tuple[str, ...]) -> None:
    """Unknown and repeated names are refused as in a report; a clash is what the answer is about."""
    if dimensions:
        read_fields(dimensions, (), False)
    if metrics:
        read_fields((), metrics, False)


def _fits(
    dimensions: tuple[str, ...],
    metrics: tuple[str, ...],
    broken: Sequence[str],
    dimension: str | None = None,
    metric: str | None = None,
) -> bool:
    """Whether a field goes with the others of the request, which may themselves clash."""
    name = dimension or metric
    if name in broken:
        return False
    others = tuple(one for one in dimensions if one != name), tuple(one for one in metrics if one != name)
    if dimension:
        return find_incompatible((*others[0], dimension), others[1]) in (None, find_incompatible(*others))
    return find_incompatible(others[0], (*others[1], name or "")) in (None, find_incompatible(*others))
