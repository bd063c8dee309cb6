"""The cells of a page, row by row through a protobuf message: for pages the fast path of wire.py declines."""

from functools import lru_cache
from hashlib import sha256
from itertools import chain
from typing import Any

import pyarrow as pa
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from steadfast.errors import SourceUnavailable
from steadfast.ga4.wire import BATCH, VALUE_TAGS, Cells, Frame, encode_dimensions


def read_cells(frame: Frame, dimension_count: int, metric_count: int) -> Cells:
    """Read the cells row by row through the message; SourceUnavailable when a row has too few or too many."""
    batches = [
        _read_batch(frame, range(first, min(first + BATCH, len(frame.starts))), dimension_count, metric_count)
        for first in range(0, max(len(frame.starts), 1), BATCH)
    ]
    columns = tuple(
        pa.concat_arrays(parts) for parts in zip(*(batch.columns for batch in batches), strict=True)
    )
    return Cells(columns, pa.concat_arrays([batch.keys for batch in batches]))


def _read_batch(frame: Frame, indexes: range, dimension_count: int, metric_count: int) -> Cells:
    rows = []
    for index in indexes:
        row = _parse_row(frame.body[frame.starts[index] : frame.ends[index]], index)
        if (len(row.dimension_values), len(row.metric_values)) != (dimension_count, metric_count):
            raise SourceUnavailable(
                f"Row {index} of the page has {len(row.dimension_values)} dimensions and "
                f"{len(row.metric_values)} metrics; its headers name {dimension_count} and {metric_count}."
            )
        rows.append([cell.value for cell in chain(row.dimension_values, row.metric_values)])
    width = range(dimension_count + metric_count)
    keys = [sha256(encode_dimensions(row[1:dimension_count])).hexdigest()[:32] for row in rows]
    columns = tuple(pa.array([row[index] for row in rows], pa.binary()) for index in width)
    return Cells(columns, pa.array(keys, pa.string()))


def _parse_row(raw: bytes, index: int) -> Any:
    try:
        return _bytes_row().FromString(raw)
    except DecodeError as error:
        raise SourceUnavailable(f"Row {index} of the page is damaged: {error}.") from error


@lru_cache(maxsize=1)
def _bytes_row() -> Any:
    """Row with its texts declared as bytes: the real class refuses a page for one invalid character."""
    file = descriptor_pb2.FileDescriptorProto(
        name="steadfast_row.proto", package="steadfast", syntax="proto3"
    )
    row = file.message_type.add(name="Row")
    for number, (name, value_tag) in enumerate(
        zip(("dimension", "metric"), VALUE_TAGS, strict=True), start=1
    ):
        cell = file.message_type.add(name=name)
        cell.field.add(name="value", number=value_tag >> 3, type="TYPE_BYTES", label="LABEL_OPTIONAL")
        row.field.add(
            name=f"{name}_values",
            number=number,
            type="TYPE_MESSAGE",
            type_name=f".steadfast.{name}",
            label="LABEL_REPEATED",
        )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("steadfast.Row"))
