"""Who is asked next: a property that is slow, failing or resting leaves the threads to its neighbours."""

import threading
from collections import Counter
from datetime import UTC, date, datetime

import pytest

from steadfast.errors import SourceUnavailable
from steadfast.ga4.failures import FailureKind, Ga4Failure
from steadfast.ga4.fetch import Asking, ItemRead, ItemStopped
from steadfast.ga4.fetch_pool import FetchPool, Quiet
from steadfast.ga4.gates import Gates
from steadfast.ga4.items import Item
from steadfast.ga4.reports import REPORTS
from steadfast.ga4.windows import DateRange

from .pages import build_body

DAY = date(2026, 11, 19)
ROW = (["20261119"], ["1"] * len(REPORTS["daily_totals"].metrics))


class Google:
    """The far end: answers every property, unless told to fail or to keep somebody waiting."""

    email = ""

    def __init__(self):
        self.failures = {}
        self.slow = set()
        self.released = threading.Event()
        self.asked = Counter()
        self.in_flight = Counter()
        self.most_in_flight = Counter()
        self.lock = threading.Lock()

    def run_report(self, property_id, report, start, end, offset, limit):
        with self.lock:
            self.asked[property_id] += 1
            self.in_flight[property_id] += 1
            self.most_in_flight[property_id] = max(
                self.most_in_flight[property_id], self.in_flight[property_id]
            )
        try:
            if property_id in self.slow:
                assert self.released.wait(30)
            if self.failures.get(property_id):
                raise Ga4Failure(self.failures[property_id].pop(), "it failed")
            return build_body(report, [ROW])
        finally:
            with self.lock:
                self.in_flight[property_id] -= 1


@pytest.fixture
def google():
    return Google()


@pytest.fixture
def pauses():
    return []


@pytest.fixture
def pool(google, pauses):
    clock = datetime(2026, 11, 20, tzinfo=UTC)
    with FetchPool(Asking(lambda _: google, Gates(), lambda: clock, pauses.append)) as opened:
        yield opened
        google.released.set()


def submit(pool, property_id, count=1, attempt=0):
    for number in range(count):
        item = Item(
            number,
            1,
            property_id,
            "daily_totals",
            DateRange(DAY, DAY),
            False,
            "planned",
            attempt,
            0,
            None,
            "America/New_York",
            "USD",
            "ga4",
        )
        pool.submit(item)


def endings(events):
    return [event for event in events if isinstance(event, ItemRead | ItemStopped)]


def test_a_slow_property_holds_three_requests_and_nobody_else(google, pool):
    google.slow = {1}
    submit(pool, 1, 20)
    submit(pool, 2, 20)
    events = pool.events()
    others = [next(event for event in events if isinstance(event, ItemRead)) for _ in range(20)]
    assert {event.item.property_id for event in others} == {2}
    google.released.set()
    assert len(endings(events)) == 20
    assert google.most_in_flight[1] == 3


def test_failed_items_are_given_back_when_nothing_else_is_left(google, pool, pauses):
    google.failures = {1: [FailureKind.SERVER_ERROR]}
    submit(pool, 1)
    submit(pool, 2, 50)
    ended = endings(pool.events())
    assert [event.item.property_id for event in ended] == [2] * 50 + [1]
    assert isinstance(ended[-1], ItemStopped)
    assert isinstance(ended[-1].error, SourceUnavailable)
    assert not pauses


def test_it_says_when_nothing_comes_before_it_gives_items_back(google, pool):
    google.failures = {1: [FailureKind.SERVER_ERROR]}
    submit(pool, 1)
    kinds = [type(event) for event in pool.events()]
    assert kinds.index(Quiet) < kinds.index(ItemStopped)


def test_a_crowded_property_is_asked_once_at_a_time_from_then_on(google, pool):
    google.failures = {1: [FailureKind.CONCURRENT_QUOTA]}
    submit(pool, 1)
    assert endings(pool.events())[0].not_before
    google.most_in_flight.clear()
    submit(pool, 1, 10)
    endings(pool.events())
    assert google.most_in_flight[1] == 1


def test_an_item_that_failed_before_has_fewer_tries_left(google, pool):
    google.failures = {1: [FailureKind.TIMEOUT]}
    submit(pool, 1, attempt=1)
    (ending,) = endings(pool.events())
    assert isinstance(ending, ItemStopped)
    assert google.asked[1] == 1
