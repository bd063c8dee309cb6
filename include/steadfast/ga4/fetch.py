"""Ask GA4 for one item and say how that ended: its pages, another try, halves, or why it stopped.

An item is read page by page until the rows read equal the rows announced. What to do about which failure
is a table in failures.py; nobody waits here, because waiting is the pool's business (fetch_pool.py).
"""

import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from steadfast.errors import BreakerOpen, ConfigError, SteadfastError, WaitUntil
from steadfast.ga4.client import Ga4Client
from steadfast.ga4.decode import PageHead, read_head
from steadfast.ga4.failures import TREATMENTS, FailureKind, Ga4Failure, Treatment, explain
from steadfast.ga4.gates import Gates
from steadfast.ga4.items import Item
from steadfast.ga4.landing import Page, pack_body
from steadfast.ga4.quota import refill_at
from steadfast.ga4.windows import is_settled

PAGE_ROWS = 250_000
"""The most GA4 gives in one page."""
BREAKER_HOURS = 20
"""Long enough for the rest of the day, short enough that the next daily run probes again."""


@dataclass(frozen=True)
class PageRead:
    """A page of an item arrived."""

    page: Page


@dataclass(frozen=True)
class ItemRead:
    """All pages of an item arrived."""

    item: Item
    fetched_at: datetime
    row_count: int
    token_count: int
    rest_s: float


@dataclass(frozen=True)
class ItemDelayed:
    """An item has failed `tries` times and is worth another in `wait_s` seconds."""

    item: Item
    tries: int
    wait_s: float
    error: SteadfastError
    is_crowded: bool
    """GA4 said that too many requests of the property are running."""


@dataclass(frozen=True)
class ItemStopped:
    """An item could not be read; `not_before` is set when waiting is all that is needed."""

    item: Item
    error: SteadfastError
    not_before: datetime | None = None
    blocks_report: bool = False


@dataclass(frozen=True)
class ItemTooWide:
    """An item has to be read in halves."""

    item: Item


Found = PageRead | ItemRead | ItemStopped | ItemTooWide
Event = Found | ItemDelayed


@dataclass(frozen=True)
class Asking:
    """What a thread needs to ask: clients by connection, gates, and a clock and a pause that tests set."""

    open_client: Callable[[str], Ga4Client]
    gates: Gates
    clock: Callable[[], datetime]
    pause: Callable[[float], None]


def share_clients(open_client: Callable[[str], Ga4Client]) -> Callable[[str], Ga4Client]:
    """Open one client a connection, for all threads: each has a token and a channel of its own."""
    lock, clients = threading.Lock(), dict[str, Ga4Client]()

    def find_client(connection_id: str) -> Ga4Client:
        with lock:
            if connection_id not in clients:
                clients[connection_id] = open_client(connection_id)
            return clients[connection_id]

    return find_client


def read_item(item: Item, tries: int, asking: Asking) -> Iterator[Event]:
    """Read one item once, `tries` having failed before; the last event says how it ended."""
    parked = asking.gates.parked(item.property_id, asking.clock())
    if parked:
        yield ItemStopped(item, BreakerOpen(parked.reason, parked.until), parked.until)
        return
    try:
        client = asking.open_client(item.connection_id)
        yield from _read_pages(item, client, asking)
    except SteadfastError as error:
        yield ItemStopped(item, error)
    except Ga4Failure as failure:
        yield _answer_failure(item, failure, tries + 1, client.email, asking)


def _read_pages(item: Item, client: Ga4Client, asking: Asking) -> Iterator[Event]:
    fetched_at, offset, tokens, rest_s = asking.clock(), 0, 0, 0.0
    announced: int | None = None
    while announced is None or offset < announced:
        if rest_s:
            asking.pause(rest_s)
        body = client.run_report(
            item.property_id, item.report, item.range.start, item.range.end, offset, PAGE_ROWS
        )
        head = read_head(body)
        _check_property(item, head)
        _check_page(item, head, offset, announced)
        announced = head.row_count
        if offset == 0 and _needs_single_days(item, head, fetched_at):
            yield ItemTooWide(item)
            return
        yield PageRead(Page(item, fetched_at, offset, head.page_rows, head.row_count, pack_body(body)))
        del body
        offset += head.page_rows
        tokens += head.quota.tokens if head.quota else 0
        rest_s = _choose_rest(item, head, asking)
    yield ItemRead(item, fetched_at, offset, tokens, rest_s)


