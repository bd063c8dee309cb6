"""The event loop that the workflows run in, on a thread of its own, and how other threads ask it."""

import asyncio
import json
import sqlite3
import threading
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from steadfast.demo.n8n.described import describe_workflow
from steadfast.demo.n8n.executions import Executions
from steadfast.demo.n8n.shape import crash_data
from steadfast.demo.n8n.targets import Target
from steadfast.demo.n8n.workflow import Workflow

Found = TypeVar("Found")


@dataclass
class Engine:
    """Every workflow, and the loop they run in."""

    executions: Executions
    workflows: dict[str, Workflow]
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)
    is_api_broken: bool = False
    is_api_starting: bool = False
    """Whether the public API answers as an n8n does in its first seconds."""
    is_key_of_member: bool = False
    """Whether the key belongs to somebody who has no workflow."""
    unreadable: set[int] = field(default_factory=set)
    """Executions that the public API lists and then fails to show, as n8n does with damaged data."""
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def find(self, name: str) -> Workflow:
        """The workflow of a source; ValueError names those there are."""
        if name not in self.workflows:
            raise ValueError(f"no source {name!r}; there are {', '.join(self.workflows)}")
        return self.workflows[name]

    def describe(self, workflow_id: str) -> dict[str, Any]:
        """A workflow as n8n describes it."""
        return describe_workflow(self._find_by_id(workflow_id).target)

    def send(self, name: str, count: int, *, is_lost: bool = False, is_stopped: bool = False) -> int:
        """Run one execution of a workflow to its end."""
        return self._wait(self.find(name).send(count, is_lost=is_lost, is_stopped=is_stopped))

    def resume(self, execution_id: int, *, is_lost: bool = False) -> int:
        """Let one that waits go on, to its end."""
        row = self._find_row(execution_id)
        if row["status"] != "waiting":
            raise ValueError(f"execution {execution_id} does not wait; it is {row['status']}")
        return self._wait(self._find_by_id(row["workflow_id"]).resume(execution_id, is_lost=is_lost))

    def retry(self, execution_id: int) -> int:
        """Retry an execution to its end."""
        row = self._find_row(execution_id)
        if row["status"] not in ("error", "crashed"):
            raise ValueError(f"execution {execution_id} cannot be retried; it is {row['status']}")
        return self._wait(self._find_by_id(row["workflow_id"]).retry(execution_id))

    def start(self) -> None:
        """Run the workflows by themselves from now on; what ran when this was killed has crashed."""
        for row in self.executions.list_newest(("running",), None, 1 << 62, 1 << 31):
            at, data = datetime.fromisoformat(row["started_at"]), json.loads(row["data"])
            known = [one for one in self.workflows.values() if one.target.workflow_id == row["workflow_id"]]
            kept = crash_data(known[0].target, data, at) if known else data
            self.executions.finish(row["id"], "crashed", kept, at)
        threading.Thread(target=self.loop.run_forever, name="n8n-workflows", daemon=True).start()
        self._wait(self._begin())

    def stop(self) -> None:
        """End them; what runs is cut off, as a restart of n8n does."""
        self._wait(self._end())
        self.loop.call_soon_threadsafe(self.loop.stop)

    async def _begin(self) -> None:
        self._tasks += [asyncio.create_task(one.run_for_ever()) for one in self.workflows.values()]

    async def _end(self) -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _find_row(self, execution_id: int) -> sqlite3.Row:
        row = self.executions.find(execution_id)
        if row is None:
            raise ValueError(f"no execution {execution_id}")
        return row

    def _find_by_id(self, workflow_id: str) -> Workflow:
        return next(one for one in self.workflows.values() if one.target.workflow_id == workflow_id)

    def _wait(self, asked: Coroutine[Any, Any, Found]) -> Found:
        return asyncio.run_coroutine_threadsafe(asked, self.loop).result()


def build_engine(
    targets: Sequence[Target], executions: Executions, clock: Callable[[], datetime], *, is_on: bool
) -> Engine:
    """An engine with a workflow for each target, not started yet."""
    workflows = {
        target.name: Workflow(target, executions, clock, target.per_minute, is_on) for target in targets
    }
    return Engine(executions, workflows)
