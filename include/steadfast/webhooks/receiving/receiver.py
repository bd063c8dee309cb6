"""The receiver: a raw ASGI application. A 2xx says that PostgreSQL has committed, and nothing else does.

Order matters: what needs no secret is checked first, then who it is, then how much he may send, and only
then what it says. Beside events it answers /livez, /readyz and /metrics.
"""

import asyncio
import hmac
import logging
import secrets
from dataclasses import dataclass, field
from typing import Any

from steadfast.webhooks.envelope import IncomingEvent, read_event
from steadfast.webhooks.inbox import ACCEPTED, CONFLICT, DUPLICATE, Stored
from steadfast.webhooks.judge import find_violations
from steadfast.webhooks.receiving.admission import authenticate, charge, read_event_id
from steadfast.webhooks.receiving.answers import JSON, send_answer, send_refusal
from steadfast.webhooks.receiving.batch import (
    LARGEST_BATCH_BODY,
    NDJSON,
    describe_results,
    read_item,
    split_batch,
)
from steadfast.webhooks.receiving.flush import BUSY_RETRY_S
from steadfast.webhooks.receiving.request import (
    Disconnected,
    Headers,
    Receive,
    Scope,
    Send,
    check_length,
    check_media_type,
    read_body,
    read_headers,
)
from steadfast.webhooks.receiving.service import ReceiverService
from steadfast.webhooks.refusals import Refused
from steadfast.webhooks.sources import KnownSource, Source

log = logging.getLogger(__name__)

DEFAULT_LIMIT = 256 * 1024
"""Of a source that we do not know: it must not be told apart from one that we do."""
JSON_TYPES = (b"application/json",)
ITEMS_AT_ONCE = 20
LARGE_ITEM = 16 * 1024
LOOPBACK = ("127.0.0.1", "::1")
Answer = tuple[int, bytes, bytes]
"""Status, content, media type."""


@dataclass(slots=True)
class Seen:
    """What is known of a request so far, for the counters."""

    now: float
    """When it came, in epoch seconds."""
    source_id: int | None = None
    key_id: int | None = None
    events: int = 0
    size: int = 0
    is_body_read: bool = False