def _check_property(item: Item, head: PageHead) -> None:
    for word, known, found in (
        ("time zone", item.time_zone, head.time_zone),
        ("currency", item.currency, head.currency),
    ):
        if found and found != known:
            raise ConfigError(
                f"The {word} of property {item.property_id} changed from {known} to {found} in GA4, so its "
                f"history no longer matches. Run `steadfast property edit {item.property_id} "
                f"--{word.replace(' ', '-')} {found}` to accept it; the window is then read again."
            )


def _check_page(item: Item, head: PageHead, offset: int, announced: int | None) -> None:
    if announced is not None and head.row_count != announced:
        raise Ga4Failure(
            FailureKind.ROWS_CHANGED,
            f"the report had {announced} rows, then {head.row_count} at offset {offset}",
        )
    expected = min(PAGE_ROWS, head.row_count - offset)
    if head.page_rows != expected:
        raise Ga4Failure(
            FailureKind.ROWS_MISSING,
            f"the page at offset {offset} has {head.page_rows} rows, not {expected} of {head.row_count}",
        )


def _needs_single_days(item: Item, head: PageHead, now: datetime) -> bool:
    """Fewer days per request may avoid Google's "(other)" and sampling; young days have them anyway."""
    is_cut = not {"other_row", "sampled"}.isdisjoint(head.flags)
    is_old = is_settled(item.report.grain, item.range.end, item.time_zone, now)
    return is_cut and is_old and item.is_divisible and bool(item.report.dimensions)


def _choose_rest(item: Item, head: PageHead, asking: Asking) -> float:
    """Seconds to leave the property alone before its next request, so that its quota lasts."""
    if head.quota is None:
        return 0.0
    pace = asking.gates.observe(item.property_id, head.quota, asking.clock())
    return 0.0 if pace.park_until else pace.wait_s


def _answer_failure(
    item: Item, failure: Ga4Failure, tries: int, email: str, asking: Asking
) -> ItemDelayed | ItemStopped | ItemTooWide:
    """Decide how to go on after a failure."""
    treatment, now = TREATMENTS[failure.kind], asking.clock()
    error = explain(failure, property_id=item.property_id, report=item.report_name, email=email, now=now)
    if treatment.counts_for_breaker:
        asking.gates.count_failure(item.property_id, now, str(error))
    if treatment.parks:
        return _park(item, treatment, error, now, asking)
    if tries < treatment.tries:
        is_crowded = failure.kind is FailureKind.CONCURRENT_QUOTA
        return ItemDelayed(item, tries, random.uniform(*treatment.wait_s), error, is_crowded)
    if treatment.opens_breaker:
        asking.gates.open_breaker(item.property_id, now + timedelta(hours=BREAKER_HOURS), str(error))
        return ItemStopped(item, error)
    if treatment.splits_range and item.is_divisible:
        return ItemTooWide(item)
    return stop_for_now(item, error, treatment.blocks_report)


def stop_for_now(item: Item, error: SteadfastError, blocks_report: bool = False) -> ItemStopped:
    """Leave the item to the next attempt, or to the time the error names."""
    return ItemStopped(item, error, error.until if isinstance(error, WaitUntil) else None, blocks_report)


def _park(
    item: Item, treatment: Treatment, error: SteadfastError, now: datetime, asking: Asking
) -> ItemStopped:
    until = refill_at(treatment.parks or "hour", now)
    if treatment.parks != "thresholded_hour":
        asking.gates.park(item.property_id, until, str(error))
    return ItemStopped(item, error, until)
