"""The types a landed frame has, and the harmless ways in which a frame may hold the same values otherwise.

To support a new SQL type of a metric, add it to ARROW_TYPES.
"""

import pandas as pd
import pyarrow as pa

from steadfast.errors import ConfigError
from steadfast.quality.rule import arrow_column
from steadfast.warehouse.facts import FactTable

ARROW_TYPES: dict[str, pa.DataType] = {
    "bigint": pa.int64(),
    "double precision": pa.float64(),
    "numeric(20,6)": pa.decimal128(20, 6),
}


def expected_types(table: FactTable) -> dict[str, pd.ArrowDtype]:
    """Column -> type that the checks of `table` expect, in the order of the table."""
    text = pd.ArrowDtype(pa.string())
    key = (pd.ArrowDtype(pa.int64()), pd.ArrowDtype(pa.date32()), text)
    types = dict(zip(("property_id", table.date_column, "dim_key"), key, strict=True))
    types |= dict.fromkeys(table.dimensions, text)
    return types | {name: _metric_type(table, name, kind) for name, kind in table.metrics}


def conform_frame(table: FactTable, frame: pd.DataFrame) -> pd.DataFrame:
    """Number the rows from 0 and hold equal values in the expected types; what does not fit stays."""
    numbered = frame.reset_index(drop=True)
    for name, kind in expected_types(table).items():
        if name in numbered.columns and numbered[name].dtype != kind:
            numbered[name] = _conform(numbered, name, kind.pyarrow_dtype)
    return numbered


def _metric_type(table: FactTable, name: str, kind: str) -> pd.ArrowDtype:
    if kind not in ARROW_TYPES:
        valid = ", ".join(ARROW_TYPES)
        raise ConfigError(f"Metric {name} of {table.name} has the SQL type {kind!r}; known are {valid}.")
    return pd.ArrowDtype(ARROW_TYPES[kind])


def _conform(frame: pd.DataFrame, name: str, wanted: pa.DataType) -> pd.Series:
    try:
        column = arrow_column(frame, name)
        # Text that looks like a number is a fault of the decoder, not another way to hold a number.
        if not pa.types.is_null(column.type) and pa.types.is_string(wanted) != _is_text(column.type):
            return frame[name]
        return pd.Series(pd.arrays.ArrowExtensionArray(column.cast(wanted)))
    except (pa.ArrowException, ValueError, TypeError):
        # The schema reports the column with the type it has.
        return frame[name]


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))
