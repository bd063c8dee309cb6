"""Senders that remember what they were told: who was acknowledged, who was not and is sent again.

They run in a thread of their own, so that the benchmark can kill and start servers meanwhile. A failed
event is sent again with the same id and bytes, as n8n does; one in ten is given up at once instead.
"""

import asyncio
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rig.signed import Address, make_body, make_ids
from rig.wire import FAILURES, Wire

CLIENTS = 32
BODY_BYTES = 512
PAUSE_S = 0.1
"""After a failure, before the next request."""
GIVES_UP_EVERY = 10


@dataclass
class Ledger:
    """Every id that was sent, and what was heard of it."""

    sent: set[str] = field(default_factory=set)
    acknowledged: set[str] = field(default_factory=set)
    statuses: Counter[int] = field(default_factory=Counter)
    resent: int = 0
    given_up: int = 0
    first_after: dict[float, float] = field(default_factory=dict)
    """Since a moment: when the first request that was sent after it got its 2xx."""

    def watch(self, since: float) -> None:
        """Note the first 2xx from now on for this moment."""
        self.first_after[since] = float("inf")

    def note(self, event_id: str, status: int, sent_at: float) -> bool:
        """Write down an answer, 0 for none; whether it was an acknowledgement."""
        self.statuses[status] += 1
        if not 200 <= status < 300:
            return False
        now = time.monotonic()
        self.acknowledged.add(event_id)
        # Another thread adds to it.
        for since, first in list(self.first_after.items()):
            if since <= sent_at and now < first:
                self.first_after[since] = now
        return True


@dataclass
class Senders:
    """The clients, their ledger, and what they have yet to send again."""

    port: int
    address: Address
    ledger: Ledger = field(default_factory=Ledger)
    again: deque[tuple[str, bytes]] = field(default_factory=deque)
    _ended: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def sending(self) -> Iterator["Senders"]:
        """Send for the length of a block, then until nothing waits to be sent again."""
        thread = threading.Thread(target=lambda: asyncio.run(self._send_all()), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            thread.join()

    async def _send_all(self) -> None:
        ids, body = make_ids(), make_body(BODY_BYTES)
        await asyncio.gather(*(self._send(ids, body) for _ in range(CLIENTS)))

    async def _send(self, ids: Iterator[str], body: bytes) -> None:
        wire = Wire(self.port)
        while not self._ended.is_set() or self.again:
            event_id, request = self._choose(ids, body)
            sent_at = time.monotonic()
            try:
                status = await wire.post(request)
            except FAILURES:
                status = 0
            if not self.ledger.note(event_id, status, sent_at):
                self._keep(event_id, request)
                await asyncio.sleep(PAUSE_S)
        wire.close()

    def _choose(self, ids: Iterator[str], body: bytes) -> tuple[str, bytes]:
        if self.again:
            self.ledger.resent += 1
            return self.again.popleft()
        event_id = next(ids)
        self.ledger.sent.add(event_id)
        return event_id, self.address.make_request(event_id, int(time.time()), body)

    def _keep(self, event_id: str, request: bytes) -> None:
        if int(event_id.rpartition("-")[2]) % GIVES_UP_EVERY:
            self.again.append((event_id, request))
        else:
            self.ledger.given_up += 1
