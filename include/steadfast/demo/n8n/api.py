"""The public REST API of n8n 2.8, as far as executions go: their list, one of them, and its retry.

A request that n8n's validator refuses gets the same status and words here. A new address is a case in
`_find` or `do_POST`.
"""

import base64
import hmac
import json
import sqlite3
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

from steadfast.demo.n8n.executions import Executions
from steadfast.demo.web import JsonHandler

BASE = "/api/v1/executions"
STATUSES = ("canceled", "error", "running", "success", "waiting")
PARAMETERS = ("cursor", "includeData", "limit", "projectId", "status", "workflowId")
MOST = 250
NEWEST = 1 << 62


class Answered(Exception):
    """An answer that is not a success."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class ApiHandler(JsonHandler):
    """One connection; what it serves is set by `start_http`."""

    executions: Executions
    api_key: str
    describe_workflow: Callable[[str], dict[str, Any]]
    retry: Callable[[int], int]
    is_broken: Callable[[], bool]
    is_unreadable: Callable[[int], bool]

    def do_GET(self) -> None:  # noqa: N802 - the name the server calls
        """List executions or show one."""
        self._answer(self._find)

    def do_POST(self) -> None:  # noqa: N802 - the name the server calls
        """Retry one."""
        self.read_body()
        self._answer(self._retry)

    def _answer(self, build: Callable[[str, dict[str, str]], Any]) -> None:
        parts = urlsplit(self.path)
        try:
            self._check_key()
            query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
            self.send_text(HTTPStatus.OK, json.dumps(build(parts.path.rstrip("/"), query)))
        except Answered as answer:
            self.send_text(answer.status, json.dumps({"message": str(answer)}))

    def _check_key(self) -> None:
        if self.is_broken():
            raise Answered(HTTPStatus.SERVICE_UNAVAILABLE, "Database is not ready!")
        key = self.headers.get("X-N8N-API-KEY")
        if key is None:
            raise Answered(HTTPStatus.UNAUTHORIZED, "'X-N8N-API-KEY' header required")
        if not hmac.compare_digest(key.encode(), self.api_key.encode()):
            raise Answered(HTTPStatus.UNAUTHORIZED, "unauthorized")

    def _find(self, path: str, query: dict[str, str]) -> Any:
        if path == BASE:
            return self._list(query)
        row = self._find_row(path.removeprefix(f"{BASE}/"))
        if self.is_unreadable(row["id"]):
            raise Answered(HTTPStatus.INTERNAL_SERVER_ERROR, "Internal server error")
        return self._show(row, query.get("includeData") == "true")

    def _retry(self, path: str, _: dict[str, str]) -> Any:
        if not path.endswith("/retry"):
            raise Answered(HTTPStatus.METHOD_NOT_ALLOWED, "POST method not allowed")
        row = self._find_row(path.removeprefix(f"{BASE}/").removesuffix("/retry"))
        if row["status"] == "success":
            raise Answered(HTTPStatus.CONFLICT, "The execution succeeded, so it cannot be retried.")
        retried = self.executions.find(self.retry(row["id"]))
        if retried is None:
            raise Answered(HTTPStatus.NOT_FOUND, "Not Found")
        return self._show(retried, False)

    def _find_row(self, text: str) -> sqlite3.Row:
        row = self.executions.find(int(text)) if text.isdecimal() else None
        if row is None:
            raise Answered(HTTPStatus.NOT_FOUND, "Not Found")
        return row

    def _list(self, query: dict[str, str]) -> dict[str, Any]:
        _check_query(query)
        below, limit = _read_cursor(query)
        # What is asked for as `error` comes with what crashed; what runs is shown only when asked for.
        status = query.get("status")
        shown = {None: ("canceled", "crashed", "error", "success", "waiting"), "error": ("error", "crashed")}
        statuses = shown.get(status, (str(status),))
        rows = self.executions.list_newest(statuses, query.get("workflowId"), below, limit + 1)
        page, has_more = rows[:limit], len(rows) > limit
        cursor = json.dumps({"lastId": str(page[-1]["id"]), "limit": limit}) if has_more else ""
        return {
            "data": [self._show(row, query.get("includeData") == "true") for row in page],
            "nextCursor": base64.b64encode(cursor.encode()).decode() or None,
        }

    def _show(self, row: sqlite3.Row, has_data: bool) -> dict[str, Any]:
        shown = {
            "id": str(row["id"]),
            "finished": row["status"] == "success",
            "mode": row["mode"],
            "retryOf": row["retry_of"],
            "retrySuccessId": row["retry_success_id"],
            "status": row["status"],
            "startedAt": row["started_at"],
            "stoppedAt": row["stopped_at"],
            "workflowId": row["workflow_id"],
            "waitTill": None,
        }
        if not has_data:
            return shown
        workflow = self.describe_workflow(row["workflow_id"])
        return {**shown, "data": json.loads(row["data"]), "workflowData": workflow, "customData": {}}


def _check_query(query: dict[str, str]) -> None:
    if unknown := sorted(set(query) - set(PARAMETERS)):
        raise Answered(HTTPStatus.BAD_REQUEST, f"Unknown query parameter '{unknown[0]}'")
    limit = query.get("limit", "100")
    if not limit.isdecimal():
        raise Answered(HTTPStatus.BAD_REQUEST, "request/query/limit must be number")
    if int(limit) > MOST:
        raise Answered(HTTPStatus.BAD_REQUEST, f"request/query/limit must be <= {MOST}")
    if query.get("status", STATUSES[0]) not in STATUSES:
        allowed = ", ".join(STATUSES)
        raise Answered(
            HTTPStatus.BAD_REQUEST,
            f"request/query/status must be equal to one of the allowed values: {allowed}",
        )


def _read_cursor(query: dict[str, str]) -> tuple[int, int]:
    if "cursor" not in query:
        return NEWEST, int(query.get("limit", "100"))
    try:
        found = json.loads(base64.b64decode(query["cursor"]))
        return int(found["lastId"]), int(found["limit"])
    except (ValueError, KeyError, TypeError) as error:
        raise Answered(HTTPStatus.BAD_REQUEST, "An invalid cursor was provided") from error
