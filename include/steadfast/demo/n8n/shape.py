"""An execution's `data` as n8n keeps and shows it: what each node got, gave and how it failed."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from steadfast.demo.n8n.items import PREPARE
from steadfast.demo.n8n.node import NodeRun, read_reply
from steadfast.demo.n8n.post import Answer
from steadfast.demo.n8n.targets import Target

Items = Sequence[dict[str, Any]]
HTTP_REQUEST = "n8n-nodes-base.httpRequest"
_SOURCE = [{"previousNode": PREPARE}]
_MESSAGES = {
    0: "The connection cannot be established, this usually occurs due to an incorrect host (domain) value",
    400: "Bad request - please check your parameters",
    401: "Authorization failed - please check your credentials",
    404: "The resource you are requesting could not be found",
    429: "The service is receiving too many requests from you",
    500: "The service was not able to process your request",
    503: "Service unavailable - try again later or consider setting this node to retry automatically",
}
_CODES = {
    "ECONNREFUSED": "The service refused the connection - perhaps it is offline",
    "ECONNRESET": "The connection to the server was closed unexpectedly, perhaps it is offline.",
    "ECONNABORTED": "The connection was aborted, perhaps the server is offline",
}


def describe_workflow(target: Target) -> dict[str, Any]:
    """The workflow as an execution carries it."""
    nodes = [
        {"name": "Schedule Trigger", "type": "n8n-nodes-base.scheduleTrigger", "parameters": {}},
        {"name": PREPARE, "type": "n8n-nodes-base.code", "parameters": {}},
        _describe_node(target),
    ]
    return {"id": target.workflow_id, "name": target.name, "active": True, "nodes": nodes}


def begin_data(target: Target, items: Items, at: datetime) -> dict[str, Any]:
    """What is kept before the node posts (workflow setting: save execution progress)."""
    waiting = {"node": _describe_node(target), "data": {"main": [list(items)]}, "source": {"main": _SOURCE}}
    return {
        "startData": {},
        "resultData": {
            "runData": {
                "Schedule Trigger": [_succeed([{"json": {"timestamp": at.isoformat()}}], [], at)],
                PREPARE: [_succeed(items, [{"previousNode": "Schedule Trigger"}], at)],
            },
            "lastNodeExecuted": PREPARE,
        },
        "executionData": {
            "contextData": {},
            "nodeExecutionStack": [waiting],
            "waitingExecution": {},
            "waitingExecutionSource": {},
        },
    }


def end_data(target: Target, items: Items, run: NodeRun, at: datetime, spent_ms: int) -> dict[str, Any]:
    """What is kept when the node is done: its output, or its error beside what it was given."""
    kept = begin_data(target, items, at)
    result = kept["resultData"]
    result["lastNodeExecuted"] = target.node
    ran: dict[str, Any] = {"startTime": _epoch_ms(at), "executionTime": spent_ms, "source": _SOURCE}
    failure = run.first_failure
    if failure is None:
        replies = [
            {"json": read_reply(answer), "pairedItem": {"item": n}} for n, answer in enumerate(run.answers)
        ]
        ran |= {"executionStatus": "success", "data": {"main": [replies]}}
        kept["executionData"]["nodeExecutionStack"] = []
    else:
        error = describe_error(target, failure, at)
        ran |= {"executionStatus": "error", "error": error}
        result["error"] = error
    result["runData"][target.node] = [ran]
    return kept


def describe_error(target: Target, answer: Answer, at: datetime) -> dict[str, Any]:
    """A failed request as NodeApiError."""
    code = answer.code or str(answer.status)
    said = answer.text if answer.code else f'{answer.status} - "{answer.text}"'
    fallback = _MESSAGES[500] if answer.status >= 500 else "The service refused the request"
    return {
        "level": "warning",
        "tags": {},
        "context": {"itemIndex": 0, "request": {"method": "POST", "uri": target.url}},
        "functionality": "regular",
        "name": "NodeApiError",
        "timestamp": _epoch_ms(at),
        "node": _describe_node(target),
        "messages": [said],
        "httpCode": code,
        "description": answer.text,
        "message": _CODES.get(answer.code) or _MESSAGES.get(answer.status, fallback),
    }


def was_never_sent(target: Target, items: Items) -> NodeRun:
    """A run whose requests never left the machine."""
    refused = Answer(0, f"connect ECONNREFUSED {urlsplit(target.url).netloc}", "ECONNREFUSED")
    return NodeRun([refused] * len(items), try_count=target.try_count)


def _describe_node(target: Target) -> dict[str, Any]:
    parameters = {
        "method": "POST",
        "url": target.url,
        "sendHeaders": True,
        "contentType": "raw",
        "options": {},
    }
    return {
        "name": target.node,
        "type": HTTP_REQUEST,
        "typeVersion": 4.2,
        "parameters": parameters,
        "retryOnFail": target.try_count > 1,
        "maxTries": target.tries,
        "waitBetweenTries": target.wait_ms,
    }


def _succeed(items: Items, source: list[dict[str, str]], at: datetime) -> dict[str, Any]:
    return {
        "startTime": _epoch_ms(at),
        "executionTime": 1,
        "source": source,
        "executionStatus": "success",
        "data": {"main": [list(items)]},
    }


def _epoch_ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
