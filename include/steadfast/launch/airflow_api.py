"""The few calls of Airflow's REST API that a launch needs. Failures of the network are SourceUnavailable."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from steadfast.errors import ConfigError, InvalidRequest, SourceUnavailable

# The server is on this machine: a proxy of the environment must not be asked for it.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))
QUESTIONS = 3
"""How often a busy web server is asked the same before we give up."""
COMPONENTS = ("scheduler", "dag_processor", "triggerer")


@dataclass
class AirflowApi:
    """Airflow's web server, asked as one user."""

    url: str
    user: str
    password: str = field(repr=False)
    token: str = field(default="", repr=False)

    def answers(self) -> bool:
        """Tell whether the web server is up; SourceUnavailable while it is not."""
        return bool(self._call("GET", "/api/v2/version"))

    def is_healthy(self) -> bool:
        """Tell whether the web server answers and every other component has reported to it."""
        health = self._call("GET", "/api/v2/monitor/health")
        return all(health[name]["status"] == "healthy" for name in COMPONENTS)

    def knows_dag(self, dag_id: str) -> bool:
        """Tell whether the DAG has been read; ConfigError with the reason if its file is broken."""
        for broken in self._ask("GET", "/api/v2/importErrors")["import_errors"]:
            if broken["filename"].endswith(f"{dag_id}.py"):
                raise ConfigError(f"{broken['filename']} cannot be imported:\n{broken['stack_trace']}")
        dags = self._ask("GET", f"/api/v2/dags?dag_id_pattern={dag_id}")["dags"]
        return any(dag["dag_id"] == dag_id for dag in dags)

    def trigger(self, dag_id: str, *, conf: Mapping[str, Any] | None = None) -> str:
        """Start a manual run now and return its run id."""
        body = {"logical_date": None, "conf": dict(conf or {})}
        return str(self._ask("POST", f"/api/v2/dags/{dag_id}/dagRuns", body)["dag_run_id"])

    def run_state(self, dag_id: str, run_id: str) -> str:
        """Return queued, running, success or failed."""
        return str(self._ask("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}")["state"])

    def list_runs(self, dag_id: str) -> list[dict[str, Any]]:
        """Return the newest runs of a DAG, newest first."""
        found = self._ask("GET", f"/api/v2/dags/{dag_id}/dagRuns?order_by=-run_after&limit=50")
        return list(found["dag_runs"])

    def _ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        if not self.token:
            login = {"username": self.user, "password": self.password}
            self.token = str(self._call("POST", "/auth/token", login)["access_token"])
        for _ in range(QUESTIONS - 1 if method == "GET" else 0):
            with suppress(SourceUnavailable):
                return self._call(method, path)
        return self._call(method, path, body)

    def _call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, content, headers, method=method)
        try:
            with _OPENER.open(request, timeout=30) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as error:
            detail = error.read().decode("utf-8", "replace")[:500]
            raise InvalidRequest(f"Airflow refused {method} {path} with {error.code}: {detail}") from error
        except (OSError, ValueError) as error:
            raise SourceUnavailable(f"Airflow at {self.url} does not answer: {error}") from error


def wait_until(
    is_done: Callable[[], bool], check_alive: Callable[[], None], what: str, patience: float
) -> None:
    """Ask `is_done` until it says yes; a web server that does not answer yet is asked again."""
    deadline = time.monotonic() + patience
    last = "no answer yet"
    while time.monotonic() < deadline:
        check_alive()
        try:
            if is_done():
                return
        except SourceUnavailable as error:
            last = str(error)
        time.sleep(0.3)
    raise SourceUnavailable(f"{what} was not ready after {patience:.0f} s: {last}")