@dataclass
class Receiver:
    """The ASGI application."""

    service: ReceiverService
    metrics_token: str = field(default="", repr=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or the server's lifespan."""
        if scope["type"] == "http":
            await self._answer(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._live(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await self.service.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.service.stop()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        seen, headers = Seen(self.service.clock().timestamp()), Headers()
        try:
            headers = read_headers(scope)
            status, content, media_type = await self._route(scope, headers, receive, seen)
        except Disconnected:
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, the sender is told to try again
            # Without its traceback, which holds the frames of the request and with them its body.
            refused = (error if isinstance(error, Refused) else _explain(error)).with_traceback(None)
            status, request_id = refused.refusal.status, secrets.token_hex(8)
            if seen.source_id is not None:
                log.info("%s for source %d, request %s", refused.refusal.code, seen.source_id, request_id)
            is_body_coming = not seen.is_body_read and b"expect" not in headers
            await send_refusal(send, receive, refused, request_id, is_body_coming=is_body_coming)
        else:
            await send_answer(send, status, content, media_type)
        self.service.traffic.count_request(
            int(seen.now // 60), seen.source_id, seen.key_id, status, seen.events, seen.size
        )

    async def _route(self, scope: Scope, headers: Headers, receive: Receive, seen: Seen) -> Answer:
        # Mounted under a prefix, the path still has it.
        path: str = scope["path"].removeprefix(scope.get("root_path", ""))
        parts = path.split("/")
        if len(parts) == 2:
            return self._show_page(parts[1], scope, headers)
        is_batch = len(parts) == 6 and parts[5] == "batch"
        # An escaped slash would give an address a second name.
        is_escaped = b"%2f" in (scope.get("raw_path") or b"").lower()
        if not path.startswith("/v1/in/") or not (is_batch or len(parts) == 5) or is_escaped:
            raise Refused("not_found")
        if scope["method"] != "POST":
            raise Refused("method_not_allowed")
        if not self.service.knows_sources:
            await self._begin()
        known = self.service.directory.find(parts[3], parts[4])
        if is_batch:
            return await self._take_batch(known, headers, receive, seen)
        return await self._take_one(known, headers, receive, seen)

    async def _begin(self) -> None:
        """The first request starts what no lifespan has started; without sources nobody can be told apart."""
        await self.service.start()
        if not self.service.knows_sources:
            raise Refused("busy", retry_after=BUSY_RETRY_S)

    async def _take_one(
        self, known: KnownSource | None, headers: Headers, receive: Receive, seen: Seen
    ) -> Answer:
        check_media_type(headers, JSON_TYPES)
        limit = known.source.max_bytes if known else DEFAULT_LIMIT
        content = await self._read(receive, headers, limit, seen)
        known = self._admit(known, headers, content, seen)
        charge(known, 1, asyncio.get_running_loop().time())
        seen.events = 1
        event = read_event(known.source, read_event_id(known.source, headers), content)
        _judge_strictly(event)
        (stored,) = await self.service.store((event,))
        return _answer_one(event, stored)

    async def _take_batch(
        self, known: KnownSource | None, headers: Headers, receive: Receive, seen: Seen
    ) -> Answer:
        media_type = check_media_type(headers, (*JSON_TYPES, *NDJSON))
        content = await self._read(receive, headers, LARGEST_BATCH_BODY, seen)
        known = self._admit(known, headers, content, seen)
        items = split_batch(content, media_type)
        charge(known, len(items), asyncio.get_running_loop().time())
        seen.events = len(items)
        read = [await _read_strictly(known.source, number, item) for number, item in enumerate(items)]
        stored = iter(await self.service.store([e for _, e in read if isinstance(e, IncomingEvent)]))
        results = [
            _describe_item(event, next(stored))
            if isinstance(event, IncomingEvent)
            else _describe_refused(name, event)
            for name, event in read
        ]
        is_complete = all(result["status"] in (ACCEPTED, DUPLICATE) for result in results)
        return 202 if is_complete else 422, describe_results(results, is_complete=is_complete), JSON

    async def _read(self, receive: Receive, headers: Headers, limit: int, seen: Seen) -> bytes:
        check_length(headers, limit)
        content = await read_body(receive, self.service.reading, limit)
        seen.size, seen.is_body_read = len(content), True
        return content

    def _admit(self, known: KnownSource | None, headers: Headers, content: bytes, seen: Seen) -> KnownSource:
        key = authenticate(known, headers, content, seen.now)
        assert known is not None
        seen.source_id, seen.key_id = known.source.source_id, key.key_id
        return known

    def _show_page(self, name: str, scope: Scope, headers: Headers) -> Answer:
        if name not in ("livez", "readyz", "metrics") or scope["method"] not in ("GET", "HEAD"):
            raise Refused("not_found")
        if name == "livez":
            return 200, b'{"status":"alive"}', JSON
        if name == "readyz":
            is_ready = self.service.is_ready()
            return (200, b'{"status":"ready"}', JSON) if is_ready else (503, b'{"status":"not ready"}', JSON)
        if not self._may_read_metrics(scope, headers):
            raise Refused("not_found")
        return 200, self.service.traffic.render(), b"text/plain; version=0.0.4"

    def _may_read_metrics(self, scope: Scope, headers: Headers) -> bool:
        if self.metrics_token:
            wanted = b"Bearer " + self.metrics_token.encode()
            return hmac.compare_digest(headers.get(b"authorization", b""), wanted)
        # Behind a proxy on this machine everybody comes from here.
        host = (scope.get("client") or ("",))[0]
        return host in LOOPBACK and b"x-forwarded-for" not in headers


def _judge_strictly(event: IncomingEvent) -> None:
    if event.source.is_strict and event.is_text_ok:
        violations = find_violations(event.event_type, event.schema_version, event.body)
        if violations:
            raise Refused("schema_violation", " ".join(violations))


async def _read_strictly(source: Source, number: int, item: bytes) -> tuple[str, IncomingEvent | Refused]:
    if number % ITEMS_AT_ONCE == 0 or len(item) > LARGE_ITEM:
        # A large batch lets others have their turn.
        await asyncio.sleep(0)
    name, event = read_item(source, item)
    try:
        if isinstance(event, IncomingEvent):
            _judge_strictly(event)
    except Refused as refused:
        return name, refused
    return name, event


def _is_refused_conflict(event: IncomingEvent, stored: Stored) -> bool:
    return stored.outcome == CONFLICT and event.source.conflict_policy == "reject"


def _answer_one(event: IncomingEvent, stored: Stored) -> Answer:
    if _is_refused_conflict(event, stored):
        raise Refused("id_conflict")
    # The id has been checked: nothing in it needs an escape.
    if stored.outcome == ACCEPTED:
        text = f'{{"status":"accepted","id":"{event.event_id}","inbox_id":{stored.inbox_id}}}'
        return 202, text.encode(), JSON
    text = f'{{"status":"duplicate","id":"{event.event_id}","inbox_id":{stored.inbox_id}}}'
    return 200, text.encode(), JSON


def _describe_item(event: IncomingEvent, stored: Stored) -> dict[str, Any]:
    if _is_refused_conflict(event, stored):
        return _describe_refused(event.event_id, Refused("id_conflict"))
    status = ACCEPTED if stored.outcome == ACCEPTED else DUPLICATE
    return {"id": event.event_id, "status": status, "inbox_id": stored.inbox_id}


def _describe_refused(name: str, refused: Refused) -> dict[str, Any]:
    return {
        "id": name or None,
        "status": "refused",
        "error": refused.refusal.code,
        "detail": refused.detail,
    }


def _explain(error: Exception) -> Refused:
    # Never 4xx: a sender drops what it is blamed for.
    log.error("a request failed", exc_info=error)
    return Refused("busy", retry_after=5)
