"""The control endpoint: what a test or the demo makes the workflows do, and what they have done.

GET /sources
POST /send {"source", "count"}: post that many events in one execution now, and wait for its end
POST /lose {"source", "count"}: the same, but nothing is sent and the execution fails
POST /stop {"source", "count"}: the same, but somebody presses Stop, or the workflow's time is over
POST /resume {"execution", "is_lost"}: what waits in a Wait node goes on
POST /retry {"execution"}: as a person presses Retry
POST /pace {"source", "per_minute", "is_on", "is_losing"}: all sources if none is named; each is optional
POST /api {"is_broken", "is_starting", "is_key_of_member"}: whether the public API answers 503, answers 404
with a page, or shows nothing because its key is that of a member; each is optional
A wrong request is answered with 400 and a sentence; a new address is a case in `_look` or `_change`.
"""

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from steadfast.demo.n8n.engine import Engine
from steadfast.demo.web import JsonHandler

MOST_EVENTS = 10_000
API = {
    "is_broken": "is_api_broken",
    "is_starting": "is_api_starting",
    "is_key_of_member": "is_key_of_member",
}


class ControlHandler(JsonHandler):
    """One control connection; `engine` is set by `start_http`."""

    engine: Engine

    def do_GET(self) -> None:  # noqa: N802 - the name the server calls
        """Look at the workflows."""
        self._answer(lambda: self._look(urlsplit(self.path).path))

    def do_POST(self) -> None:  # noqa: N802 - the name the server calls
        """Make them do something."""
        body = self.read_body()
        self._answer(lambda: self._change(urlsplit(self.path).path, json.loads(body or b"{}")))

    def _answer(self, build: Callable[[], Any]) -> None:
        try:
            self.send_text(HTTPStatus.OK, json.dumps(build()))
        except (ValueError, KeyError, TypeError) as error:
            self.send_text(HTTPStatus.BAD_REQUEST, json.dumps({"error": str(error)}))

    def _look(self, path: str) -> Any:
        if path != "/sources":
            raise ValueError(f"no such control address: {path}")
        return {name: workflow.describe() for name, workflow in self.engine.workflows.items()}

    def _change(self, path: str, body: dict[str, Any]) -> Any:
        match path:
            case "/send" | "/lose" | "/stop":
                _check_keys(body, "source", "count")
                count = int(body["count"])
                if not 0 < count <= MOST_EVENTS:
                    raise ValueError(f"count is {count}; 1 to {MOST_EVENTS} events fit into an execution")
                ends = {"is_lost": path == "/lose", "is_stopped": path == "/stop"}
                return self._describe(self.engine.send(body["source"], count, **ends))
            case "/resume":
                _check_keys(body, "execution", "is_lost")
                is_lost = bool(body.get("is_lost", False))
                return self._describe(self.engine.resume(int(body["execution"]), is_lost=is_lost))
            case "/retry":
                _check_keys(body, "execution")
                return self._describe(self.engine.retry(int(body["execution"])))
            case "/pace":
                _check_keys(body, "source", "per_minute", "is_on", "is_losing")
                return self._pace(body)
            case "/api":
                _check_keys(body, *API)
                for key in body:
                    setattr(self.engine, API[key], bool(body[key]))
                return {key: getattr(self.engine, name) for key, name in API.items()}
        raise ValueError(f"no such control address: {path}")

    def _describe(self, execution_id: int) -> dict[str, Any]:
        row = self.engine.executions.find(execution_id)
        return {"execution": str(execution_id), "status": row["status"] if row else None}

    def _pace(self, body: dict[str, Any]) -> Any:
        named = body.get("source")
        chosen = [self.engine.find(named)] if named else list(self.engine.workflows.values())
        for workflow in chosen:
            workflow.per_minute = float(body.get("per_minute", workflow.per_minute))
            workflow.is_on = bool(body.get("is_on", workflow.is_on))
            workflow.is_losing = bool(body.get("is_losing", workflow.is_losing))
        return {workflow.target.name: workflow.describe() for workflow in chosen}


def _check_keys(body: dict[str, Any], *known: str) -> None:
    if unknown := sorted(set(body) - set(known)):
        raise ValueError(f"unknown keys {', '.join(unknown)}; valid are {', '.join(known)}")
