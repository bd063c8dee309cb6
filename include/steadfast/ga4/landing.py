"""GA4 pages as received: compressed into landing.ga4_page, and read back without asking GA4 again.

A page is one row; the pages of one fetch share `fetched_at`, so the rest of an interrupted fetch is
never mixed with a whole one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import zstandard
from psycopg import Connection

from steadfast.ga4.items import Item, report_missing_pages
from steadfast.warehouse.queries import load_queries

LEVEL = 3


@dataclass(frozen=True)
class Page:
    """One answer of GA4 and where it belongs."""

    item: Item
    fetched_at: datetime
    offset: int
    page_rows: int
    row_count: int
    packed: bytes


@dataclass(frozen=True)
class Slice:
    """All pages of one fetch of an item: in hand if it was small, else read from the warehouse."""

    item: Item
    fetched_at: datetime
    row_count: int
    token_count: int = 0
    packed: tuple[bytes, ...] | None = None


def pack_body(body: bytes) -> bytes:
    """Compress a page; the frame carries a checksum, so a damaged page is noticed when it is read."""
    return zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).compress(body)


def land_pages(connection: Connection[Any], pages: Sequence[Page]) -> None:
    """Write pages in one round trip."""
    with connection.cursor() as cursor:
        cursor.executemany(load_queries("ga4")["land_page"], [_page_values(page) for page in pages])


def mark_landed(connection: Connection[Any], slices: Sequence[Slice], now: datetime) -> None:
    """Record that the items are read completely."""
    values = {
        "item_ids": [s.item.item_id for s in slices],
        "fetched_ats": [s.fetched_at for s in slices],
        "row_counts": [s.row_count for s in slices],
        "token_counts": [s.token_count for s in slices],
        "now": now,
    }
    connection.execute(load_queries("ga4")["mark_landed"], values)


def read_bodies(connection: Connection[Any], landed: Slice) -> Iterator[bytes]:
    """The pages of a slice in order, one in memory at a time; SourceUnavailable when one is damaged."""
    for packed in _read_packed(connection, landed):
        try:
            body = zstandard.ZstdDecompressor().decompress(packed)
        except zstandard.ZstdError as error:
            raise report_missing_pages(landed.item) from error
        yield body


def _read_packed(connection: Connection[Any], landed: Slice) -> Iterator[bytes]:
    if landed.packed is not None:
        yield from landed.packed
        return
    values = {"item_id": landed.item.item_id, "fetched_at": landed.fetched_at}
    with connection.cursor(name=f"pages_{landed.item.item_id}") as cursor:
        cursor.itersize = 1
        cursor.execute(load_queries("ga4")["read_pages"], values)
        for (packed,) in cursor:
            yield packed


def _page_values(page: Page) -> dict[str, Any]:
    item = page.item
    return {
        "item_id": item.item_id,
        "entity_id": item.entity_id,
        "property_id": item.property_id,
        "report": item.report_name,
        "start_on": item.range.start,
        "end_on": item.range.end,
        "page_offset": page.offset,
        "page_rows": page.page_rows,
        "row_count": page.row_count,
        "fetched_at": page.fetched_at,
        "body": page.packed,
    }
