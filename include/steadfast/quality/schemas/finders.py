"""Ways to find the rows that break a rule, one function each, all on whole columns.

Each takes the columns it looks at and gives the `find` of a Rule. A column that is clean costs one
pass without a mask. A null never breaks a rule here: `find_nulls` is the rule about nulls.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from steadfast.quality.rule import Breach, arrow_column, true_rows

Find = Callable[[pd.DataFrame], Iterator[Breach]]


def find_nulls(columns: Sequence[str]) -> Find:
    """Rows without a value in one of `columns`."""

    def find(frame: pd.DataFrame) -> Iterator[Breach]:
        for name in columns:
            values = arrow_column(frame, name)
            if values.null_count:
                yield Breach((name,), true_rows(values.is_null()))

    return find


def find_duplicates(columns: Sequence[str]) -> Find:
    """Every row whose `columns` together occur more than once; rows with a null among them do not count."""

    def find(frame: pd.DataFrame) -> Iterator[Breach]:
        if _count_distinct(frame, columns) == len(frame):
            return
        keys = frame[list(columns)]
        is_repeated = keys.duplicated(keep=False) & keys.notna().all(axis=1)
        if is_repeated.any():
            yield Breach(tuple(columns), np.flatnonzero(is_repeated))

    return find


def find_outside(columns: Sequence[str], least: int | None, most: int | None) -> Find:
    """Numbers below `least` or above `most`; None leaves that side open."""

    def find(frame: pd.DataFrame) -> Iterator[Breach]:
        for name in columns:
            values = arrow_column(frame, name)
            lowest, highest = pc.min_max(values).as_py().values()
            is_low = None not in (least, lowest) and lowest < least
            is_high = None not in (most, highest) and highest > most
            if is_low or is_high:
                yield Breach((name,), true_rows(_outside_mask(values, least, most)))

    return find


def find_not_finite(columns: Sequence[str]) -> Find:
    """Doubles that are infinite or not a number."""

    def find(frame: pd.DataFrame) -> Iterator[Breach]:
        for name in columns:
            bad = pc.invert(pc.is_finite(arrow_column(frame, name)))
            if pc.any(bad).as_py():
                yield Breach((name,), true_rows(bad))

    return find


def find_larger_part(pairs: Sequence[tuple[str, str]], slack: float) -> Find:
    """Rows where the first of a pair exceeds the second by more than the share `slack`."""

    def find(frame: pd.DataFrame) -> Iterator[Breach]:
        for part, whole in pairs:
            allowed = pc.multiply(pc.cast(arrow_column(frame, whole), pa.float64(), safe=False), 1 + slack)
            bad = pc.greater(pc.cast(arrow_column(frame, part), pa.float64(), safe=False), allowed)
            if pc.any(bad).as_py():
                yield Breach((part, whole), true_rows(bad))

    return find


def find_long_text(columns: Sequence[str], most: int) -> Find:
    """Texts of more than `most` characters."""

    def find(frame: pd.DataFrame) -> Iterator[Breach]:
        for name in columns:
            values = arrow_column(frame, name)
            # A text never has more characters than bytes, and counting bytes is almost free.
            if (pc.max(pc.binary_length(values)).as_py() or 0) > most:
                rows = true_rows(pc.greater(pc.utf8_length(values), most))
                if len(rows):
                    yield Breach((name,), rows)

    return find


def find_unlisted(column: str, allowed: Sequence[str]) -> Find:
    """Texts that are not among `allowed`."""
    listed = pa.array(allowed, pa.string())

    def find(frame: pd.DataFrame) -> Iterator[Breach]:
        values = arrow_column(frame, column)
        # skip_nulls keeps a null out of the list; is_valid keeps it out of the answer.
        bad = pc.and_(pc.is_valid(values), pc.invert(pc.is_in(values, listed, skip_nulls=True)))
        if pc.any(bad).as_py():
            yield Breach((column,), true_rows(bad))

    return find


def find_unmatched(column: str, pattern: str, placeholders: Sequence[str] = ()) -> Find:
    """Texts that do not match the whole of `pattern` and are not among `placeholders`."""
    is_match = re.compile(pattern).fullmatch

    def find(frame: pd.DataFrame) -> Iterator[Breach]:
        values = arrow_column(frame, column)
        # Each different text once, in Python: Arrow compiles such a pattern longer than it checks a page.
        bad = [text for text in pc.unique(values).to_pylist() if text is not None and not is_match(text)]
        bad = [text for text in bad if text not in placeholders]
        if bad:
            yield Breach((column,), true_rows(pc.is_in(values, pa.array(bad, pa.string()))))

    return find


def _count_distinct(frame: pd.DataFrame, columns: Sequence[str]) -> int:
    keys = pa.table({name: arrow_column(frame, name) for name in columns})
    count: int = keys.group_by(list(columns), use_threads=False).aggregate([]).num_rows
    return count


def _outside_mask(values: pa.Array, least: int | None, most: int | None) -> pa.Array:
    bad = pc.less(values, _number(values, least)) if least is not None else None
    if most is None:
        return bad
    high = pc.greater(values, _number(values, most))
    return high if bad is None else pc.or_(bad, high)


def _number(values: pa.Array, number: int) -> pa.Scalar:
    return pa.scalar(Decimal(number) if pa.types.is_decimal(values.type) else number, values.type)
