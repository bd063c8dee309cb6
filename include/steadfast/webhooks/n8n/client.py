"""Asks an n8n server for its failed executions, through its public API (n8n 1.0 and later).

Lists come without data, a few hundred bytes an execution; what it did is read one by one, so that no
answer is larger than one execution. The key opens the whole n8n: it is in no message, goes to no other
address, and redirects are refused.
"""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import httpx

from steadfast.errors import AccessDenied, ConfigError, InvalidRequest, SourceUnavailable, SteadfastError

PAGE = 250
MOST_PAGES = 400
"""100,000 executions; n8n itself keeps 10,000 unless told otherwise."""

SHOWN_AS = {"error": ("error", "crashed", "failed")}
LARGEST_ANSWER = 256 * 1024 * 1024
ANSWER_SECONDS = 120.0
LONGEST_QUOTE = 200
_REFUSED = {httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN}
_PASSING = {httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_MANY_REQUESTS}


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


@dataclass(frozen=True)
class N8nClient:
    """An open connection to one n8n."""

    server: N8nServer
    http: httpx.Client = field(repr=False)

    def newest_id(self) -> int | None:
        """The id of the newest execution that n8n shows; None if it shows none."""
        rows = _read_page(self._ask("executions", {"limit": 1}), self.server)[0]
        return rows[0].execution_id if rows else None

    def list_executions(self, status: str, *, down_to: int = 0) -> Iterator[Execution]:
        """The executions with a status and an id above `down_to`, newest first; `error` brings `crashed`.

        An n8n that takes a status but does not filter by it is looked at no further than it makes sense.
        """
        statuses = SHOWN_AS.get(status, (status,))
        cursor: str | None = None
        for _ in range(MOST_PAGES):
            query = {"status": status, "limit": PAGE} | ({"cursor": cursor} if cursor else {})
            rows, cursor = _read_page(self._ask("executions", query), self.server)
            wanted = [row for row in rows if row.status in statuses]
            yield from (row for row in wanted if row.execution_id > down_to)
            if cursor is None or not wanted or rows[-1].execution_id <= down_to:
                return
        raise SourceUnavailable(
            f"n8n at {self.server.url} has more than {MOST_PAGES * PAGE} executions with status {status} "
            f"that were not looked at; delete old ones there."
        )

    def read_execution(self, execution_id: int) -> dict[str, Any] | None:
        """Everything n8n kept of an execution; None if it is gone."""
        path, query = f"executions/{execution_id}", {"includeData": "true"}
        found = self._ask(path, query, may_be_missing=True)
        if found is not None and found.get("dataTooLargeToDisplay") is True:
            # Only an n8n that says so knows this parameter; the others refuse it.
            found = self._ask(path, query | {"ignoreDataSizeLimit": "true"}, may_be_missing=True)
        return found

    def _ask(
        self, path: str, query: Mapping[str, Any], *, may_be_missing: bool = False
    ) -> dict[str, Any] | None:
        try:
            with self.http.stream("GET", f"api/v1/{path}", params=query) as response:
                body = _read_body(response, self.server)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise SourceUnavailable(
                f"n8n at {self.server.url} did not answer: {type(error).__name__}."
            ) from error
        if may_be_missing and response.status_code == httpx.codes.NOT_FOUND:
            return None
        if response.status_code != httpx.codes.OK:
            raise _explain(response.status_code, body, self.server)
        return _parse(body, self.server)


@contextmanager
def open_n8n(server: N8nServer) -> Iterator[N8nClient]:
    """A client for the length of a `with` block; ConfigError if the address is none."""
    try:
        http = httpx.Client(
            base_url=f"{server.url.rstrip('/')}/",
            headers={"X-N8N-API-KEY": server.api_key, "Accept": "application/json"},
            timeout=httpx.Timeout(server.timeout_s),
            follow_redirects=False,
            # A proxy of the environment would see the key, and .netrc would add another.
            trust_env=False,
        )
    except (httpx.InvalidURL, UnicodeEncodeError) as error:
        # Without its cause, which holds the key.
        raise ConfigError(f"{server.url} with its key cannot be asked: {type(error).__name__}.") from None
    with http:
        yield N8nClient(server, http)


def _read_body(response: httpx.Response, server: N8nServer) -> bytes:
    begun = time.monotonic()
    pieces: list[bytes] = []
    size = 0
    for piece in response.iter_bytes():
        pieces.append(piece)
        size += len(piece)
        if size > LARGEST_ANSWER:
            raise SourceUnavailable(f"n8n at {server.url} answered with more than {LARGEST_ANSWER} bytes.")
        if time.monotonic() - begun > ANSWER_SECONDS:
            raise SourceUnavailable(f"n8n at {server.url} needed over {ANSWER_SECONDS:.0f} s for an answer.")
    return b"".join(pieces)


def _explain(status: int, body: bytes, server: N8nServer) -> SteadfastError:
    said = _quote(body, server)
    if status in _REFUSED:
        return AccessDenied(f"n8n at {server.url} refuses the API key ({status}): {said}")
    if 300 <= status < 400:
        return AccessDenied(
            f"n8n at {server.url} answered with a redirect ({status}), which is not followed because the key "
            f"would go along; set the address that it leads to, or let the API pass the login page."
        )
    if status in _PASSING or status >= 500:
        return SourceUnavailable(f"n8n at {server.url} failed ({status}): {said}")
    if status == httpx.codes.NOT_FOUND:
        return InvalidRequest(
            f"n8n at {server.url} has no public API at api/v1 (404); is it switched off there?"
        )
    return InvalidRequest(f"n8n at {server.url} refused the request ({status}): {said}")


def _quote(body: bytes, server: N8nServer) -> str:
    try:
        said = str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return "no reason given"
    return said[:LONGEST_QUOTE].replace(server.api_key, "…") if server.api_key else said[:LONGEST_QUOTE]


def _parse(body: bytes, server: N8nServer) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise _nonsense(server, "something that is not JSON") from error
    if not isinstance(found, dict):
        raise _nonsense(server, f"a JSON {type(found).__name__} instead of an object")
    return found


def _read_page(found: dict[str, Any] | None, server: N8nServer) -> tuple[list[Execution], str | None]:
    try:
        rows = [_read_execution(row) for row in (found or {})["data"]]
        cursor = (found or {})["nextCursor"]
    except (KeyError, TypeError, ValueError) as error:
        raise _nonsense(server, "something that is not a list of executions") from error
    if cursor is not None and not isinstance(cursor, str):
        raise _nonsense(server, "a cursor that is not a text")
    return rows, cursor or None


def _read_execution(row: Mapping[str, Any]) -> Execution:
    started = row.get("startedAt")
    moment = datetime.fromisoformat(started) if started else None
    if moment is not None and moment.tzinfo is None:
        raise ValueError(started)
    return Execution(int(row["id"]), str(row["status"]), str(row["workflowId"]), moment)


def _nonsense(server: N8nServer, what: str) -> SourceUnavailable:
    return SourceUnavailable(f"n8n at {server.url} answered {what}.")
