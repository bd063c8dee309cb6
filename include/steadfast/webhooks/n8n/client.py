"""Asks an n8n server for its failed executions, through its public API (n8n 1.0 and later).

Lists come without data, a few hundred bytes an execution; what it did is read one by one, so that no
answer is larger than one execution. The key opens the whole n8n: it goes to no other address, and
redirects are refused. Every request has an end, however slowly the server answers.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from steadfast.errors import ConfigError, SourceUnavailable
from steadfast.webhooks.n8n.answers import (
    Execution,
    N8nServer,
    Unreadable,
    check_same,
    explain,
    is_said_by_api,
    parse_answer,
    read_page,
)
from steadfast.webhooks.n8n.deadline import Deadline, end_after

PAGE = 250
MOST_PAGES = 400
"""100,000 executions; n8n itself keeps 10,000 unless told otherwise."""

SHOWN_AS = {"error": ("error", "crashed", "failed")}
LARGEST_ANSWER = 32 * 1024 * 1024
"""A task must not be killed for its memory: parsed, this takes 100 MiB as n8n writes it, and 600 as an enemy
would. An execution of 30,000 events fits in: it holds each of them twice."""
LARGEST_LIST = 4 * 1024 * 1024
"""16 KiB for each of 250 executions."""
LARGEST_REFUSAL = 64 * 1024
ANSWER_SECONDS = 30.0
"""A whole answer; what takes longer would take the time of the other executions."""
LEAST_SECONDS = 5.0
"""What is begun gets so long, even just before the deadline."""


@dataclass(frozen=True)
class N8nClient:
    """An open connection to one n8n."""

    server: N8nServer
    deadline: Deadline
    http: httpx.AsyncClient = field(repr=False)
    runner: asyncio.Runner = field(repr=False)
    """Only asyncio ends a request that drips: httpx's own time-outs begin anew with each byte."""

    def newest_id(self) -> int | None:
        """The id of the newest execution that n8n shows; None if it shows none."""
        rows, _ = self._list({"limit": 1})
        return rows[0].execution_id if rows else None

    def shows_workflows(self) -> bool:
        """Whether the key sees any workflow: that of a member sees only their own, and nothing says so."""
        status, body = self._ask("workflows", {"limit": 1}, LARGEST_ANSWER)
        return status == httpx.codes.OK and bool(parse_answer(body, self.server).get("data"))

    def list_executions(self, status: str, *, down_to: int = 0) -> Iterator[Execution]:
        """The executions with a status and an id above `down_to`, newest first; `error` brings `crashed`.

        n8n leaves out those that it holds in its memory: what waits comes with none, until it is restarted.

        An n8n that takes a status but does not filter by it is looked at no further than it makes sense.
        """
        statuses = SHOWN_AS.get(status, (status,))
        cursor, lowest = None, None
        for _ in range(MOST_PAGES):
            self._refuse_delay()
            query = {"status": status, "limit": PAGE} | ({"cursor": cursor} if cursor else {})
            rows, cursor = self._list(query)
            if rows and lowest is not None and rows[-1].execution_id >= lowest:
                raise SourceUnavailable(f"n8n at {self.server.url} lists its executions in circles.")
            wanted = [row for row in rows if row.status in statuses]
            yield from (row for row in wanted if row.execution_id > down_to)
            if cursor is None or not wanted or rows[-1].execution_id <= down_to:
                return
            lowest = rows[-1].execution_id
        raise SourceUnavailable(
            f"n8n at {self.server.url} has more than {MOST_PAGES * PAGE} executions with status {status} "
            f"that were not looked at; delete old ones there."
        )

    def read_execution(self, execution: Execution) -> dict[str, Any] | None:
        """Everything n8n kept of an execution; None if it says that there is none."""
        found = self._show(execution, {"includeData": "true"})
        if found is not None and found.get("dataTooLargeToDisplay") is True:
            # Only an n8n that says so knows this parameter; the others refuse it.
            return self._show(execution, {"includeData": "true", "ignoreDataSizeLimit": "true"})
        return found

    def _list(self, query: Mapping[str, Any]) -> tuple[list[Execution], str | None]:
        status, body = self._ask("executions", query, LARGEST_LIST)
        if status != httpx.codes.OK:
            raise explain(status, body, self.server)
        return read_page(parse_answer(body, self.server), self.server)

    def _show(self, execution: Execution, query: Mapping[str, Any]) -> dict[str, Any] | None:
        status, body = self._ask(f"executions/{execution.execution_id}", query, LARGEST_ANSWER)
        if status == httpx.codes.NOT_FOUND and is_said_by_api(body):
            return None
        if status != httpx.codes.OK:
            raise explain(status, body, self.server)
        found = parse_answer(body, self.server)
        check_same(found, execution, self.server)
        return found

    def _refuse_delay(self) -> None:
        if self.deadline.is_over():
            raise SourceUnavailable(
                f"n8n at {self.server.url} did not list its executions in the time that there is for it."
            )

    def _ask(self, path: str, query: Mapping[str, Any], largest: int) -> tuple[int, bytes]:
        seconds = min(ANSWER_SECONDS, max(LEAST_SECONDS, self.deadline.left))
        try:
            return self.runner.run(self._fetch(path, query, largest, seconds))
        except TimeoutError:
            raise SourceUnavailable(
                f"n8n at {self.server.url} needed over {seconds:.0f} s for an answer."
            ) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            # Without its cause, whose request carries the key.
            raise SourceUnavailable(
                f"n8n at {self.server.url} did not answer: {type(error).__name__}."
            ) from None

    async def _fetch(
        self, path: str, query: Mapping[str, Any], largest: int, seconds: float
    ) -> tuple[int, bytes]:
        async with (
            asyncio.timeout(seconds),
            self.http.stream("GET", f"api/v1/{path}", params=dict(query)) as response,
        ):
            if response.status_code != httpx.codes.OK:
                return response.status_code, await _read_refusal(response)
            return response.status_code, await _read_body(response, largest, self.server)


