"""Metric texts of GA4 as numbers of their SQL types, strictly.

A whole column is cast at once; if it refuses, the cells that surely cast are cast again and only the others
are read one by one through Decimal: GA4 writes whole numbers as "12.0" and "1.2E4" at times.
To support another SQL type, add its row to `NUMBERS`.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Context, Decimal
from math import isfinite
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from steadfast.ga4.damage import Damage, column_bytes, show_text

NUMBER = re.compile(rb"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,9})?")
LONGEST_NUMBER = 400
"""Digits after which a text is no longer read as a number: a double in full has 309 before the point."""
MONEY = pa.decimal128(20, 6)
EXACT = Context(prec=LONGEST_NUMBER + 40, rounding=ROUND_HALF_EVEN)


class NotWhole(Exception):
    """A count has a fraction."""


class OutOfRange(Exception):
    """A number is too large for its column."""


@dataclass(frozen=True)
class NumberKind:
    """How one SQL type is read: the fast cast of a column, and the careful reading of one text."""

    arrow_type: pa.DataType
    letters: bytes
    """What a column may consist of to be cast as a whole; the casts alone would take "0x10" or "inf"."""
    sure: str
    """Texts of this form cannot fail."""
    cast: Callable[[pa.StringArray], pa.Array]
    read: Callable[[Decimal], Any]


def cast_numbers(cells: pa.BinaryArray, column: str, sql_type: str) -> tuple[pa.Array, list[Damage]]:
    """Return the column in the Arrow type of `sql_type`, null where a text is not such a number."""
    kind = NUMBERS[sql_type]
    numbers = _cast_column(cells, kind) if _has_only(cells, kind.letters) else None
    return _cast_carefully(cells, column, kind) if numbers is None else (numbers, [])


def _cast_column(cells: pa.BinaryArray, kind: NumberKind) -> pa.Array | None:
    try:
        numbers = kind.cast(_as_text(cells))
    except pa.ArrowInvalid:
        return None
    is_infinite = pa.types.is_floating(numbers.type) and pc.any(pc.is_inf(numbers)).as_py()
    return None if is_infinite else numbers


def _cast_carefully(cells: pa.BinaryArray, column: str, kind: NumberKind) -> tuple[pa.Array, list[Damage]]:
    is_sure = pc.match_substring_regex(cells, kind.sure)
    sure = pc.if_else(is_sure, cells, pa.scalar(b"0", pa.binary()))
    rows = np.flatnonzero(~is_sure.to_numpy(zero_copy_only=False)).tolist()
    values, damages = [], []
    for row in rows:
        raw = cells[row].as_py()
        value, rule = _read_number(raw, kind)
        values.append(value)
        if rule:
            damages.append(Damage(row, column, show_text(raw), rule))
    numbers = kind.cast(_as_text(sure))
    replaced = pc.replace_with_mask(numbers, pc.invert(is_sure), pa.array(values, kind.arrow_type))
    return replaced, damages


def _read_number(raw: bytes, kind: NumberKind) -> tuple[Any, str]:
    if len(raw) > LONGEST_NUMBER or not NUMBER.fullmatch(raw):
        return None, "not_a_number"
    try:
        return kind.read(Decimal(raw.decode("ascii"))), ""
    except NotWhole:
        return None, "not_whole"
    except OutOfRange:
        return None, "out_of_range"


def _read_count(number: Decimal) -> int:
    # Checked before it becomes an int: "1E999999999" would fill the memory.
    if number and number.adjusted() > 18:
        raise OutOfRange
    if number and (number.adjusted() < 0 or number != number.to_integral_value(context=EXACT)):
        raise NotWhole
    count = int(number)
    if not -(2**63) <= count < 2**63:
        raise OutOfRange
    return count


def _read_double(number: Decimal) -> float:
    value = float(number)
    if not isfinite(value):
        raise OutOfRange
    return value


def _read_money(number: Decimal) -> Decimal:
    if number and number.adjusted() > 13:
        raise OutOfRange
    if number.adjusted() < -8:
        return Decimal("0.000000")
    money = number.quantize(Decimal("0.000001"), context=EXACT)
    if abs(money) >= 10**14:
        raise OutOfRange
    return money


def _cast_count(texts: pa.StringArray) -> pa.Array:
    return pc.cast(texts, pa.int64())


def _cast_double(texts: pa.StringArray) -> pa.Array:
    return pc.cast(texts, pa.float64())


def _cast_money(texts: pa.StringArray) -> pa.Array:
    # 18 places take every double above 1 in full, so that the one rounding is to even.
    exact = pc.cast(texts, pa.decimal128(38, 18))
    return pc.cast(pc.round(exact, 6, round_mode="half_to_even"), MONEY)


def _as_text(cells: pa.BinaryArray) -> pa.StringArray:
    return pa.StringArray.from_buffers(len(cells), *cells.buffers()[1:], cells.buffers()[0], -1, cells.offset)


def _has_only(cells: pa.BinaryArray, letters: bytes) -> bool:
    allowed: npt.NDArray[np.bool_] = np.zeros(256, dtype=np.bool_)
    allowed[list(letters)] = True
    return bool(allowed[column_bytes(cells)].all())


NUMBERS: Mapping[str, NumberKind] = {
    "bigint": NumberKind(pa.int64(), b"0123456789-", r"^-?[0-9]{1,18}$", _cast_count, _read_count),
    "double precision": NumberKind(
        pa.float64(),
        b"0123456789-+.eE",
        r"^-?[0-9]{1,17}(\.[0-9]{1,17})?$",
        _cast_double,
        _read_double,
    ),
    "numeric(20,6)": NumberKind(
        MONEY,
        b"0123456789-+.eE",
        r"^-?[0-9]{1,13}(\.[0-9]{1,18})?$",
        _cast_money,
        _read_money,
    ),
}
