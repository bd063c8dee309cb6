"""Published partitions of GA4 facts: read their ledger, delete them, COPY their rows, record them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from psycopg import Connection, sql

from steadfast.ga4.chunks import Chunk, partition_key
from steadfast.ga4.decode import DATE_COLUMN
from steadfast.ga4.guard import Control, Fetched, Ledger, Verdict
from steadfast.ga4.items import Item
from steadfast.ga4.reports import CONTROL, REPORTS, Grain, Report, column_name
from steadfast.warehouse.queries import load_queries

COPY_ROWS = 50_000


@dataclass(frozen=True)
class Partition:
    """One day (week, month) of one report of one property, as fetched."""

    slice_no: int
    item: Item
    day: date
    fetched: Fetched

    @property
    def key(self) -> int:
        """The number its rows carry in a chunk."""
        return partition_key(self.slice_no, self.day)

    @property
    def place(self) -> tuple[int, date]:
        """Where it is published."""
        return self.item.property_id, self.day


def read_ledger(
    connection: Connection[Any], report: Report, partitions: Sequence[Partition]
) -> dict[tuple[int, date], Ledger]:
    """What is published of the given partitions."""
    values = {**_places(partitions), **_owners(partitions), "report": report.name}
    rows = connection.execute(load_queries("ga4")["read_ledger"], values)
    return {(property_id, day): Ledger(*rest) for property_id, day, *rest in rows}


def read_control(
    connection: Connection[Any], report: Report, partitions: Sequence[Partition]
) -> dict[tuple[int, date], Control]:
    """Published control totals of the given days; none for weeks and months."""
    if report.grain is not Grain.DAY or not partitions:
        return {}
    metrics = REPORTS[CONTROL].metrics
    columns = sql.SQL(", ").join(sql.Identifier("total", column_name(metric)) for metric in metrics)
    query = load_queries("ga4")["read_control_totals"].format(columns=columns)
    rows = connection.execute(query, {**_places(partitions), **_bounds(partitions), "control": CONTROL})
    return {
        (property_id, day): Control(
            dict(zip(metrics, (float(total or 0) for total in totals), strict=True)),
            fetched_at,
            is_provisional,
        )
        for property_id, day, fetched_at, is_provisional, *totals in rows
    }


def delete_partitions(connection: Connection[Any], report: Report, partitions: Sequence[Partition]) -> None:
    """Remove exactly the given partitions."""
    if partitions:
        query = load_queries("ga4")["delete_partitions"].format(table=sql.Identifier(report.table.name))
        connection.execute(query, {**_places(partitions), **_bounds(partitions)})


def copy_chunk(
    connection: Connection[Any], run_id: int, report: Report, chunk: Chunk, partitions: Sequence[Partition]
) -> int:
    """COPY the chunk's rows of the given partitions, month by month; return how many.

    PostgreSQL refuses COPY into a table with row-level security; a month's own table has none.
    """
    keys = chunk.partition_keys()
    is_wanted = np.isin(keys, [p.key for p in partitions])
    provisional = [p.key for p in partitions if p.fetched.is_provisional]
    rows = chunk.table.drop_columns(["slice_no", "row_number"])
    rows = rows.append_column("run_id", pa.array(np.full(rows.num_rows, run_id, np.int64)))
    rows = rows.append_column("is_provisional", pa.array(np.isin(keys, provisional)))
    months = rows[DATE_COLUMN].to_numpy().astype("datetime64[M]")
    for month in sorted({p.day.replace(day=1) for p in partitions}):
        chosen = rows.filter(pa.array(is_wanted & (months == np.datetime64(month, "M"))))
        if chosen.num_rows:
            _copy_rows(connection, f"{report.table.name}_{month:%Y_%m}", chosen)
    return int(is_wanted.sum())


def _copy_rows(connection: Connection[Any], table: str, rows: pa.Table) -> None:
    query = load_queries("ga4")["copy_facts"].format(
        table=sql.Identifier(table),
        columns=sql.SQL(", ").join(map(sql.Identifier, rows.column_names)),
    )
    options = pa_csv.WriteOptions(include_header=False, quoting_style="needed")
    with connection.cursor().copy(query) as copy:
        for start in range(0, rows.num_rows, COPY_ROWS):
            sink = pa.BufferOutputStream()
            pa_csv.write_csv(rows.slice(start, COPY_ROWS), sink, options)
            copy.write(memoryview(sink.getvalue()))


def record_ledger(
    connection: Connection[Any],
    run_id: int,
    report: Report,
    partitions: Sequence[Partition],
    verdicts: Mapping[int, Verdict],
    now: datetime,
) -> None:
    """Write the ledger of what was published, found unchanged, or held back."""
    values = {"report": report.name, "run_id": run_id, "now": now}
    held = [p for p in partitions if verdicts[p.key].action == "hold"]
    current = [p for p in partitions if verdicts[p.key].action in ("publish", "keep")]
    queries = load_queries("ga4")
    if current:
        connection.execute(queries["record_published"], {**values, **_ledger_columns(current, verdicts)})
    if held:
        reasons = [verdicts[p.key].reason for p in held]
        columns = {**_places(held), **_owners(held), "reasons": reasons}
        connection.execute(queries["record_held"], {**values, **columns})


def _ledger_columns(partitions: Sequence[Partition], verdicts: Mapping[int, Verdict]) -> dict[str, Any]:
    return {
        **_places(partitions),
        **_owners(partitions),
        "row_counts": [p.fetched.row_count for p in partitions],
        "content_hashes": [p.fetched.content_hash for p in partitions],
        "control_deltas": [verdicts[p.key].control_delta for p in partitions],
        "flags": [",".join(sorted(verdicts[p.key].flags)) for p in partitions],
        "provisionals": [p.fetched.is_provisional for p in partitions],
        "time_zones": [p.item.time_zone for p in partitions],
        "currencies": [p.item.currency for p in partitions],
    }


def _places(partitions: Sequence[Partition]) -> dict[str, Any]:
    return {"property_ids": [p.item.property_id for p in partitions], "dates": [p.day for p in partitions]}


def _owners(partitions: Sequence[Partition]) -> dict[str, Any]:
    return {
        "entity_ids": [p.item.entity_id for p in partitions],
        "fetched_ats": [p.fetched.fetched_at for p in partitions],
    }


def _bounds(partitions: Sequence[Partition]) -> dict[str, date]:
    days = [p.day for p in partitions]
    return {"first_on": min(days), "last_on": max(days)}
