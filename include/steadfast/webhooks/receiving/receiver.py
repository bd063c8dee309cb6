"""The receiver: a raw ASGI application. A 2xx says that PostgreSQL has committed, and nothing else does.

Order matters: what needs no secret is checked first, then who it is, then how much he may send, and only
then what it says. Beside events it answers /livez, /readyz and /metrics. What is large is read aside.
"""

import asyncio
import hmac
from dataclasses import dataclass, field

from steadfast.webhooks.envelope import IncomingEvent
from steadfast.webhooks.receiving.admission import Seen, begin_admission, charge, finish_admission
from steadfast.webhooks.receiving.answers import JSON, explain_failure, send_answer, send_refusal
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
    check_media_type,
    read_body,
    read_headers,
)
from steadfast.webhooks.receiving.service import ReceiverService
from steadfast.webhooks.receiving.single import (
    JSON_TYPES,
    accept_single,
    admit_single,
    answer_single,
    read_judged,
)
from steadfast.webhooks.refusals import Refused
from steadfast.webhooks.sources import KnownSource, Source

ITEMS_AT_ONCE = 20
LARGE_ITEM = 16 * 1024
LARGE_BODY = 64 * 1024
LOOPBACK = ("127.0.0.1", "::1")
Answer = tuple[int, bytes, bytes]
"""Status, content, media type."""


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
            try:
                status, content, media_type = await self._route(scope, headers, receive, seen)
            finally:
                # Not after the answer: for that one may have to wait.
                self.service.reading.release(seen.held_by, seen.held_size)
        except Disconnected:
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, the sender is told to try again
            refused, request_id = explain_failure(error, seen)
            status = refused.refusal.status
            is_body_coming = not seen.is_body_read and b"expect" not in headers
            await send_refusal(send, receive, refused, request_id, is_body_coming=is_body_coming)
        else:
            await send_answer(send, status, content, media_type)
        self.count(seen, status)

    def count(self, seen: Seen, status: int) -> None:
        """Count an answer."""
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
        admission = admit_single(known, headers, seen.now)
        content = await read_body(receive, self.service.reading, admission.limit, admission.source_id)
        seconds = asyncio.get_running_loop().time()
        source, event_id = accept_single(admission, headers, content, seen, seconds)
        if len(content) > LARGE_BODY:
            event = await self.service.read_aside(read_judged, source, event_id, content, seen.now)
        else:
            event = read_judged(source, event_id, content, seen.now)
        (stored,) = await self.service.store((event,))
        return *answer_single(event, stored), JSON

    async def _take_batch(
        self, known: KnownSource | None, headers: Headers, receive: Receive, seen: Seen
    ) -> Answer:
        media_type = check_media_type(headers, (*JSON_TYPES, *NDJSON))
        admission = begin_admission(known, headers, LARGEST_BATCH_BODY, seen.now)
        content = await read_body(receive, self.service.reading, admission.limit, admission.source_id)
        admitted = finish_admission(admission, headers, content, seen)
        paid = charge(admitted, 1, len(content), asyncio.get_running_loop().time())
        items = await self.service.read_aside(split_batch, content, media_type)
        if len(items) > paid:
            charge(admitted, len(items) - paid, 0, asyncio.get_running_loop().time())
        seen.events = len(items)
        source = admitted.source
        read = [await self._read_item(source, number, item, seen.now) for number, item in enumerate(items)]
        stored = await self.service.store([e for _, e in read if isinstance(e, IncomingEvent)])
        return *describe_results(read, iter(stored)), JSON

    async def _read_item(
        self, source: Source, number: int, item: bytes, now: float
    ) -> tuple[str, IncomingEvent | Refused]:
        if len(item) > LARGE_ITEM:
            return await self.service.read_aside(read_item, source, item, now)
        if number % ITEMS_AT_ONCE == 0:
            # A large batch lets others have their turn.
            await asyncio.sleep(0)
        return read_item(source, item, now)

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
