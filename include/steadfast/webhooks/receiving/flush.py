"""The queue of one process and its flushers: what arrives while a commit is under way is the next commit.

A lone event is committed at once. There is one flusher a process: with two each commit would hold half as
many events and cost as much. Whoever waits hears only what was committed, or that nothing was; a sender
that hangs up does not take its event with it.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import asyncpg

from steadfast.webhooks.envelope import IncomingEvent
from steadfast.webhooks.inbox import LARGEST_BATCH, Stored, ensure_days, open_connection, store_batch
from steadfast.webhooks.receiving.traffic import Traffic
from steadfast.webhooks.refusals import Refused

log = logging.getLogger(__name__)

PACE_SECONDS = 0.003
"""The least time between two commits' begins while events keep coming; a lone event never waits."""
LARGEST_BATCH_BYTES = 4 * 2**20
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 1.0
BUSY_RETRY_S = 2
_FAILURES = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)
_DATA_ERRORS = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
)


class Answer(Protocol):
    """Whoever waits for a commit, as a future does; what is set here must not raise."""

    def done(self) -> bool:
        """Whether nobody waits any more."""

    def set_result(self, result: Stored, /) -> None:
        """The event was committed."""

    def set_exception(self, exception: Refused, /) -> None:
        """It was not."""


@dataclass(slots=True)
class Waiting:
    """An event and whoever waits for its commit."""

    event: IncomingEvent
    answer: Answer


@dataclass
class Queue:
    """Events that wait for a flusher; bounded in number and in bytes."""

    most_events: int = 20_000
    most_bytes: int = 64 * 2**20
    waiting: deque[Waiting] = field(default_factory=deque)
    byte_count: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    is_open: bool = False
    """False while the warehouse is away: what comes is refused at once instead of waiting in vain."""
    tried: asyncio.Event = field(default_factory=asyncio.Event)
    """Whether a flusher has found out if the warehouse is there."""

    def put(self, waiting: Sequence[Waiting]) -> None:
        """Queue all of the events, or none: Refused with `busy`."""
        size = sum(len(each.event.body) for each in waiting)
        is_full = len(self.waiting) + len(waiting) > self.most_events
        if not self.is_open or is_full or self.byte_count + size > self.most_bytes:
            raise Refused("busy", retry_after=BUSY_RETRY_S)
        self.waiting.extend(waiting)
        self.byte_count += size
        self.arrived.set()

    def take(self) -> list[Waiting]:
        """What the next commit holds, the oldest first; at least one event if there is any."""
        taken: list[Waiting] = []
        size = 0
        while self.waiting and len(taken) < LARGEST_BATCH:
            size += len(self.waiting[0].event.body)
            if taken and size > LARGEST_BATCH_BYTES:
                break
            taken.append(self.waiting.popleft())
        self.byte_count -= sum(len(each.event.body) for each in taken)
        if not self.waiting:
            self.arrived.clear()
        return taken

    def take_all(self) -> list[Waiting]:
        """Everything, for the answer that it was not stored."""
        taken = list(self.waiting)
        self.waiting.clear()
        self.byte_count = 0
        self.arrived.clear()
        return taken

    @property
    def load(self) -> float:
        """How full it is, from 0 to 1."""
        return max(len(self.waiting) / self.most_events, self.byte_count / self.most_bytes)


@dataclass
class Flusher:
    """Takes events from the queue and commits them, on a connection that it opens again when it breaks."""

    url: str = field(repr=False)
    queue: Queue
    traffic: Traffic
    clock: Callable[[], datetime]
    connection: asyncpg.Connection | None = field(default=None, repr=False)
    _began_at: float = float("-inf")

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            while True:
                connection = await self._ensure_connection()
                await self.queue.arrived.wait()
                await self._keep_pace()
                if not connection.is_closed() and (taken := self.queue.take()):
                    await self._flush(taken)
        finally:
            self._disconnect()

    async def _keep_pace(self) -> None:
        """A commit costs PostgreSQL as much as fifty rows: under load it is worth some milliseconds."""
        loop = asyncio.get_running_loop()
        pause = self._began_at + PACE_SECONDS - loop.time()
        if pause > 0 and len(self.queue.waiting) < LARGEST_BATCH:
            await asyncio.sleep(pause)
        self._began_at = loop.time()

    async def _ensure_connection(self) -> asyncpg.Connection:
        if self.connection is None or self.connection.is_closed():
            self.connection = await self._connect()
        return self.connection

    async def _connect(self) -> asyncpg.Connection:
        pause = FIRST_PAUSE_S
        while True:
            try:
                connection = await open_connection(self.url, "steadfast receiver")
                await ensure_days(connection, self.clock().date())
            except Exception as error:  # noqa: BLE001 - a flusher that ends would leave everybody waiting
                log.warning("the warehouse cannot be reached: %s", error)
                self.queue.is_open = False
                self.queue.tried.set()
                _fail(self.queue.take_all())
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_S)
            else:
                self.queue.is_open = True
                self.queue.tried.set()
                return connection

    async def _flush(self, taken: Sequence[Waiting], *, is_last_try: bool = False) -> None:
        try:
            await self._store(taken)
        except _DATA_ERRORS as error:
            await self._isolate(taken, error, is_last_try)
        except _FAILURES as error:
            log.warning(
                "a commit failed, %d events have to be sent again: %s", len(taken), type(error).__name__
            )
            self._disconnect()
            _fail(taken)
        except Exception:  # whatever it is, a flusher that ends would leave everybody waiting
            log.exception("a commit failed, %d events have to be sent again", len(taken))
            self._disconnect()
            _fail(taken)
        except asyncio.CancelledError:
            _fail(taken)
            raise

    async def _store(self, taken: Sequence[Waiting]) -> None:
        loop = asyncio.get_running_loop()
        connection, began = await self._ensure_connection(), loop.time()
        events = [each.event for each in taken]
        answers = await store_batch(connection, events, origin="http", now=self.clock())
        self.traffic.count_flush(len(taken), loop.time() - began)
        for each, stored in zip(taken, answers, strict=True):
            if not each.answer.done():
                each.answer.set_result(stored)

    async def _isolate(self, taken: Sequence[Waiting], error: Exception, is_last_try: bool) -> None:
        """Try halves until the event that PostgreSQL refuses is alone; its neighbours are kept."""
        self._disconnect()
        if len(taken) > 1:
            middle = len(taken) // 2
            await self._flush(taken[:middle])
            await self._flush(taken[middle:])
        elif is_last_try:
            event = taken[0].event
            log.error("event %s cannot be stored: %s", event.event_id, type(error).__name__)
            _fail(taken)
        else:
            # A new connection has made the partitions of the day, which may have been all that was missing.
            await self._flush(taken, is_last_try=True)

    def _disconnect(self) -> None:
        if self.connection is not None:
            self.connection.terminate()
            self.connection = None


def _fail(taken: Sequence[Waiting]) -> None:
    for each in taken:
        if not each.answer.done():
            each.answer.set_exception(Refused("busy", retry_after=BUSY_RETRY_S))
