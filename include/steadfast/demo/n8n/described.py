"""The workflow as n8n describes it: its nodes, how they are connected, its settings."""

from typing import Any

from steadfast.demo.n8n.items import PREPARE
from steadfast.demo.n8n.targets import Target

TRIGGER, WAIT = "Schedule Trigger", "Wait"
_TYPES = {TRIGGER: ("scheduleTrigger", 1.2), WAIT: ("wait", 1.1), PREPARE: ("code", 2)}
_BORN = "2026-01-01T00:00:00.000Z"


def list_nodes(target: Target) -> list[str]:
    """Their names, in the order in which they run."""
    return [TRIGGER, *([WAIT] if target.waits else []), PREPARE, target.node]


def describe_workflow(target: Target) -> dict[str, Any]:
    """The workflow as an execution carries it."""
    *before, last = list_nodes(target)
    nodes = [_describe(name, place) for place, name in enumerate(before)]
    progress = {"saveExecutionProgress": True} if target.saves_progress else {}
    return {
        "id": target.workflow_id,
        "name": target.name,
        "active": True,
        "isArchived": False,
        "createdAt": _BORN,
        "updatedAt": _BORN,
        "nodes": [*nodes, describe_node(target)],
        "connections": {
            name: {"main": [[{"node": after, "type": "main", "index": 0}]]}
            for name, after in zip(before, [*before[1:], last], strict=True)
        },
        "settings": {"executionOrder": "v1", "saveDataErrorExecution": "all", **progress},
        "staticData": {},
        "pinData": None,
    }


def describe_node(target: Target) -> dict[str, Any]:
    """The node that posts."""
    names = ["id"] if target.auth == "token" else ["id", "timestamp", "signature"]
    headers = [{"name": f"webhook-{name}", "value": f"={{{{ $json.{name} }}}}"} for name in names]
    return {
        "id": "0fcecd54-6840-439d-9796-f4c31dd5b5f3",
        "name": target.node,
        "type": "n8n-nodes-base.httpRequest",
        "typeVersion": 4.4,
        "position": [800, 0],
        "parameters": {
            "method": "POST",
            "url": target.url,
            "sendHeaders": True,
            "headerParameters": {"parameters": headers},
            "sendBody": True,
            "contentType": "raw",
            "rawContentType": "application/json",
            "body": "={{ $json.body }}",
            "options": {"redirect": {"redirect": {"followRedirects": False}}},
        },
        "retryOnFail": target.try_count > 1,
        "maxTries": target.tries,
        "waitBetweenTries": target.wait_ms,
    }


def _describe(name: str, place: int) -> dict[str, Any]:
    kind, version = _TYPES[name]
    return {
        "id": f"0fcecd54-6840-439d-9796-00000000000{place}",
        "name": name,
        "type": f"n8n-nodes-base.{kind}",
        "typeVersion": version,
        "position": [200 * place, 0],
        "parameters": {},
    }
