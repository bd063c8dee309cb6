"""The swap: landed slices become published partitions, all of a batch in one transaction.

First pass: decode and check every chunk. Then, under one lock a property and report: compare with what
is published, decide, delete exactly the covered dates, COPY, write the ledger. Killed anywhere before
the commit, nothing has happened; run again after it, nothing changes.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from hashlib import sha256
from typing import Any

import psycopg
from psycopg import Connection

from steadfast.errors import QualityError, SourceUnavailable, SteadfastError
from steadfast.ga4.chunks import Chunk, FrameCheck, read_chunks
from steadfast.ga4.findings import record_findings
from steadfast.ga4.guard import Fetched, Ledger, Replay, Verdict, judge_partition
from steadfast.ga4.items import Decided, record_decided, report_missing_pages, report_repeated_keys
from steadfast.ga4.landing import Slice, read_bodies
from steadfast.ga4.partitions import (
    Partition,
    copy_chunk,
    delete_partitions,
    read_control,
    read_ledger,
    record_ledger,
)
from steadfast.ga4.reports import Report
from steadfast.ga4.survey import Survey, survey_chunk
from steadfast.ga4.windows import covered_periods, is_settled
from steadfast.warehouse.partitions import ensure_month_partitions
from steadfast.warehouse.queries import load_queries

KEPT_ROWS = 250_000
"""So many decoded rows stay in memory between the two passes."""


@dataclass(frozen=True)
class Batch:
    """Slices of one report that are published together."""

    run_id: int
    report: Report
    slices: Sequence[Slice]
    replay: Replay | None = None


def publish_batch(
    connection: Connection[Any], batch: Batch, check: FrameCheck, now: datetime
) -> list[Decided]:
    """Publish what passes, hold back what does not; an item that cannot be published at all is failed."""
    try:
        with connection.transaction():
            survey, chunks = _survey(connection, batch, check)
        spoiled = _find_spoiled(batch, survey)
        partitions = [p for p in _list_partitions(batch, survey) if p.slice_no not in spoiled]
        _ensure_months(connection, batch.report, partitions)
        return _swap(connection, batch, survey, chunks, partitions, spoiled, now)
    except (psycopg.IntegrityError, psycopg.DataError, SteadfastError) as error:
        return _publish_singly(connection, batch, check, now, error)


def _survey(
    connection: Connection[Any], batch: Batch, check: FrameCheck
) -> tuple[Survey, Callable[[], Iterable[Chunk]]]:
    """Read every chunk once; few rows are kept for the second pass, more are decoded again."""
    survey, kept, rows = Survey(), list[Chunk](), sum(landed.row_count for landed in batch.slices)

    def read() -> Iterator[Chunk]:
        return read_chunks(batch.report, batch.slices, lambda landed: read_bodies(connection, landed))

    for chunk in read():
        survey_chunk(survey, chunk, batch.report, batch.slices, check)
        if rows <= KEPT_ROWS:
            kept.append(chunk)
        del chunk
    return survey, (lambda: kept) if rows <= KEPT_ROWS else read


def _swap(
    connection: Connection[Any],
    batch: Batch,
    survey: Survey,
    chunks: Callable[[], Iterable[Chunk]],
    partitions: Sequence[Partition],
    spoiled: Mapping[int, SteadfastError],
    now: datetime,
) -> list[Decided]:
    with connection.transaction():
        _lock_slices(connection, batch)
        verdicts = _judge(connection, batch, partitions)
        publish = [p for p in partitions if verdicts[p.key].action == "publish"]
        delete_partitions(connection, batch.report, publish)
        _copy_chunks(connection, batch, chunks, publish)
        record_ledger(connection, batch.run_id, batch.report, partitions, verdicts, now)
        record_findings(connection, batch.run_id, batch.report, batch.slices, survey, verdicts, now)
        decided = _decide_items(batch, partitions, verdicts, spoiled)
        record_decided(connection, decided, now)
    return decided


def _copy_chunks(
    connection: Connection[Any],
    batch: Batch,
    chunks: Callable[[], Iterable[Chunk]],
    publish: Sequence[Partition],
) -> None:
    """COPY what was judged, and nothing less: the pages are read a second time for it."""
    judged = sum(p.fetched.row_count for p in publish)
    copied = sum(
        copy_chunk(connection, batch.run_id, batch.report, chunk, publish)
        for chunk in (chunks() if publish else ())
    )
    if copied != judged:
        raise SourceUnavailable(
            f"{copied} of {judged} rows of {batch.report.name} were still landed when they were published; "
            "the published rows stay and the days are read again."
        )


def _find_spoiled(batch: Batch, survey: Survey) -> dict[int, SteadfastError]:
    """Slices that must be fetched again before anything can be said of their days."""
    spoiled: dict[int, SteadfastError] = {}
    for slice_no, landed in enumerate(batch.slices):
        if not survey.is_complete(slice_no):
            spoiled[slice_no] = report_missing_pages(landed.item)
        elif survey.repeats_keys(slice_no):
            spoiled[slice_no] = report_repeated_keys(landed.item)
    return spoiled


def _publish_singly(
    connection: Connection[Any], batch: Batch, check: FrameCheck, now: datetime, error: Exception
) -> list[Decided]:
    """One slice spoils its batch: publish the others, and say of this one what is wrong."""
    if len(batch.slices) > 1:
        singles = [replace(batch, slices=[landed]) for landed in batch.slices]
        return [decided for single in singles for decided in publish_batch(connection, single, check, now)]
    decided = [_decide_failed(batch.slices[0], error)]
    with connection.transaction():
        record_decided(connection, decided, now)
    return decided


def _lock_slices(connection: Connection[Any], batch: Batch) -> None:
    keys = [_lock_key(landed.item.property_id, batch.report.name) for landed in batch.slices]
    connection.execute(load_queries("ga4")["lock_slices"], {"lock_keys": keys})


def _lock_key(property_id: int, report: str) -> int:
    return int.from_bytes(sha256(f"ga4 {property_id} {report}".encode()).digest()[:8], "big", signed=True)


def _list_partitions(batch: Batch, survey: Survey) -> list[Partition]:
    return [
        Partition(slice_no, landed.item, day, _describe_fetched(batch.report, survey, slice_no, landed, day))
        for slice_no, landed in enumerate(batch.slices)
        for day in covered_periods(batch.report.grain, landed.item.range, landed.item.range.end)
    ]


def _describe_fetched(report: Report, survey: Survey, slice_no: int, landed: Slice, day: date) -> Fetched:
    return Fetched(
        row_count=survey.row_counts.get((slice_no, day), 0),
        sums=survey.sums.get((slice_no, day), {}),
        content_hash=survey.content_hash(slice_no, day),
        fetched_at=landed.fetched_at,
        is_provisional=not is_settled(report.grain, day, landed.item.time_zone, landed.fetched_at),
        flags=frozenset(survey.flags.get(slice_no, ())),
        broken=survey.broken(slice_no, day),
    )


def _judge(connection: Connection[Any], batch: Batch, partitions: Sequence[Partition]) -> dict[int, Verdict]:
    ledger: Mapping[tuple[int, date], Ledger] = read_ledger(connection, batch.report, partitions)
    control = read_control(connection, batch.report, partitions)
    return {
        p.key: judge_partition(
            batch.report, p.fetched, ledger.get(p.place), control.get(p.place), batch.replay
        )
        for p in partitions
    }


def _decide_items(
    batch: Batch,
    partitions: Sequence[Partition],
    verdicts: Mapping[int, Verdict],
    spoiled: Mapping[int, SteadfastError],
) -> list[Decided]:
    held: dict[int, list[str]] = {}
    for p in partitions:
        if verdicts[p.key].action == "hold":
            held.setdefault(p.slice_no, []).append(f"{p.day}: {verdicts[p.key].reason}")
    return [
        _decide_failed(landed, spoiled[n]) if n in spoiled else _decide_item(landed, held.get(n, []))
        for n, landed in enumerate(batch.slices)
    ]


def _decide_item(landed: Slice, held: Sequence[str]) -> Decided:
    if not held:
        return Decided(landed.item, "published")
    more = f" and {len(held) - 3} more" if len(held) > 3 else ""
    return Decided(landed.item, "held", "QualityError", f"Held back: {'. '.join(held[:3])}{more}.")


def _decide_failed(landed: Slice, error: Exception) -> Decided:
    """A key that came twice is worth another read; rows that PostgreSQL refuses are not."""
    item = landed.item
    if isinstance(error, psycopg.errors.UniqueViolation):
        error = report_repeated_keys(item)
    if isinstance(error, psycopg.Error):
        error = QualityError(f"{item.report_name} of property {item.property_id} cannot be stored: {error}")
    return Decided(item, "failed", type(error).__name__, str(error))


def _ensure_months(connection: Connection[Any], report: Report, partitions: Sequence[Partition]) -> None:
    if partitions:
        days = [p.day for p in partitions]
        ensure_month_partitions(connection, report.table.name, min(days), max(days))
        connection.commit()