@contextmanager
def open_n8n(server: N8nServer, deadline: Deadline | None = None) -> Iterator[N8nClient]:
    """A client for the length of a `with` block; ConfigError if the address or the key cannot be sent."""
    http = _build_http(server)
    with asyncio.Runner() as runner:
        try:
            yield N8nClient(server, deadline or end_after(ANSWER_SECONDS), http, runner)
        finally:
            runner.run(http.aclose())


def _build_http(server: N8nServer) -> httpx.AsyncClient:
    try:
        if not server.api_key.isprintable():
            raise httpx.InvalidURL("key")
        return httpx.AsyncClient(
            base_url=f"{server.url.rstrip('/')}/",
            # Compressed, an answer of a few bytes could fill the memory.
            headers={
                "X-N8N-API-KEY": server.api_key,
                "Accept": "application/json",
                "Accept-Encoding": "identity",
            },
            timeout=httpx.Timeout(server.timeout_s),
            follow_redirects=False,
            # A proxy of the environment would see the key, and .netrc would add another.
            trust_env=False,
        )
    except (httpx.InvalidURL, UnicodeEncodeError) as error:
        # Without its cause, which holds the key.
        raise ConfigError(f"{server.url} with its key cannot be asked: {type(error).__name__}.") from None


async def _read_body(response: httpx.Response, largest: int, server: N8nServer) -> bytes:
    if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise SourceUnavailable(
            f"n8n at {server.url} answered with compressed data, which it was not asked for."
        )
    body = bytearray()
    async for piece in response.aiter_raw():
        body += piece
        if len(body) > largest:
            raise Unreadable(f"n8n at {server.url} answered with more than {largest} bytes.")
    return bytes(body)


async def _read_refusal(response: httpx.Response) -> bytes:
    """As much as a reason needs; what matters is the status."""
    body = bytearray()
    async for piece in response.aiter_raw():
        body += piece
        if len(body) > LARGEST_REFUSAL:
            break
    return bytes(body[:LARGEST_REFUSAL])
