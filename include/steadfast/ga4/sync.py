"""One shard of a run: fetch, land, validate and publish every item that is not done yet.

Threads fetch; this thread owns the warehouse. What is landed is committed before it is published, so a
killed worker continues from its pages without asking GA4 again. An item's failure is recorded and
never stops its neighbours; only the warehouse's own failures end the shard, to be retried.
"""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

from steadfast.ga4.chunks import FrameCheck
from steadfast.ga4.client import Ga4Client
from steadfast.ga4.fetch import (
    PAGE_ROWS,
    Asking,
    Found,
    ItemRead,
    ItemStopped,
    ItemTooWide,
    PageRead,
    share_clients,
)
from steadfast.ga4.fetch_pool import FetchPool, Quiet
from steadfast.ga4.gates import Gates, load_gates
from steadfast.ga4.items import Item, claim_items, retryable_classes, split_item, stop_item
from steadfast.ga4.landing import Page, Slice, land_pages, mark_landed
from steadfast.ga4.publish import Batch, publish_batch
from steadfast.ga4.reports import CONTROL, REPORTS
from steadfast.ga4.turns import take_turns
from steadfast.warehouse.connect import translate_errors
from steadfast.warehouse.partitions import ensure_day_partitions
from steadfast.warehouse.queries import load_queries

FLUSH_ROWS = PAGE_ROWS
FLUSH_ITEMS = 200
REREADS = 2
"""How often an item whose keys repeat is read again before its days are halved."""


@dataclass(frozen=True)
class ShardOutcome:
    """How a shard stands; `retry_at` is when another attempt makes sense, None if it does not."""

    published: int
    held: int
    parked: int
    failed: int
    retryable: int
    rows: int
    retry_at: datetime | None
    problems: tuple[str, ...]


@dataclass
class Shard:
    """The state of one shard while it is worked on."""

    run_id: int
    connection: Connection[Any]
    check: FrameCheck
    clock: Callable[[], datetime]
    gates: Gates
    pool: FetchPool
    pages: list[Page] = field(default_factory=list)
    slices: list[Slice] = field(default_factory=list)
    in_hand: dict[int, list[Page]] = field(default_factory=dict)
    rereads: Counter[int] = field(default_factory=Counter)
    open_controls: Counter[int] = field(default_factory=Counter)
    """Control reports that are still to be read, by property: what they judge waits for them."""


def sync_shard(
    run_id: int,
    shard: int,
    *,
    connect: Callable[[], Connection[Any]],
    open_client: Callable[[str], Ga4Client],
    check: FrameCheck,
    clock: Callable[[], datetime],
    pause: Callable[[float], None] = time.sleep,
) -> ShardOutcome:
    """Do every item of the shard that is not done; WarehouseBusy if PostgreSQL stops us."""
    with translate_errors(), connect() as connection:
        wanted = {item.property_id for item in claim_items(connection, run_id, shard, clock())}
        today = clock().date()
        ensure_day_partitions(connection, "ga4_page", today, today + timedelta(days=1))
        connection.commit()
        share_client = share_clients(open_client)
        for turn in take_turns(connection, sorted(wanted)):
            # Claimed again: whoever had the turn before may have done, or split, some of them.
            items = claim_items(connection, run_id, shard, clock(), turn)
            gates = load_gates(connection, run_id, turn, clock())
            connection.commit()
            with FetchPool(Asking(share_client, gates, clock, pause)) as pool:
                _work(Shard(run_id, connection, check, clock, gates, pool), items)
        return read_outcome(connection, run_id, shard)


def read_outcome(connection: Connection[Any], run_id: int, shard: int | None = None) -> ShardOutcome:
    """Count how the items of a shard, or of the whole run, ended."""
    values = {"run_id": run_id, "shard": shard, "retryable": retryable_classes()}
    queries = load_queries("ga4")
    with connection.cursor(row_factory=dict_row) as cursor:
        counts = cursor.execute(queries["count_outcomes"], values).fetchone() or {}
        problems = cursor.execute(queries["list_problems"], values).fetchall()
    return ShardOutcome(**counts, problems=tuple(_describe_problem(problem) for problem in problems))


