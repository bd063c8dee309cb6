"""What an n8n execution did not deliver: what its posting node was given when it failed or was stopped.

Pure. An item's JSON has `id` and `body`, the text that is posted, as docs/data-contract.md tells n8n to
prepare them. n8n does not say which of a node's items arrived, so all of them come: those that did are
known by their id.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any


@dataclass(frozen=True)
class UnsentItem:
    """An event as it would have been posted."""

    event_id: str
    body: bytes


@dataclass(frozen=True)
class Unsent:
    """The items of an execution, and a sentence for each one that cannot be read."""

    items: tuple[UnsentItem, ...] = ()
    problems: tuple[str, ...] = ()


RECOVERED_MARK = "isArtificialRecoveredEventItem"
"""n8n puts this in the place of the data that it lost in a crash."""

MOST_ITEMS = 100_000
"""n8n itself runs out of memory long before; storing so many takes a minute."""
CANCELED = "canceled"
"""Somebody pressed Stop, or the workflow's time was over; n8n shows both alike."""
LOST_ITEM = {"json": {RECOVERED_MARK: True}}
_ADDRESS = re.compile(r"/v1/in/[a-z0-9-]+/[a-z0-9-]+")


def find_unsent(execution: Mapping[str, Any], node: str, address: str) -> Unsent:
    """The items that `node` was given in the runs that failed or never began; each once.

    A node that visibly posts to another address than `address` (`/v1/in/ENTITY/SOURCE`) has none.
    """
    if not _is_ours(execution, node, address):
        return Unsent()
    data = _object(execution.get("data"))
    if reason := _find_loss(execution, data):
        return Unsent(problems=(reason,))
    inputs = _find_inputs(data, node)
    if execution.get("status") == CANCELED:
        inputs += _find_cut_off_inputs(execution, data, node)
    if sum(map(len, inputs)) > MOST_ITEMS:
        return Unsent(problems=(f"an execution holds more than {MOST_ITEMS:,} events",))
    read = [_read_item(item) for items in inputs for item in items]
    return Unsent(
        tuple(dict.fromkeys(one for one in read if isinstance(one, UnsentItem))),
        tuple(one for one in read if isinstance(one, str)),
    )


def _is_ours(execution: Mapping[str, Any], node: str, address: str) -> bool:
    nodes = _object(execution.get("workflowData")).get("nodes")
    if not isinstance(nodes, list):
        return True
    ours = [one for one in nodes if _object(one).get("name") == node]
    return any(_may_post_to(_object(_object(one).get("parameters")).get("url"), address) for one in ours)


def _may_post_to(url: Any, address: str) -> bool:
    # An expression may hide the address; then the node's name has to do.
    visible = _ADDRESS.findall(url) if isinstance(url, str) else []
    return not visible or address in visible


def _find_loss(execution: Mapping[str, Any], data: Mapping[str, Any]) -> str | None:
    """Why n8n shows nothing of what the nodes were given."""
    if execution.get("dataTooLargeToDisplay") is True:
        return "n8n finds it too large to show"
    if _object(data.get("redactionInfo")).get("isRedacted") is True:
        return "n8n hides its data (redaction policy of the workflow)"
    if execution.get("status") == CANCELED:
        # Stopped while it was in the queue: nothing had been made.
        return None
    return None if _object(data.get("resultData")).get("runData") else "n8n kept no data of it"


def _find_inputs(data: Mapping[str, Any], node: str) -> list[Sequence[Any]]:
    runs = _object(_object(data.get("resultData")).get("runData"))
    failed = [run for run in map(_object, _list(runs.get(node))) if _has_failed(run)]
    sources = [_object(source) for run in failed for source in _list(run.get("source"))]
    # Many runs may name one output, and each output is read once.
    given = [_read_output(runs, *place) for place in dict.fromkeys(map(_find_place, sources))]
    # A node that failed lies ready for a retry too, with the same items.
    known = set(map(json.dumps, given))
    given += [items for items in _find_waiting_inputs(data, node) if json.dumps(items) not in known]
    if failed and not any(given):
        given.append([LOST_ITEM])
    return given


def _find_cut_off_inputs(
    execution: Mapping[str, Any], data: Mapping[str, Any], node: str
) -> list[Sequence[Any]]:
    """What a node was sending when it was cut off: there is no run of it, only those of the nodes before."""
    result = _object(data.get("resultData"))
    if result.get("lastNodeExecuted") != node:
        return []
    runs = _object(result.get("runData"))
    places = (
        (before, run, output)
        for before, output in _find_feeders(execution, node)
        for run in range(len(_list(runs.get(before))))
    )
    return [_read_output(runs, *place) for place in islice(places, MOST_ITEMS + 1)]


def _find_feeders(execution: Mapping[str, Any], node: str) -> Iterator[tuple[str, int]]:
    """The nodes and outputs that lead to it."""
    connections = _object(_object(execution.get("workflowData")).get("connections"))
    for before, outputs in connections.items():
        for output, links in enumerate(_list(_object(outputs).get("main"))):
            if any(_object(link).get("node") == node for link in _list(links)):
                yield before, output


def _has_failed(run: Mapping[str, Any]) -> bool:
    return bool(run.get("error")) or run.get("executionStatus") in ("error", "crashed", CANCELED)


def _find_place(source: Mapping[str, Any]) -> tuple[str, int, int]:
    """Node, run and output; n8n leaves out the numbers where they are 0."""
    run, output = (source.get(name) for name in ("previousNodeRun", "previousNodeOutput"))
    return (
        str(source.get("previousNode")),
        run if isinstance(run, int) else 0,
        output if isinstance(output, int) else 0,
    )


def _read_output(runs: Mapping[str, Any], node: str, run: int, output: int) -> Sequence[Any]:
    """What the node before gave."""
    given = _object(_pick(_list(runs.get(node)), run))
    return _list(_pick(_list(_object(given.get("data")).get("main")), output))


def _find_waiting_inputs(data: Mapping[str, Any], node: str) -> Iterator[Sequence[Any]]:
    """What lies ready for the node: it was about to run, or failed and can be retried."""
    for waiting in map(_object, _list(_object(data.get("executionData")).get("nodeExecutionStack"))):
        if _object(waiting.get("node")).get("name") == node:
            yield from (_list(items) for items in _list(_object(waiting.get("data")).get("main")))


def _read_item(item: Any) -> UnsentItem | str:
    given = _object(_object(item).get("json"))
    if RECOVERED_MARK in given:
        return "n8n lost what the node was given, as after a crash"
    event_id, body = given.get("id"), given.get("body")
    if isinstance(event_id, bool) or not isinstance(event_id, str | int):
        return "an item has no `id`"
    if not isinstance(body, str):
        return "an item has no text in `body`"
    # Half of a surrogate pair leaves Node.js as U+FFFD.
    return UnsentItem(
        str(event_id), body.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()
    )


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _pick(values: Sequence[Any], place: int) -> Any:
    return values[place] if 0 <= place < len(values) else None
