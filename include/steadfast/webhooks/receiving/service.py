"""What one receiver process holds: its sources, its queue, its counters. `start`, then `stop`."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import ParamSpec, TypeVar

import asyncpg

from steadfast.errors import SteadfastError
from steadfast.webhooks.envelope import IncomingEvent
from steadfast.webhooks.inbox import Stored, check_writable, ensure_days, open_connection
from steadfast.webhooks.receiving.flush import Flusher, Queue, Waiting
from steadfast.webhooks.receiving.request import Reading
from steadfast.webhooks.receiving.traffic import Traffic
from steadfast.webhooks.sources import REFRESH_SECONDS, Directory, Unseal

log = logging.getLogger(__name__)
Given = ParamSpec("Given")
Found = TypeVar("Found")

STALE_SECONDS = 5.0
"""After so long without a word from the warehouse a receiver is not ready."""
FULL_LOAD = 0.8
DAYS_EVERY_SECONDS = 3600.0
STOP_SECONDS = 10.0
_FAILURES = (SteadfastError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)


@dataclass
class ReceiverService:
    """One process's share of the receiving."""

    url: str = field(repr=False)
    unseal: Unseal = field(repr=False)
    clock: Callable[[], datetime]
    queue: Queue = field(default_factory=Queue)
    reading: Reading = field(default_factory=Reading)
    traffic: Traffic = field(default_factory=Traffic)
    large_bodies: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "large-body"))
    _directory: Directory | None = None
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    knows_sources: bool = False
    """Whether the sources were ever read: before, a sender that we should know looks like a stranger."""
    _has_looked: asyncio.Event = field(default_factory=asyncio.Event)
    _heard_at: float = float("-inf")
    _days_made_at: float = float("-inf")

    @property
    def directory(self) -> Directory:
        """The sources, as last read."""
        if self._directory is None:
            self._directory = Directory(self.unseal)
        return self._directory

    async def start(self) -> None:
        """Read the sources once, if the warehouse answers, and go on in the background.

        Of calls that come while another one starts, each waits for its end.
        """
        if not self._tasks:
            flusher = Flusher(self.url, self.queue, self.traffic, self.clock)
            work = (flusher.run(), self._keep_fresh(), self._end_late_bodies())
            self._tasks = [asyncio.create_task(each) for each in work]
        await self._has_looked.wait()
        await self.queue.tried.wait()

    async def stop(self) -> None:
        """Let what waits be committed, then end."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                while self.queue.waiting and self.queue.is_open:
                    await asyncio.sleep(0.01)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        self._has_looked.clear()

    async def store(self, events: Sequence[IncomingEvent]) -> list[Stored]:
        """Wait until the events are committed: Refused with `busy` if they are not."""
        loop = asyncio.get_running_loop()
        answers: list[asyncio.Future[Stored]] = [loop.create_future() for _ in events]
        self.queue.put([Waiting(event, answer) for event, answer in zip(events, answers, strict=True)])
        # A sender that hangs up ends the waiting for his answer; the event is committed all the same.
        return await asyncio.gather(*answers)

    async def read_aside(
        self, read: Callable[Given, Found], *given: Given.args, **options: Given.kwargs
    ) -> Found:
        """Let one large body at a time be read beside the loop, so that nobody else waits for it."""
        work = partial(read, *given, **options)
        return await asyncio.get_running_loop().run_in_executor(self.large_bodies, work)

    def is_ready(self) -> bool:
        """Whether to send events here."""
        now = asyncio.get_running_loop().time()
        if any(task.done() for task in self._tasks):
            return False
        return self.queue.is_open and now - self._heard_at < STALE_SECONDS and self.queue.load < FULL_LOAD

    async def _keep_fresh(self) -> None:
        connection: asyncpg.Connection | None = None
        try:
            while True:
                try:
                    if connection is None or connection.is_closed():
                        connection = await open_connection(self.url, "steadfast receiver: sources")
                    await self._refresh(connection)
                except Exception as error:  # noqa: BLE001 - this must go on, whatever a driver raises
                    log.warning("sources cannot be read: %s: %s", type(error).__name__, error)
                    _close(connection)
                    connection = None
                self._has_looked.set()
                self._measure()
                await asyncio.sleep(REFRESH_SECONDS)
        finally:
            if connection is not None and not connection.is_closed():
                with contextlib.suppress(*_FAILURES):
                    await self.traffic.record(connection, self._minute() + 1)
            _close(connection)

    async def _end_late_bodies(self) -> None:
        while True:
            await asyncio.sleep(1)
            self.reading.end_late()

    async def _refresh(self, connection: asyncpg.Connection) -> None:
        seconds = asyncio.get_running_loop().time()
        await check_writable(connection)
        await self.directory.refresh(connection, seconds)
        sources = self.directory.sources.values()
        self.traffic.names.update(
            {known.source.source_id: (known.source.entity, known.source.slug) for known in sources}
        )
        await self.traffic.record(connection, self._minute())
        if seconds - self._days_made_at > DAYS_EVERY_SECONDS:
            await ensure_days(connection, self.clock().date())
            self._days_made_at = seconds
        self._heard_at, self.knows_sources = seconds, True

    def _measure(self) -> None:
        self.traffic.forget_excess()
        self.traffic.gauges = {
            "queued_events": len(self.queue.waiting),
            "queued_bytes": self.queue.byte_count,
            "body_bytes": self.reading.held_bytes,
            "sources": len(self.directory.sources),
            "ready": float(self.is_ready()),
        }

    def _minute(self) -> int:
        return int(self.clock().timestamp() // 60)


def _close(connection: asyncpg.Connection | None) -> None:
    if connection is not None:
        connection.terminate()
