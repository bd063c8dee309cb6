"""What a rule is: a name, how much it matters, what would be valid, what to do, and how to find the rows.

A rule looks at whole columns as Arrow arrays and yields a Breach for each column it finds broken;
a clean frame yields nothing and builds no row mask.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

Severity = Literal["critical", "warning"]
"""`critical` holds the partition back, `warning` is recorded."""
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Breach:
    """The row positions at which the values of `columns` break a rule."""

    columns: tuple[str, ...]
    rows: Rows


@dataclass(frozen=True)
class Rule:
    """One thing that must hold for the columns of a frame."""

    name: str
    severity: Severity
    valid: str
    """What would be valid, as the end of a sentence: `0 or more is valid`."""
    remedy: str
    """What a person should do about it: one plain sentence."""
    find: Callable[[pd.DataFrame], Iterator[Breach]]


@dataclass(frozen=True, eq=False)
class BrokenRule:
    """A rule that some rows of a frame break; `rows` are positions in the frame, in ascending order."""

    name: str
    severity: Severity
    column: str
    """The column at fault, or '' where the fault lies between columns."""
    rows: Rows
    detail: str
    remedy: str = ""


def arrow_column(frame: pd.DataFrame, name: str) -> Any:
    """One column of `frame` as an Arrow array in one piece, without a copy where pandas holds it so."""
    column = pa.array(frame[name].array)
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def true_rows(mask: Any) -> Rows:
    """The positions at which an Arrow boolean array is true; a null is not true."""
    return np.flatnonzero(mask.fill_null(False).to_numpy(zero_copy_only=False))
