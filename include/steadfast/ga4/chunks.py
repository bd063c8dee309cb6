"""Landed slices of one report as column chunks: the rows of many properties side by side, and what is
wrong with them. A chunk is bounded, so a report of any size passes through the same memory.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from steadfast.ga4.damage import Damage
from steadfast.ga4.decode import DATE_COLUMN, DecodedPage, PageHead, decode_page
from steadfast.ga4.landing import Slice
from steadfast.ga4.reports import Report
from steadfast.warehouse.facts import FactTable

CHUNK_ROWS = 50_000
DATES_PER_SLICE = 1 << 20
"""Room for the day number in a partition key; a day number is below 2**20 until the year 4840."""
NO_PARTITION = -1


class BrokenRule(Protocol):
    """What a check says: rows of the frame that break one rule."""

    @property
    def name(self) -> str: ...
    @property
    def severity(self) -> str: ...
    @property
    def column(self) -> str: ...
    @property
    def rows(self) -> npt.NDArray[np.int64]: ...
    @property
    def detail(self) -> str: ...


FrameCheck = Callable[[FactTable, pd.DataFrame], Sequence[BrokenRule]]


@dataclass(frozen=True)
class CellDamage:
    """One damaged cell, by its row in the chunk."""

    row: int
    damage: Damage


@dataclass
class Chunk:
    """Rows of one report: fact columns plus `slice_no` and the row's number within its slice."""

    table: pa.Table
    damages: list[CellDamage] = field(default_factory=list)
    heads: dict[int, list[PageHead]] = field(default_factory=dict)
    digests: dict[tuple[int, date], list[bytes]] = field(default_factory=dict)

    def partition_keys(self) -> npt.NDArray[np.int64]:
        """One number a row that names its slice and date; NO_PARTITION where the row has no date."""
        days = pc.fill_null(self.table[DATE_COLUMN].cast(pa.int32()), NO_PARTITION).to_numpy()
        slices = self.table["slice_no"].to_numpy().astype(np.int64)
        return np.where(days < 0, NO_PARTITION, slices * DATES_PER_SLICE + days)

    def frame(self, report: Report) -> pd.DataFrame:
        """The fact columns as the checks want them."""
        names = [
            "property_id",
            DATE_COLUMN,
            "dim_key",
            *report.columns,
            *(name for name, _ in report.measures),
        ]
        frame: pd.DataFrame = self.table.select(names).to_pandas(types_mapper=pd.ArrowDtype)
        return frame


def partition_key(slice_no: int, day: date) -> int:
    """The number that `Chunk.partition_keys` gives the rows of a partition."""
    return slice_no * DATES_PER_SLICE + (day - date(1970, 1, 1)).days


def partition_place(key: int) -> tuple[int, date]:
    """The slice number and date behind a partition key."""
    slice_no, days = divmod(key, DATES_PER_SLICE)
    return slice_no, date(1970, 1, 1) + timedelta(days)


def read_chunks(
    report: Report, slices: Sequence[Slice], read_bodies: Callable[[Slice], Iterable[bytes]]
) -> Iterator[Chunk]:
    """Decode the slices into chunks of about CHUNK_ROWS rows."""
    parts: list[tuple[int, int, DecodedPage]] = []
    rows = 0
    for slice_no, landed in enumerate(slices):
        first_row = 0
        for body in read_bodies(landed):
            for part in decode_page(body, report):
                parts.append((slice_no, first_row, part))
                first_row += part.head.page_rows
                rows += part.head.page_rows
                if rows >= CHUNK_ROWS:
                    yield _join_pages(parts, slices)
                    parts, rows = [], 0
    if parts:
        yield _join_pages(parts, slices)


def _join_pages(pages: Sequence[tuple[int, int, DecodedPage]], slices: Sequence[Slice]) -> Chunk:
    chunk = Chunk(pa.table({}))
    tables, offset = [], 0
    for slice_no, first_row, page in pages:
        tables.append(_label_rows(page.table, slice_no, first_row, slices[slice_no]))
        chunk.damages += [CellDamage(offset + damage.row, damage) for damage in page.damages]
        chunk.heads.setdefault(slice_no, []).append(page.head)
        for day, digest in page.date_digests.items():
            chunk.digests.setdefault((slice_no, day), []).append(digest)
        offset += page.head.page_rows
    chunk.table = pa.concat_tables(tables).combine_chunks()
    return chunk


def _label_rows(table: pa.Table, slice_no: int, first_row: int, landed: Slice) -> pa.Table:
    count = table.num_rows
    labels: dict[str, Any] = {
        "entity_id": np.full(count, landed.item.entity_id, np.int32),
        "property_id": np.full(count, landed.item.property_id, np.int64),
        "slice_no": np.full(count, slice_no, np.int32),
        "row_number": np.arange(first_row, first_row + count, dtype=np.int64),
    }
    for name, values in labels.items():
        table = table.append_column(name, pa.array(values))
    return table
