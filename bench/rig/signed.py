"""Signed webhook requests, made before anybody is measured: who signs under load takes the CPU away."""

import base64
import hmac
import json
import random
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Address:
    """A path to post to and the key to sign with."""

    path: str
    key: bytes = field(repr=False)

    def sign(self, event_id: str, timestamp: int, body: bytes) -> str:
        """The header `webhook-signature` as Standard Webhooks has it."""
        message = f"{event_id}.{timestamp}.".encode() + body
        return "v1," + base64.b64encode(hmac.digest(self.key, message, "sha256")).decode()

    def make_head(self, event_id: str, timestamp: int, body: bytes) -> bytes:
        """The head of a request on a connection that stays open."""
        lines = [
            f"POST {self.path} HTTP/1.1",
            "host: 127.0.0.1",
            "content-type: application/json",
            f"content-length: {len(body)}",
            f"webhook-id: {event_id}",
            f"webhook-timestamp: {timestamp}",
            f"webhook-signature: {self.sign(event_id, timestamp, body)}",
        ]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    def make_request(self, event_id: str, timestamp: int, body: bytes) -> bytes:
        """A whole request."""
        return self.make_head(event_id, timestamp, body) + body


def make_ids() -> Iterator[str]:
    """Ids that nobody has used, without end."""
    batch = uuid.uuid4().hex[:12]
    number = 0
    while True:
        yield f"{batch}-{number:08}"
        number += 1


def make_body(size: int) -> bytes:
    """An order of exactly `size` bytes; what fills it up is as good as incompressible."""
    event = {"type": "order", "version": 1, "timestamp": "2026-11-24T10:00:00Z"}
    order = {"order_id": "O-1", "status": "paid", "placed_at": "2026-11-24T10:00:00Z", "total": "41.07"}
    data = {**order, "currency": "USD", "note": ""}
    missing = size - len(json.dumps({**event, "data": data}))
    data["note"] = random.Random(size).randbytes(size // 2 + 1).hex()[: max(missing, 0)]
    return json.dumps({**event, "data": data}).encode()
