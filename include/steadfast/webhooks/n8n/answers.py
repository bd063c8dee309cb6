"""What an n8n answered, as values: nothing in it is believed, and errors name the server, never the key.

Pure. An answer that is none is SourceUnavailable; one that will be the same the next time is `Unreadable`.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx

from steadfast.errors import AccessDenied, InvalidRequest, SourceUnavailable, SteadfastError

LARGEST_ID = 2**63 - 1
"""What the cursor in the warehouse can hold; n8n itself counts to 2,147,483,647."""
MOST_BRACKETS = 4_000_000
"""Python needs 64 bytes and more for each object; an execution of 30,000 events has 300,000."""
LONGEST_NAME = 255
LONGEST_CURSOR = 2_000
LONGEST_QUOTE = 200
_DIGITS = re.compile(r"[0-9]{1,19}")
_REFUSED = {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}


class Unreadable(SourceUnavailable):
    """The server answers, and what it answers will be as useless the next time."""


class TooManyRequests(SourceUnavailable):
    """The server, or the proxy before it, asks us to go slower."""


@dataclass(frozen=True)
class N8nServer:
    """Where an n8n is, and the API key that it knows us by."""

    url: str
    api_key: str = field(repr=False)
    timeout_s: float = 20.0


@dataclass(frozen=True)
class Execution:
    """An execution as a list shows it."""

    execution_id: int
    status: str
    workflow_id: str
    started_at: datetime | None


def explain(status: int, body: bytes, server: N8nServer) -> SteadfastError:
    """The error that an answer other than 200 means."""
    said = _quote(body, server)
    if status in _REFUSED:
        return AccessDenied(f"n8n at {server.url} refuses the API key ({status}): {said}")
    if 300 <= status < 400:
        return AccessDenied(
            f"n8n at {server.url} answered with a redirect ({status}), which is not followed because the key "
            f"would go along; set the address that it leads to, or let the API pass the login page."
        )
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return TooManyRequests(f"n8n at {server.url} failed ({status}): {said}")
    if status == httpx.codes.REQUEST_TIMEOUT or status >= 500:
        return SourceUnavailable(f"n8n at {server.url} failed ({status}): {said}")
    if status == httpx.codes.NOT_FOUND and not is_said_by_api(body):
        return SourceUnavailable(
            f"n8n at {server.url} answered 404 without a word of its API; it is starting, or its public API "
            f"is switched off."
        )
    if status == httpx.codes.NOT_FOUND:
        return InvalidRequest(
            f"n8n at {server.url} has no public API at api/v1 (404); is it switched off there?"
        )
    return InvalidRequest(f"n8n at {server.url} refused the request ({status}): {said}")


def is_said_by_api(body: bytes) -> bool:
    """Whether n8n's API refused; one that is starting answers 404 too, with a page, and nothing is gone."""
    try:
        return "message" in json.loads(body)
    except (ValueError, TypeError, RecursionError):
        return False


def _quote(body: bytes, server: N8nServer) -> str:
    try:
        said = str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return "no reason given"
    # The key goes first: cut first, its beginning could stay.
    masked = said.replace(server.api_key, "…") if server.api_key else said
    return " ".join(masked.split())[:LONGEST_QUOTE]


def parse_answer(body: bytes, server: N8nServer) -> dict[str, Any]:
    """The JSON object that an answer is."""
    if body.count(b"{") + body.count(b"[") > MOST_BRACKETS:
        raise Unreadable(f"n8n at {server.url} answered with more than {MOST_BRACKETS:,} objects and lists.")
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        # A proxy's page of a minute would be that too, so the next time may be better.
        raise SourceUnavailable(f"n8n at {server.url} answered something that is not JSON.") from error
    if not isinstance(found, dict):
        raise Unreadable(f"n8n at {server.url} answered a JSON {type(found).__name__} instead of an object.")
    return found


def read_page(found: Mapping[str, Any], server: N8nServer) -> tuple[list[Execution], str | None]:
    """The executions of a page, newest first, and the cursor of the next one."""
    rows, cursor = found.get("data"), found.get("nextCursor")
    if not isinstance(rows, list) or "nextCursor" not in found:
        raise SourceUnavailable(f"n8n at {server.url} answered something that is not a list of executions.")
    if cursor is not None and (not isinstance(cursor, str) or len(cursor) > LONGEST_CURSOR):
        raise SourceUnavailable(f"n8n at {server.url} answered a cursor that is not a short text.")
    try:
        return [_read_execution(row) for row in rows], cursor or None
    except (KeyError, TypeError, ValueError) as error:
        raise SourceUnavailable(
            f"n8n at {server.url} answered something that is not a list of executions."
        ) from error


def check_same(found: Mapping[str, Any], asked: Execution, server: N8nServer) -> None:
    """Unreadable if n8n shows another execution than it was asked for."""
    try:
        is_same = _read_id(found["id"]) == asked.execution_id
        is_same = is_same and _read_name(found["workflowId"]) == asked.workflow_id
    except (KeyError, TypeError, ValueError):
        is_same = False
    if not is_same:
        raise Unreadable(
            f"n8n at {server.url} answered something that is not execution {asked.execution_id} of the "
            f"workflow that it lists it under."
        )


def _read_execution(row: Any) -> Execution:
    if not isinstance(row, dict):
        raise TypeError(type(row).__name__)
    started = row.get("startedAt")
    moment = datetime.fromisoformat(started) if started else None
    if moment is not None and moment.tzinfo is None:
        raise ValueError("startedAt")
    return Execution(_read_id(row["id"]), _read_name(row["status"]), _read_name(row["workflowId"]), moment)


def _read_id(value: Any) -> int:
    """Newer n8n give a text, older ones a number."""
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= LARGEST_ID:
        raise ValueError("id")
    return value


def _read_name(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise TypeError(type(value).__name__)
    name = str(value)
    if not 0 < len(name) <= LONGEST_NAME:
        raise ValueError("name")
    return name
