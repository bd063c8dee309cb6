"""A few threads that read items, and who may be asked next: waiting never holds a thread.

A property has at most `REQUESTS` items in flight, because dashboards share its quota of ten; one that
answers slowly, fails or rests therefore leaves the other threads to its neighbours. When only failed items
are left they are given back: a task that slept long for them would keep its slot from healthy properties.
"""

import queue
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import inf
from time import monotonic
from types import TracebackType

from steadfast.errors import SteadfastError
from steadfast.ga4.fetch import (
    Asking,
    Event,
    Found,
    ItemDelayed,
    ItemRead,
    ItemStopped,
    PageRead,
    read_item,
    stop_for_now,
)
from steadfast.ga4.items import Item

THREADS = 8
REQUESTS = 3
QUIET_S = 1.0
PATIENCE_S = 5.0
"""Failed items are waited for so long when nothing else is left to do."""


@dataclass(frozen=True)
class Waiting:
    """An item that is to be read, not before `due` (seconds of the pool's clock)."""

    item: Item
    tries: int = 0
    due: float = 0.0
    error: SteadfastError | None = None
    """Why the item waits, if it has failed."""


@dataclass(frozen=True)
class Quiet:
    """Nothing has come for a moment: a good time to publish what is there."""


class FetchPool:
    """Reads what is submitted; `events` yields what is found until nothing is left to read."""

    def __init__(self, asking: Asking, threads: int = THREADS) -> None:
        self._asking = asking
        self._threads = threads
        self._events: queue.Queue[Event | BaseException] = queue.Queue(maxsize=2 * threads)
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="fetch")
        self._stopped = threading.Event()
        self._waiting: list[Waiting] = []
        self._running = 0
        self._in_flight: Counter[int] = Counter()
        self._crowded: set[int] = set()
        self._rests: dict[int, float] = {}
        self._slept = 0.0

    def submit(self, item: Item) -> None:
        """Read an item; only the thread that reads `events` may call this."""
        self._waiting.append(Waiting(item, item.attempt))

    @property
    def is_busy(self) -> bool:
        """Tell whether submitted items have not ended yet."""
        return bool(self._waiting) or self._running > 0

    def events(self) -> Iterator[Found | Quiet]:
        """Yield events until every submitted item has ended."""
        while self.is_busy:
            self._start_ready()
            event = self._take_event()
            if isinstance(event, BaseException):
                raise event
            if isinstance(event, ItemDelayed):
                self._delay(event)
            elif event is not None:
                self._settle(event)
                yield event
            else:
                yield Quiet()
                yield from self._give_back_failed()
                self._sleep_until_due()

    def __enter__(self) -> "FetchPool":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopped.set()
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _start_ready(self) -> None:
        while self._running < self._threads:
            now = self._now()
            ready = next((n for n, one in enumerate(self._waiting) if self._is_ready(one, now)), None)
            if ready is None:
                return
            chosen = self._waiting.pop(ready)
            self._running += 1
            self._in_flight[chosen.item.property_id] += 1
            self._executor.submit(self._work, chosen)

    def _is_ready(self, waiting: Waiting, now: float) -> bool:
        property_id = waiting.item.property_id
        limit = 1 if property_id in self._crowded else REQUESTS
        return self._due(waiting) <= now and self._in_flight[property_id] < limit

    def _due(self, waiting: Waiting) -> float:
        return max(waiting.due, self._rests.get(waiting.item.property_id, 0.0))

    def _take_event(self) -> Event | BaseException | None:
        """The next event; None when none comes, or when it is time to start another item."""
        try:
            return self._events.get(timeout=self._choose_patience())
        except queue.Empty:
            return None

    def _choose_patience(self) -> float:
        if not self._running:
            return 0.0
        if self._running == self._threads:
            return QUIET_S
        return min(QUIET_S, self._seconds_to_next())

    def _seconds_to_next(self) -> float:
        """Seconds until time alone makes a waiting item ready."""
        now = self._now()
        return min((due - now for due in map(self._due, self._waiting) if due > now), default=inf)

    def _settle(self, event: Found) -> None:
        if isinstance(event, PageRead):
            return
        self._end(event.item)
        if isinstance(event, ItemRead) and event.rest_s:
            self._rests[event.item.property_id] = self._now() + event.rest_s

    def _delay(self, event: ItemDelayed) -> None:
        self._end(event.item)
        due = self._now() + event.wait_s
        self._waiting.append(Waiting(event.item, event.tries, due, event.error))
        if event.is_crowded:
            self._crowded.add(event.item.property_id)

    def _end(self, item: Item) -> None:
        self._running -= 1
        self._in_flight[item.property_id] -= 1

    def _now(self) -> float:
        return monotonic() + self._slept

    def _give_back_failed(self) -> Iterator[ItemStopped]:
        failed = [(waiting.item, waiting.error) for waiting in self._waiting if waiting.error]
        is_worth_waiting = self._seconds_to_next() <= PATIENCE_S or len(failed) < len(self._waiting)
        if self._running or is_worth_waiting:
            return
        self._waiting.clear()
        yield from (stop_for_now(item, error) for item, error in failed)

    def _sleep_until_due(self) -> None:
        """Pause if only time helps; what the pause leaves out, as in tests, is added to the pool's clock."""
        seconds = self._seconds_to_next()
        if self._running or seconds == inf:
            return
        before = monotonic()
        self._asking.pause(seconds)
        self._slept += max(0.0, seconds - (monotonic() - before))

    def _work(self, waiting: Waiting) -> None:
        try:
            for event in read_item(waiting.item, waiting.tries, self._asking):
                if not self._hand_over(event):
                    return
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits, whatever it is
            self._hand_over(error)

    def _hand_over(self, event: Event | BaseException) -> bool:
        while not self._stopped.is_set():
            try:
                self._events.put(event, timeout=0.2)
            except queue.Full:
                continue
            return True
        return False
