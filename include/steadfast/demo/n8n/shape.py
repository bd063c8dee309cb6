"""An execution's `data` as n8n 2.8 keeps and shows it: what each node was given, gave, and how it ended.

Taken from a real n8n: a new way for an execution to end is a function here and a case in `workflow.py`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from steadfast.demo.n8n.described import TRIGGER, WAIT, describe_node, list_nodes
from steadfast.demo.n8n.failure import describe_error
from steadfast.demo.n8n.items import PREPARE
from steadfast.demo.n8n.node import NodeRun, read_reply
from steadfast.demo.n8n.targets import Target

Items = Sequence[dict[str, Any]]
Data = dict[str, Any]
FOR_EVER = "3000-01-01T00:00:00.000Z"
"""Until when a Wait node waits that is told to go on by a call."""
LOST_ITEM = {"json": {"isArtificialRecoveredEventItem": True}}


def wait_data(target: Target, first: int, count: int, at: datetime) -> Data:
    """What is kept while the Wait node waits: that it has begun, and what it was given."""
    given = _trigger_items(first, count, at)
    data = _collect(at, {TRIGGER: given}, [TRIGGER], _stack(target, WAIT, given, TRIGGER))
    waiting = {"executionStatus": "waiting", "data": {"main": [given]}}
    data["resultData"]["runData"][WAIT] = [_run(1, TRIGGER, at, 1) | waiting]
    data["resultData"]["lastNodeExecuted"] = WAIT
    return data | {"waitTill": FOR_EVER}


def begin_data(target: Target, first: int, items: Items, at: datetime) -> Data:
    """What is kept while the node posts, if the workflow saves its progress."""
    given = _trigger_items(first, len(items), at)
    path = list_nodes(target)[:-1]
    outputs = dict.fromkeys(path, given) | {PREPARE: list(items)}
    return _collect(at, outputs, path, _stack(target, target.node, items, PREPARE))


def end_data(target: Target, first: int, items: Items, run: NodeRun, at: datetime, spent_ms: int) -> Data:
    """What is kept when the node is done: its output, or its error beside what it was given."""
    kept = begin_data(target, first, items, at)
    result = kept["resultData"]
    result["lastNodeExecuted"] = target.node
    ran = _run(len(result["runData"]), PREPARE, at, spent_ms)
    failed = run.first_failure
    if failed is None:
        replies = [
            {"json": read_reply(answer), "pairedItem": {"item": n}} for n, answer in enumerate(run.answers)
        ]
        ran |= {"executionStatus": "success", "data": {"main": [replies]}}
        kept["executionData"]["nodeExecutionStack"] = []
    else:
        error = describe_error(target, failed, items, run.answers[failed], at)
        ran |= {"executionStatus": "error", "error": error}
        result["error"] = error
    result["runData"][target.node] = [ran]
    return kept


def stop_data(target: Target, first: int, items: Items, at: datetime) -> Data:
    """What is kept when somebody pressed Stop, or the workflow's time was over: no run of the node at all."""
    kept = begin_data(target, first, items, at)
    kept["resultData"]["lastNodeExecuted"] = target.node
    kept["executionData"]["nodeExecutionStack"] = []
    return kept


def crash_data(target: Target, kept: Data, at: datetime) -> Data:
    """What n8n makes, when it starts again, of an execution that it was running when it was killed."""
    runs = kept["resultData"]["runData"]
    if not target.saves_progress:
        kept["executionData"]["nodeExecutionStack"] = [
            {"node": {"name": TRIGGER}, "data": runs[TRIGGER][0]["data"], "source": None}
        ]
        runs = {name: [_lost_run(at, "success") | {"data": {"main": [[LOST_ITEM]]}}] for name in runs}
    error = _crash("NodeCrashedError", "Execution stopped at this node", at)
    error["description"] = "n8n may have run out of memory while running this execution."
    kept["resultData"] = {
        "runData": {**runs, target.node: [_lost_run(at, "crashed") | {"error": error}]},
        "lastNodeExecuted": target.node,
        "error": _crash("WorkflowCrashedError", "Workflow did not finish, possible out-of-memory issue", at),
    }
    return kept


def read_trigger(data: Data) -> tuple[int, int, datetime]:
    """Which events an execution was started for: the first one, how many, and when."""
    stack, runs = data["executionData"]["nodeExecutionStack"], data["resultData"]["runData"]
    is_lost = stack and stack[0]["node"]["name"] == TRIGGER
    given = (stack[0] if is_lost else runs[TRIGGER][0])["data"]["main"][0][0]["json"]
    return given["first"], given["count"], datetime.fromisoformat(given["timestamp"])


def _collect(at: datetime, outputs: Mapping[str, Items], path: Sequence[str], stack: list[Any]) -> Data:
    before = [None, *path]
    runs = {
        name: [_run(n, before[n], at, 1) | {"executionStatus": "success", "data": {"main": [outputs[name]]}}]
        for n, name in enumerate(path)
    }
    started = {"name": TRIGGER, "type": "n8n-nodes-base.scheduleTrigger"}
    return {
        "version": 1,
        "startData": {},
        "resultData": {"runData": runs, "lastNodeExecuted": path[-1]},
        "executionData": {
            "contextData": {},
            "nodeExecutionStack": stack,
            "metadata": {},
            "waitingExecution": {},
            "waitingExecutionSource": {},
            "runtimeData": {
                "version": 1,
                "establishedAt": _epoch_ms(at),
                "source": "trigger",
                "triggerNode": started,
            },
        },
    }


def _stack(target: Target, name: str, items: Items, before: str) -> list[Any]:
    node = describe_node(target) if name == target.node else {"name": name}
    return [{"node": node, "data": {"main": [list(items)]}, "source": {"main": _source(before)}}]


def _trigger_items(first: int, count: int, at: datetime) -> list[dict[str, Any]]:
    given = {"timestamp": at.isoformat(), "first": first, "count": count}
    return [{"json": given, "pairedItem": {"item": 0}}]


def _run(place: int, before: str | None, at: datetime, spent_ms: int) -> Data:
    return {
        "startTime": _epoch_ms(at),
        "executionIndex": place,
        "source": _source(before) if before else [],
        "hints": [],
        "executionTime": spent_ms,
    }


def _lost_run(at: datetime, status: str) -> Data:
    return {
        "startTime": _epoch_ms(at) // 1000,
        "executionIndex": 0,
        "executionTime": 0,
        "source": [None],
        "executionStatus": status,
    }


def _crash(name: str, message: str, at: datetime) -> Data:
    return {"message": message, "timestamp": _epoch_ms(at), "name": name, "context": {}}


def _source(before: str) -> list[Data]:
    return [{"previousNode": before, "previousNodeOutput": 0, "previousNodeRun": 0}]


def _epoch_ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
