"""The public REST API of n8n 2.8, as far as executions go: their list, one of them, and its retry.

A request that n8n's validator refuses gets the same status and words here. A new address is a case in
`_answer`; what a list may be asked for is in `asked.py`.
"""

import hmac
import json
import sqlite3
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

from steadfast.demo.n8n.asked import (
    STATUSES,
    Answered,
    check_list,
    check_query,
    read_cursor,
    read_id,
    write_cursor,
)
from steadfast.demo.n8n.engine import Engine
from steadfast.demo.n8n.shape import FOR_EVER
from steadfast.demo.web import JsonHandler

__all__ = ["STATUSES", "Answered", "ApiHandler"]

EXECUTIONS, WORKFLOWS = "/api/v1/executions", "/api/v1/workflows"
SHOWN = ("canceled", "crashed", "error", "success", "waiting")
"""Without a status; what is asked for as `error` comes with what crashed."""
NO_RUN = (
    "Cannot destructure property 'length' of 'data.executionData.resultData.runData[lastNodeExecuted]' as it "
    "is undefined."
)
STARTING = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Error</title>
</head>
<body>
<pre>Cannot GET /api/v1/executions</pre>
</body>
</html>
"""


class ApiHandler(JsonHandler):
    """One connection; `engine` and `api_key` are set by `start_http`."""

    engine: Engine
    api_key: str

    def do_GET(self) -> None:  # noqa: N802 - the name the server calls
        """List executions or show one."""
        self._answer()

    def do_POST(self) -> None:  # noqa: N802 - the name the server calls
        """Retry one."""
        self.read_body()
        self._answer()

    def _answer(self) -> None:
        if self.engine.is_api_starting:
            self.send_text(HTTPStatus.NOT_FOUND, STARTING, "text/html; charset=utf-8")
            return
        parts = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        try:
            self.send_text(HTTPStatus.OK, json.dumps(self._find(parts.path.rstrip("/"), query)))
        except Answered as answer:
            self.send_text(answer.status, json.dumps({"message": str(answer)}))

    def _find(self, path: str, query: dict[str, str]) -> Any:
        if self.engine.is_api_broken:
            raise Answered(HTTPStatus.SERVICE_UNAVAILABLE, "Database is not ready!")
        if path in (EXECUTIONS, WORKFLOWS):
            self._check("GET")
            return self._list(query) if path == EXECUTIONS else self._list_workflows()
        text, slash, retry = path.removeprefix(f"{EXECUTIONS}/").partition("/")
        if not path.startswith(f"{EXECUTIONS}/") or (slash and retry != "retry"):
            # The only thing that n8n says without a key.
            raise Answered(HTTPStatus.NOT_FOUND, "not found")
        self._check("POST" if retry else "GET")
        number = read_id(text)
        if retry:
            return self._retry(number)
        check_query(query, ("includeData",))
        return self._show_one(number, query)

    def _check(self, method: str) -> None:
        if self.command != method:
            raise Answered(HTTPStatus.METHOD_NOT_ALLOWED, f"{self.command} method not allowed")
        key = self.headers.get("X-N8N-API-KEY")
        if not key:
            raise Answered(HTTPStatus.UNAUTHORIZED, "'X-N8N-API-KEY' header required")
        if not hmac.compare_digest(key.encode(), self.api_key.encode()):
            raise Answered(HTTPStatus.UNAUTHORIZED, "unauthorized")

    def _show_one(self, number: int, query: dict[str, str]) -> Any:
        row = self._find_row(number)
        if row is None:
            raise Answered(HTTPStatus.NOT_FOUND, "Not Found")
        if row["id"] in self.engine.unreadable:
            raise Answered(HTTPStatus.INTERNAL_SERVER_ERROR, "Internal server error")
        more = {"createdAt": row["started_at"], "deletedAt": None, "storedAt": "db"}
        return self._show(row, query.get("includeData") == "true") | more

    def _retry(self, number: int) -> Any:
        row = self._find_row(number)
        if row is None:
            raise Answered(HTTPStatus.NOT_FOUND, f'The execution with the ID "{number}" does not exist.')
        if row["status"] == "success":
            raise Answered(HTTPStatus.BAD_REQUEST, "The execution succeeded, so it cannot be retried.")
        if row["status"] not in ("error", "crashed"):
            raise Answered(HTTPStatus.BAD_REQUEST, NO_RUN)
        retried = self._find_row(self.engine.retry(number))
        if retried is None:
            raise Answered(HTTPStatus.NOT_FOUND, "Not Found")
        return self._show(retried, False)

    def _find_row(self, number: int) -> sqlite3.Row | None:
        return None if self.engine.is_key_of_member else self.engine.executions.find(number)

    def _list(self, query: dict[str, str]) -> dict[str, Any]:
        check_list(query)
        below, limit = read_cursor(query)
        status = query.get("status")
        statuses = {None: SHOWN, "error": ("error", "crashed")}.get(status, (str(status),))
        workflow_id = query.get("workflowId")
        rows = self.engine.executions.list_newest(statuses, workflow_id, below, limit + 1)
        if self.engine.is_key_of_member:
            rows = []
        page = rows[:limit]
        return {
            "data": [self._show(row, query.get("includeData") == "true") for row in page],
            "nextCursor": write_cursor(page[-1]["id"], limit) if len(rows) > limit else None,
        }

    def _list_workflows(self) -> dict[str, Any]:
        workflows = [] if self.engine.is_key_of_member else list(self.engine.workflows.values())
        shown = [self.engine.describe(one.target.workflow_id) for one in workflows]
        return {"data": shown, "nextCursor": None}

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
            "waitTill": FOR_EVER if row["status"] == "waiting" else None,
        }
        if not has_data:
            return shown
        workflow = self.engine.describe(row["workflow_id"])
        return {**shown, "data": json.loads(row["data"]), "workflowData": workflow, "customData": {}}
