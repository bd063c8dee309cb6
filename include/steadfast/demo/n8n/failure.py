"""How n8n words a request that failed: its NodeApiError, which quotes one key of the answer, here `error`."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from steadfast.demo.n8n.described import describe_node
from steadfast.demo.n8n.items import headers_of
from steadfast.demo.n8n.post import ACCEPT, Answer
from steadfast.demo.n8n.targets import Target

_MESSAGES = {
    400: "Bad request - please check your parameters",
    401: "Authorization failed - please check your credentials",
    403: "Forbidden - perhaps check your credentials?",
    404: "The resource you are requesting could not be found",
    429: "The service is receiving too many requests from you",
    502: "Bad gateway - the service failed to handle your request",
    503: "Service unavailable - try again later or consider setting this node to retry automatically (in the "
    "node settings)",
    504: "Gateway timed out - perhaps try again later?",
}
_ANY_4XX = "Your request is invalid or could not be processed by the service"
_ANY_5XX = "The service was not able to process your request"
_CODES = {
    "ECONNREFUSED": "The service refused the connection - perhaps it is offline",
    "ECONNRESET": "The connection to the server was closed unexpectedly, perhaps it is offline. You can "
    "retry the request immediately or wait and retry later.",
    "ECONNABORTED": "The connection was aborted, perhaps the server is offline",
    "ENOTFOUND": "The connection cannot be established, this usually occurs due to an incorrect host "
    "(domain) value",
}
_QUOTED = ("cause", "error", "message", "description", "reason", "detail", "title", "type")
"""The first of these keys in the answer is all that n8n shows of it."""


def describe_error(
    target: Target, place: int, items: Sequence[dict[str, Any]], answer: Answer, at: datetime
) -> dict[str, Any]:
    """A failed request as NodeApiError; `place` is that of the item that it was for."""
    said = answer.text if answer.code else f"{answer.status} - {json.dumps(answer.text)}"
    message = _word(answer, said)
    quoted = {} if answer.code else {"description": _quote(answer.text)}
    return {
        "level": "warning",
        "tags": {},
        **quoted,
        "timestamp": int(at.timestamp() * 1000),
        "context": {"itemIndex": place, "request": _describe_request(target, items[place]["json"])},
        "functionality": "regular",
        "name": "NodeApiError",
        "node": describe_node(target),
        "messages": [said, said] if answer.code else [said],
        "httpCode": answer.code or str(answer.status),
        "message": message,
        "stack": f"NodeApiError: {message}\n    at ExecuteContext.execute",
    }


def _describe_request(target: Target, item: dict[str, str]) -> dict[str, Any]:
    headers = {name.lower(): value for name, value in headers_of(target, item).items()}
    if "authorization" in headers:
        headers["authorization"] = "**hidden**"
    return {
        "body": item["body"],
        "headers": {**headers, "content-type": "application/json", "accept": ACCEPT},
        "method": "POST",
        "uri": target.url,
        "followRedirect": False,
        "timeout": int(target.timeout_s * 1000),
    }


def _word(answer: Answer, said: str) -> str:
    if answer.code:
        return _CODES.get(answer.code, said)
    fallback = {4: _ANY_4XX, 5: _ANY_5XX}.get(answer.status // 100, said)
    return _MESSAGES.get(answer.status, fallback)


def _quote(text: str) -> str | None:
    try:
        found = json.loads(text)
    except ValueError:
        return text or None
    if not isinstance(found, dict):
        return None
    return next((str(found[key]) for key in _QUOTED if isinstance(found.get(key), str | int)), None)
