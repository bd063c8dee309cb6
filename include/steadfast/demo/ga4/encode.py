"""Rows as their bytes on the wire: encoded once, then sliced and joined, never built again for a page.

`Encoded` is what the other modules pass around; `rows` is the way back for the rare paths that need values.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import chain

import numpy as np
import numpy.typing as npt
from google.analytics.data_v1beta.types import RunReportResponse
from google.protobuf.message import DecodeError

Row = tuple[tuple[str, ...], tuple[str, ...]]
Integers = npt.NDArray[np.int64]

RESPONSE = RunReportResponse.pb()
DATE_HOLE = b"00000000"
_DATE_FIELD = b"\x0a\x0a\x0a\x08"


def encode_varint(number: int) -> bytes:
    """Protobuf's variable-length integer."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def encode_dimension(value: str) -> bytes:
    """One dimension value inside a row; lone surrogates go out as the invalid bytes they are."""
    text = value.encode("utf-8", "surrogatepass")
    inner = b"\x0a" + encode_varint(len(text)) + text
    return b"\x0a" + encode_varint(len(inner)) + inner


@lru_cache(maxsize=100_000)
def encode_metric(value: str) -> bytes:
    """One metric value inside a row."""
    text = value.encode()
    inner = b"\x22" + encode_varint(len(text)) + text
    return b"\x12" + encode_varint(len(inner)) + inner


def wrap_row(body: bytes) -> bytes:
    """A row as an element of the response's `rows`."""
    size = len(body)
    return b"\x1a" + (bytes((size,)) if size < 0x80 else encode_varint(size)) + body


@dataclass(frozen=True)
class Encoded:
    """Rows on the wire: one buffer, and where each row ends in it."""

    buffer: bytes
    ends: Integers

    def __len__(self) -> int:
        return len(self.ends)

    @property
    def size(self) -> int:
        """Bytes held, for caches."""
        return len(self.buffer) + self.ends.nbytes

    def slice(self, first: int, last: int) -> "Encoded":
        """Rows `first` to `last`, the last excluded."""
        last = min(last, len(self))
        if first >= last:
            return NO_ROWS
        start = int(self.ends[first - 1]) if first else 0
        return Encoded(self.buffer[start : int(self.ends[last - 1])], self.ends[first:last] - start)

    def take(self, places: Integers) -> "Encoded":
        """The rows at these places, in that order."""
        ends = self.ends[places].tolist()
        starts = np.where(places > 0, self.ends[places - 1], 0).tolist()
        return join_pieces([self.buffer[start:end] for start, end in zip(starts, ends, strict=True)])

    def fill_date(self, day: str) -> "Encoded":
        """The same rows with the hole for the date filled in."""
        return Encoded(self.buffer.replace(_DATE_FIELD + DATE_HOLE, _DATE_FIELD + day.encode()), self.ends)

    @cached_property
    def rows(self) -> list[Row]:
        """The values of all rows; costly, so only the rare paths ask."""
        return decode_rows(self)

    @cached_property
    def first_metric(self) -> npt.NDArray[np.float64]:
        """The first metric of all rows as numbers; reports without an order are sorted by it."""
        return np.array([float(texts[0]) for _, texts in self.rows])


NO_ROWS = Encoded(b"", np.zeros(0, dtype=np.int64))


def join_pieces(pieces: Sequence[bytes]) -> Encoded:
    """Rows from their bytes, one piece a row."""
    if not pieces:
        return NO_ROWS
    ends = np.cumsum(np.fromiter(map(len, pieces), dtype=np.int64, count=len(pieces)))
    return Encoded(b"".join(pieces), ends)


def join_encoded(parts: Sequence[Encoded]) -> Encoded:
    """Several blocks of rows, one after the other."""
    parts = [part for part in parts if len(part)]
    if len(parts) < 2:
        return parts[0] if parts else NO_ROWS
    shifts = np.cumsum([0, *(len(part.buffer) for part in parts[:-1])])
    ends = np.concatenate([part.ends + shift for part, shift in zip(parts, shifts, strict=True)])
    return Encoded(b"".join(part.buffer for part in parts), ends)


def encode_rows(rows: Iterable[Row]) -> Encoded:
    """Rows from their values."""
    dimension, metric = encode_dimension, encode_metric
    return join_pieces(
        [wrap_row(b"".join(chain(map(dimension, values), map(metric, numbers)))) for values, numbers in rows]
    )


def encode_columns(prefixes: Sequence[bytes], columns: Sequence[Sequence[str]]) -> Encoded:
    """Rows from encoded dimensions and one column of texts a metric."""
    metric = encode_metric
    if not columns:
        return join_pieces([wrap_row(prefix) for prefix in prefixes])
    numbers = zip(*columns, strict=True)
    return join_pieces(
        [
            wrap_row(prefix + b"".join(map(metric, texts)))
            for prefix, texts in zip(prefixes, numbers, strict=True)
        ]
    )


def decode_rows(encoded: Encoded) -> list[Row]:
    """The values of the rows, also of those that a strict reader refuses."""
    try:
        parsed = RESPONSE.FromString(encoded.buffer).rows
    except DecodeError:
        return [_decode_row(encoded.slice(index, index + 1).buffer) for index in range(len(encoded))]
    return [
        (
            tuple([value.value for value in row.dimension_values]),
            tuple([value.value for value in row.metric_values]),
        )
        for row in parsed
    ]


def _decode_row(piece: bytes) -> Row:
    body = next(_read_fields(piece))[1]
    dimensions: list[str] = []
    metrics: list[str] = []
    for field, wrapped in _read_fields(body):
        text = next(_read_fields(wrapped))[1].decode("utf-8", "surrogatepass")
        (dimensions if field == 1 else metrics).append(text)
    return tuple(dimensions), tuple(metrics)


def _read_fields(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Length-delimited fields, one after the other; rows hold nothing else."""
    at = 0
    while at < len(data):
        field = data[at] >> 3
        size = shift = 0
        while True:
            at += 1
            size |= (data[at] & 0x7F) << shift
            shift += 7
            if data[at] < 0x80:
                break
        at += 1
        yield field, data[at : at + size]
        at += size
