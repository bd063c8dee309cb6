"""The short way of nearly every request: one event that came whole is answered without a task of its own.

ASGI's messages, events and tasks cost a third of what an event costs in all. What does not fit (a batch, a
large body, one in pieces, anything unusual) goes the usual way; the same functions check and answer both.
"""

import asyncio
import re
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from steadfast.webhooks.envelope import IncomingEvent
from steadfast.webhooks.inbox import Stored
from steadfast.webhooks.receiving.admission import Seen
from steadfast.webhooks.receiving.answers import (
    JSON,
    PROBLEM_JSON,
    ExtraHeaders,
    explain_failure,
    list_headers,
)
from steadfast.webhooks.receiving.flush import Waiting
from steadfast.webhooks.receiving.guarded_protocol import MOST_PIPELINED, GuardedProtocol
from steadfast.webhooks.receiving.receiver import LARGE_BODY, Receiver
from steadfast.webhooks.receiving.request import read_headers
from steadfast.webhooks.receiving.single import accept_single, admit_single, answer_single, read_judged
from steadfast.webhooks.refusals import Refused, describe_refusal

_ADDRESS = re.compile(rb"/v1/in/([a-z0-9-]{1,63})/([a-z0-9-]{1,63})")
_UNUSUAL = frozenset((b"expect", b"transfer-encoding", b"upgrade"))


class DirectProtocol(GuardedProtocol):
    """One connection of a sender, whose whole single events take the short way."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.parts: list[bytes] | None = None
        """The body so far of a request that may take the short way."""
        self.part_bytes = 0
        self.answer_count = 0
        """Short answers to what came in one piece."""
        self.is_usual = True

    def data_received(self, data: bytes) -> None:
        """What is not whole after this goes the usual way, which knows how to wait."""
        self.answer_count = 0
        super().data_received(data)
        if self.parts is not None:
            try:
                self._go_the_usual_way()
            except Exception:  # noqa: BLE001 - an address that is none; the parser's own are caught by uvicorn
                self.send_400_response("")

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self.is_usual = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header."""
        name = name.lower()
        if name in _UNUSUAL:
            self.is_usual = True
            super().on_header(name, value)
        else:
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Leave open which way the request goes until its body is here, if it may take the short one."""
        # The usual way knows how many requests may be sent in one go.
        is_free = self.answer_count < MOST_PIPELINED and (self.cycle is None or self.cycle.response_complete)
        if (
            is_free
            and not self.is_usual
            and not self.flow.write_paused
            and self.parser.get_method() == b"POST"
        ):
            self.note_headers()
            self.parts, self.part_bytes = [], 0
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        if self.parts is None:
            super().on_body(body)
            return
        self.silent_bytes = 0
        self.parts.append(body)
        self.part_bytes += len(body)
        if self.part_bytes > LARGE_BODY:
            self._go_the_usual_way()

    def on_message_complete(self) -> None:
        """The request is whole."""
        if self.parts is not None:
            address = _ADDRESS.fullmatch(self.url)
            if address and isinstance(self.app, Receiver) and self.app.service.knows_sources:
                body, self.parts = b"".join(self.parts), None
                # As uvicorn has it: HTTP/1.0 never keeps a connection.
                keep_alive = self.parser.should_keep_alive() and self.parser.get_http_version() != "1.0"
                answer = DirectAnswer(self, self.app, keep_alive)
                self.cycle = answer  # type: ignore[assignment]
                self.answer_count += 1
                answer.begin(address[1].decode(), address[2].decode(), body)
                return
            self._go_the_usual_way()
        super().on_message_complete()

    def _go_the_usual_way(self) -> None:
        body, self.parts = b"".join(self.parts or ()), None
        super().on_headers_complete()
        if body:
            super().on_body(body)


class DirectAnswer:
    """A request on its short way: to its protocol what uvicorn's cycle is, to the queue what a future is."""

    __slots__ = ("disconnected", "event", "keep_alive", "protocol", "receiver", "response_complete", "seen")

    def __init__(self, protocol: DirectProtocol, receiver: Receiver, keep_alive: bool) -> None:
        self.protocol = protocol
        self.receiver = receiver
        self.keep_alive = keep_alive
        self.seen = Seen(receiver.service.clock().timestamp())
        self.event: IncomingEvent | None = None
        self.response_complete = self.disconnected = False

    @property
    def message_event(self) -> asyncio.Event:
        """What uvicorn sets when the connection ends: nobody waits for it."""
        return asyncio.Event()

    def begin(self, entity: str, slug: str, body: bytes) -> None:
        """Check the request and put its event into the queue, or refuse it."""
        service = self.receiver.service
        try:
            headers = read_headers(
                {"headers": self.protocol.headers, "raw_path": self.protocol.url, "query_string": b""}
            )
            known = service.directory.find(entity, slug)
            admission = admit_single(known, headers, self.seen.now)
            seconds = self.protocol.loop.time()
            source, event_id = accept_single(admission, headers, body, self.seen, seconds)
            self.event = read_judged(source, event_id, body, self.seen.now)
            service.queue.put((Waiting(self.event, self),))
        except Exception as error:  # noqa: BLE001 - whatever it is, the sender is told to try again
            self._refuse(error)

    def done(self) -> bool:
        """Whether the sender has his answer."""
        return self.response_complete

    def set_result(self, stored: Stored) -> None:
        """The event was committed."""
        assert self.event is not None
        try:
            status, content = answer_single(self.event, stored)
        except Refused as refused:
            self._refuse(refused)
        else:
            self._finish(status, content, JSON)

    def set_exception(self, refused: Refused) -> None:
        """The event was not committed."""
        self._refuse(refused)

    def _refuse(self, error: Exception) -> None:
        refused, request_id = explain_failure(error, self.seen)
        if refused.refusal.closes:
            self.keep_alive = False
        content = describe_refusal(refused, request_id)
        self._finish(refused.refusal.status, content, PROBLEM_JSON, list_headers(refused))

    def _finish(self, status: int, content: bytes, media_type: bytes, extra: ExtraHeaders = ()) -> None:
        protocol = self.protocol
        # The connection keeps this object until the next request, and need not keep the body.
        self.response_complete, self.event = True, None
        self.receiver.count(self.seen, status)
        if self.disconnected or protocol.transport.is_closing():
            return
        ending = b"" if self.keep_alive else b"connection: close\r\n"
        for field in (*protocol.server_state.default_headers, *extra):
            ending += b"%b: %b\r\n" % field
        protocol.writes.write_whole(
            b"%bcontent-type: %b\r\ncontent-length: %d\r\n%b\r\n%b"
            % (STATUS_LINE[status], media_type, len(content), ending, content)
        )
        if not self.keep_alive:
            protocol.transport.close()
        protocol.on_response_complete()
