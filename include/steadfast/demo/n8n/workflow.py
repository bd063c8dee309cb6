"""Workflows at work: each makes events, posts them in executions, and remembers how that went.

Everything here runs in one event loop; `Workflow.send` and its like are what the control endpoint calls.
"""

import asyncio
import json
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from steadfast.demo.n8n.events import Business, make_event
from steadfast.demo.n8n.executions import Executions
from steadfast.demo.n8n.items import PREPARE, prepare_items
from steadfast.demo.n8n.node import NodeRun, run_node, was_never_sent
from steadfast.demo.n8n.shape import LOST_ITEM, begin_data, end_data, read_trigger, stop_data, wait_data
from steadfast.demo.n8n.targets import Target

LARGEST_TICK = 5
"""Events that a workflow posts in one execution when it runs by itself."""

Items = list[dict[str, Any]]


@dataclass(frozen=True)
class Given:
    """What the posting node is given, and the number of the first event in it."""

    first: int
    items: Items


@dataclass
class Workflow:
    """One workflow, switched on or off, at its own pace."""

    target: Target
    executions: Executions
    clock: Callable[[], datetime]
    per_minute: float
    is_on: bool = True
    is_losing: bool = False
    """Whether what it makes never leaves the machine: executions fail without a request."""

    @property
    def business(self) -> Business:
        """Whose events it makes."""
        target = self.target
        seed = f"{target.name}:{target.seed}"
        return Business(seed, target.mix, target.time_zone, target.currency, target.mistakes)

    async def run_for_ever(self) -> None:
        """Post a few events at a time, at the pace that holds just then."""
        running: set[asyncio.Task[int]] = set()
        while True:
            count = random.randint(1, LARGEST_TICK)
            await self._rest(count)
            # A retrying execution does not hold up the next one; n8n starts it regardless.
            running.add(task := asyncio.create_task(self.send(count)))
            task.add_done_callback(running.discard)

    async def _rest(self, count: int) -> None:
        waited = 0.0
        while not self.is_on or waited < count * 60 / max(self.per_minute, 0.01):
            await asyncio.sleep(0.1)
            waited = waited + 0.1 if self.is_on else 0.0

    async def send(self, count: int, *, is_lost: bool = False, is_stopped: bool = False) -> int:
        """Make and post that many new events in one execution; return its id."""
        now = self.clock()
        first = self.executions.summarise(self.target.name, self.target.workflow_id)["made"]
        if self.target.waits:
            self._make(first, count, now)
            return self.executions.wait(
                self.target.workflow_id, wait_data(self.target, first, count, now), now
            )
        given = Given(first, self._make(first, count, now))
        execution_id = self._start(given)
        return await self._execute(execution_id, given, is_lost=is_lost, is_stopped=is_stopped)

    async def resume(self, execution_id: int, *, is_lost: bool = False) -> int:
        """Let an execution go on that waits."""
        first, count, at = read_trigger(self._read(execution_id))
        given = Given(first, self._make(first, count, at))
        self.executions.resume(execution_id, begin_data(self.target, first, given.items, at))
        return await self._execute(execution_id, given, is_lost=is_lost)

    async def retry(self, execution_id: int) -> int:
        """Run a failed execution's node again with the items, times and signatures it had.

        One whose data a crash took begins anew: the same events, with a new time and signature.
        """
        data = self._read(execution_id)
        first, count, at = read_trigger(data)
        items = data["resultData"]["runData"][PREPARE][0]["data"]["main"][0]
        if LOST_ITEM in items:
            items = self._make(first, count, at)
        given = Given(first, items)
        retried = await self._execute(self._start(given, retry_of=str(execution_id)), given)
        ended = self.executions.find(retried)
        if ended and ended["status"] == "success":
            self.executions.mark_retried(execution_id, retried)
        return retried

    def _make(self, first: int, count: int, at: datetime) -> Items:
        events = [make_event(self.business, number, at) for number in range(first, first + count)]
        self.executions.add_events(self.target.name, [(one.event_id, one.kind, one.key) for one in events])
        return prepare_items(self.target, events, int(self.clock().timestamp()))

    def _read(self, execution_id: int) -> dict[str, Any]:
        row = self.executions.find(execution_id)
        return dict(json.loads(row["data"])) if row else {}

    def _start(self, given: Given, retry_of: str | None = None) -> int:
        now = self.clock()
        data = begin_data(self.target, given.first, given.items, now)
        return self.executions.start(self.target.workflow_id, data, now, retry_of)

    async def _execute(
        self, execution_id: int, given: Given, *, is_lost: bool = False, is_stopped: bool = False
    ) -> int:
        target, items, started, begun = self.target, given.items, self.clock(), time.monotonic()
        if is_stopped:
            kept = stop_data(target, given.first, items, started)
            self.executions.finish(execution_id, "canceled", kept, started)
            return execution_id
        is_lost = is_lost or self.is_losing
        run: NodeRun = was_never_sent(target, items) if is_lost else await run_node(target, items)
        self.executions.count_answers(target.name, run.statuses, run.acknowledged)
        spent_ms = int((time.monotonic() - begun) * 1000)
        ended = end_data(target, given.first, items, run, started, spent_ms)
        status = "success" if run.first_failure is None else "error"
        self.executions.finish(execution_id, status, ended, self.clock())
        return execution_id

    def describe(self) -> dict[str, Any]:
        """How it is set and what it did."""
        return {
            "url": self.target.url,
            "auth": self.target.auth,
            "workflow_id": self.target.workflow_id,
            "node": self.target.node,
            "is_on": self.is_on,
            "is_losing": self.is_losing,
            "per_minute": self.per_minute,
            **self.executions.summarise(self.target.name, self.target.workflow_id),
        }