def _work(state: Shard, items: list[Item]) -> None:
    _start(state, items)
    while True:
        for event in state.pool.events():
            _handle(state, event)
        state.open_controls.clear()
        _flush(state)
        if not state.pool.is_busy:
            return


def _start(state: Shard, items: list[Item]) -> None:
    for item in items:
        if item.state == "landed" and item.fetched_at:
            state.slices.append(Slice(item, item.fetched_at, item.row_count))
        else:
            _submit(state, item)


def _submit(state: Shard, item: Item) -> None:
    state.open_controls[item.property_id] += item.report_name == CONTROL
    state.pool.submit(item)


def _handle(state: Shard, event: Found | Quiet) -> None:
    if isinstance(event, ItemRead | ItemTooWide | ItemStopped):
        state.open_controls[event.item.property_id] -= event.item.report_name == CONTROL
    match event:
        case PageRead(page):
            _take_page(state, page)
        case ItemRead():
            _finish_item(state, event)
        case ItemTooWide(item):
            _split(state, item)
        case ItemStopped():
            _stop(state, event)
        case Quiet():
            _flush(state)


def _take_page(state: Shard, page: Page) -> None:
    """Keep a small report in hand; land each page of a large one as it comes."""
    state.pages.append(page)
    if page.row_count > PAGE_ROWS:
        _land(state)
    else:
        state.in_hand[page.item.item_id] = [page]


def _finish_item(state: Shard, event: ItemRead) -> None:
    pages = state.in_hand.pop(event.item.item_id, None)
    packed = tuple(page.packed for page in pages) if pages else None
    state.slices.append(Slice(event.item, event.fetched_at, event.row_count, event.token_count, packed))
    if len(state.slices) >= FLUSH_ITEMS or sum(s.row_count for s in state.slices) >= FLUSH_ROWS:
        _flush(state)


def _split(state: Shard, item: Item) -> None:
    for half in split_item(state.connection, item, state.clock()):
        _submit(state, half)
    state.connection.commit()


def _stop(state: Shard, event: ItemStopped) -> None:
    item, now = event.item, state.clock()
    stop_item(state.connection, item, event.error, now, not_before=event.not_before)
    if event.blocks_report:
        values = {
            "property_id": item.property_id,
            "report": item.report_name,
            "reason": str(event.error),
            "now": now,
        }
        state.connection.execute(load_queries("ga4")["block_report"], values)
    state.connection.commit()


def _land(state: Shard) -> None:
    land_pages(state.connection, state.pages)
    state.pages = []
    state.connection.commit()


def _flush(state: Shard) -> None:
    """Land what was read, then publish it, the control report first because others are compared with it."""
    waiting = [s for s in state.slices if _awaits_control(state, s.item)]
    slices = [s for s in state.slices if not _awaits_control(state, s.item)]
    state.slices = waiting
    state.gates.save(state.connection, state.clock())
    if not slices:
        return
    land_pages(state.connection, state.pages)
    mark_landed(state.connection, [s for s in slices if s.item.state != "landed"], state.clock())
    state.connection.commit()
    state.pages = []
    for name in REPORTS:
        wanted = [s for s in slices if s.item.report_name == name]
        if wanted:
            _publish(state, Batch(state.run_id, REPORTS[name], wanted))


def _awaits_control(state: Shard, item: Item) -> bool:
    return item.report_name != CONTROL and state.open_controls[item.property_id] > 0


def _publish(state: Shard, batch: Batch) -> None:
    for decided in publish_batch(state.connection, batch, state.check, state.clock()):
        if decided.state == "failed" and decided.error_class in retryable_classes():
            _read_again(state, decided.item)


def _read_again(state: Shard, item: Item) -> None:
    """Keys repeated, or pages are missing. Read the item again, then day by day."""
    state.rereads[item.item_id] += 1
    if state.rereads[item.item_id] <= REREADS:
        _submit(state, replace(item, state="planned"))
    elif item.is_divisible:
        _split(state, item)


def _describe_problem(row: dict[str, Any]) -> str:
    where = f"{row['slug']}, property {row['property_id']}"
    return f"{where}: {row['state']} {row['reports']}. {row['error'] or ''}".strip()
