"""Cells of a RunReportResponse, taken from its raw bytes in columns.

A page holds millions of cells; one object a cell would cost more than everything else we do with it.
`locate_cells` moves one cursor per row, all rows at once, through the layout Google writes. A row with any
other legal layout sends its page to plain_rows.py, which is slow, general and gives equal results.
"""

from array import array
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from google.analytics.data_v1beta import types
from google.protobuf.message import DecodeError

from steadfast.errors import SourceUnavailable

Bytes = npt.NDArray[np.uint8]
Positions = npt.NDArray[np.int64]
Span = npt.NDArray[np.int32]
"""(n, 2): where the text of one column begins and ends in each row."""

ROWS_TAG = 0x1A
CELL_TAGS = (0x0A, 0x12)
VALUE_TAGS = (0x0A, 0x22)
"""Of dimension and metric: the cell's field in Row, and the text's field in the cell."""
MAX_BODY = 2**31 - 1
BATCH = 20_000


class UnexpectedLayout(Exception):
    """A row is written in a way the fast path does not read."""


@dataclass(frozen=True)
class Frame:
    """A body cut into rows and the rest: row i is body[starts[i]:ends[i]], its field begins at fields[i]."""

    body: bytes
    fields: Positions
    starts: Positions
    ends: Positions
    rest: types.RunReportResponse


@dataclass(frozen=True)
class Cells:
    """Columns of raw bytes, dimensions first, and one key a row over all dimensions but the first."""

    columns: tuple[pa.BinaryArray, ...]
    keys: pa.StringArray


def frame_page(body: bytes) -> Frame:
    """Find the rows of `body` and parse everything else; SourceUnavailable when it is not an answer."""
    if not body or len(body) > MAX_BODY:
        raise SourceUnavailable(f"GA4 sent {len(body):,} bytes instead of a report of 1 byte to 2 GiB.")
    fields, starts, ends = array("q"), array("q"), array("q")
    others: list[bytes] = []
    try:
        _walk_fields(body, fields, starts, ends, others)
        rest = types.RunReportResponse.pb().FromString(b"".join(others))
        if rest.rows:
            raise ValueError("rows are written under an unusual tag")
    except (IndexError, ValueError, DecodeError) as error:
        raise SourceUnavailable(
            f"GA4 sent {len(body):,} bytes that are not a report ({error}); they begin with {body[:40]!r}."
        ) from error
    return Frame(body, _positions(fields), _positions(starts), _positions(ends), rest)


def cut_frame(frame: Frame, first: int, after: int) -> Frame:
    """The rows from `first` up to, not including, `after`."""
    rows = slice(first, after)
    return replace(frame, fields=frame.fields[rows], starts=frame.starts[rows], ends=frame.ends[rows])


def locate_cells(frame: Frame, dimension_count: int, metric_count: int) -> Cells:
    """Read the cells with one cursor per row; UnexpectedLayout when a row is written otherwise."""
    data = np.frombuffer(frame.body, dtype=np.uint8)
    cursor = frame.starts
    spans = []
    for is_metric in [False] * dimension_count + [True] * metric_count:
        span, cursor = _locate_cell(data, cursor, CELL_TAGS[is_metric], VALUE_TAGS[is_metric])
        spans.append(span)
    # Only this check makes the spans safe to read: cursors never go back, so none has left its row.
    if not np.array_equal(cursor, frame.ends):
        raise UnexpectedLayout
    keys = _hash_spans(frame.body, spans[:dimension_count])
    return Cells(tuple(_gather_cells(frame.body, span) for span in spans), keys)


def encode_dimensions(values: list[bytes]) -> bytes:
    """The form under a row's key: the fields as Google writes them, an empty text explicitly."""
    inner = (b"\x0a" + _encode_varint(len(value)) + value for value in values)
    return b"".join(b"\x0a" + _encode_varint(len(cell)) + cell for cell in inner)


def _walk_fields(body: bytes, fields: array, starts: array, ends: array, others: list[bytes]) -> None:  # type: ignore[type-arg]
    size, position = len(body), 0
    while position < size:
        field = position
        if body[position] != ROWS_TAG:
            position = _skip_field(body, position)
            others.append(body[field:position])
            continue
        length = body[position + 1]
        position += 2
        if length > 127:
            # Almost every row is this long, so the usual two bytes are read without a call.
            high = body[position]
            if high < 128:
                length, position = length & 0x7F | high << 7, position + 1
            else:
                length, position = _read_varint(body, position - 1)
        fields.append(field)
        starts.append(position)
        position += length
        ends.append(position)
    if position != size:
        raise ValueError("the last field is cut off")


