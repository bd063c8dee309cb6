"""The order of a report's rows: as asked, else by the first metric; ties are shuffled anew each time."""

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from steadfast.demo.ga4.chance import Floats
from steadfast.demo.ga4.encode import Encoded, Integers
from steadfast.demo.ga4.messages import reject_argument

_CASE_INSENSITIVE, _NUMERIC = 2, 3
_serial = itertools.count()


def check_order(orders: Sequence[Any], dimensions: Sequence[str], metrics: Sequence[str]) -> None:
    """Refuse an order by a field that the report does not ask for."""
    for order in orders:
        name = order.dimension.dimension_name or order.metric.metric_name
        if order.HasField("pivot"):
            raise reject_argument("Pivot orders are only for pivot reports.")
        if name not in (dimensions if order.HasField("dimension") else metrics):
            raise reject_argument(
                f"Field {name} exists in OrderBy but is not defined in input Dimensions/Metrics list"
            )


def find_order(
    encoded: Encoded, orders: Sequence[Any], dimensions: Sequence[str], metrics: Sequence[str], shuffles: bool
) -> Integers | None:
    """Where each row goes, or None when the rows stand right; with `shuffles`, ties fall anew each time."""
    if _is_natural(orders, dimensions) or len(encoded) < 2:
        return None
    keys = [_rank(encoded, order, dimensions, metrics) for order in orders]
    if not orders:
        keys = [-_read_metric(encoded, 0)] if metrics else [np.arange(len(encoded), dtype=np.float64)]
    count = len(encoded)
    if not shuffles:
        return np.lexsort(keys[::-1]).astype(np.int64)
    shuffled = np.random.default_rng(next(_serial)).permutation(count)
    return np.lexsort([shuffled, *reversed(keys)]).astype(np.int64)


def _is_natural(orders: Sequence[Any], dimensions: Sequence[str]) -> bool:
    """Rows are kept sorted by their dimensions as requested, which is how a careful client asks."""
    return len(orders) >= len(dimensions) > 0 and all(
        order.dimension.dimension_name == name
        and not order.desc
        and order.dimension.order_type < _CASE_INSENSITIVE
        for order, name in zip(orders, dimensions, strict=False)
    )


def _rank(encoded: Encoded, order: Any, dimensions: Sequence[str], metrics: Sequence[str]) -> Floats:
    if order.HasField("metric"):
        ranks = _read_metric(encoded, metrics.index(order.metric.metric_name))
    else:
        place = dimensions.index(order.dimension.dimension_name)
        ranks = _rank_texts([key[place] for key, _ in encoded.rows], order.dimension.order_type)
    return -ranks if order.desc else ranks


def _read_metric(encoded: Encoded, place: int) -> Floats:
    if place == 0:
        return encoded.first_metric
    return np.array([float(texts[place]) for _, texts in encoded.rows])


def _rank_texts(texts: list[str], kind: int) -> Floats:
    if kind == _NUMERIC:
        return np.array([float(text) if text.replace(".", "", 1).isdigit() else -1.0 for text in texts])
    if kind == _CASE_INSENSITIVE:
        texts = [text.lower() for text in texts]
    places = {text: place for place, text in enumerate(sorted(set(texts)))}
    return np.array([places[text] for text in texts], dtype=np.float64)