def _skip_field(body: bytes, position: int) -> int:
    tag, position = _read_varint(body, position)
    if tag & 7 == 0:
        return _read_varint(body, position)[1]
    if tag & 7 == 2:
        length, position = _read_varint(body, position)
        return position + length
    if tag & 7 in (1, 5):
        return position + (8 if tag & 7 == 1 else 4)
    raise ValueError(f"wire type {tag & 7} at byte {position}")


def _read_varint(body: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while shift < 64:
        byte = body[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 128:
            return value, position
        shift += 7
    raise ValueError(f"a varint of more than ten bytes at byte {position}")


def _encode_varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _positions(values: array) -> Positions:  # type: ignore[type-arg]
    return np.array(values, dtype=np.int64)


def _locate_cell(data: Bytes, cursor: Positions, cell_tag: int, value_tag: int) -> tuple[Span, Positions]:
    """Return (n, 2) start and end of each row's next cell, and the cursors behind it."""
    _expect_byte(data, cursor, cell_tag)
    outer, begin = _read_lengths(data, cursor + 1)
    end = begin + outer
    filled = outer > 0
    if filled.all():
        begin = _enter_values(data, begin, end, value_tag)
    elif filled.any():
        begin[filled] = _enter_values(data, begin[filled], end[filled], value_tag)
    return np.stack((begin, end), axis=1).astype(np.int32), end


def _enter_values(data: Bytes, begin: Positions, end: Positions, value_tag: int) -> Positions:
    _expect_byte(data, begin, value_tag)
    length, begin = _read_lengths(data, begin + 1)
    if not np.array_equal(begin + length, end):
        raise UnexpectedLayout
    return begin


def _expect_byte(data: Bytes, at: Positions, value: int) -> None:
    if not (data.take(at, mode="clip") == value).all():
        raise UnexpectedLayout


def _read_lengths(data: Bytes, at: Positions) -> tuple[Positions, Positions]:
    byte = data.take(at, mode="clip")
    length = (byte & 0x7F).astype(np.int64)
    at += 1
    open_rows = np.flatnonzero(byte & 0x80)
    for shift in (7, 14, 21):
        if not open_rows.size:
            break
        byte = data.take(at[open_rows], mode="clip")
        if not byte.all():
            raise UnexpectedLayout
        length[open_rows] |= (byte & 0x7F).astype(np.int64) << shift
        at[open_rows] += 1
        open_rows = open_rows[byte & 0x80 != 0]
    if open_rows.size:
        raise UnexpectedLayout
    return length, at


def _gather_cells(body: bytes, span: Span) -> pa.BinaryArray:
    """Copy one column out of the body: read cells and the gaps between them as one array, keep the cells."""
    count = len(span)
    if not count:
        return pa.array([], pa.binary())
    buffers = [None, pa.py_buffer(span), pa.py_buffer(body)]
    with_gaps = pa.Array.from_buffers(pa.binary(), 2 * count - 1, buffers)
    return with_gaps.take(pa.array(np.arange(0, 2 * count, 2, dtype=np.int32)))


def _hash_spans(body: bytes, spans: list[Span]) -> pa.StringArray:
    """Hash each row's dimensions but the first, which are one slice of the body between their outer ends."""
    grain, others = spans[0], spans[1:]
    count = len(grain)
    if not others:
        return pa.array([sha256(b"").hexdigest()[:32]] * count, pa.string())
    batches = [slice(first, first + BATCH) for first in range(0, count, BATCH)]
    text = bytearray().join(_hash_slices(body, grain[rows], others[-1][rows]) for rows in batches)
    # A dimension of two bytes leaves its text out instead of writing it as empty: the key must be the same.
    is_left_out = [span[:, 0] - before[:, 1] == 2 for before, span in pairwise(spans)]
    for row in np.flatnonzero(np.any(is_left_out, axis=0)).tolist():
        values = [body[span[row, 0] : span[row, 1]] for span in others]
        text[32 * row : 32 * row + 32] = sha256(encode_dimensions(values)).hexdigest()[:32].encode()
    offsets = np.arange(0, 32 * count + 1, 32, dtype=np.int32)
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(bytes(text)))


def _hash_slices(body: bytes, first: Span, last: Span) -> bytes:
    slices = zip(first[:, 1].tolist(), last[:, 1].tolist(), strict=True)
    return b"".join([sha256(body[begin:end]).digest()[:16] for begin, end in slices]).hex().encode()
