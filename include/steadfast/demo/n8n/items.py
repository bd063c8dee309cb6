"""What the node "Prepare events" hands on: one item an event, with the text of its body and its signature.

The node that posts takes all four as they are. So a retry, by the node or by a person, sends the same
id, time and signature again, as it does in n8n.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import Any

from steadfast.demo.n8n.events import MadeEvent
from steadfast.demo.n8n.targets import Target

PREPARE = "Prepare events"
SECRET_PREFIX = "whsec_"


def prepare_items(target: Target, events: Sequence[MadeEvent], epoch: int) -> list[dict[str, Any]]:
    """The items of an execution that starts at `epoch` seconds."""
    return [
        {"json": _prepare(target, event, epoch), "pairedItem": {"item": number}}
        for number, event in enumerate(events)
    ]


def _prepare(target: Target, event: MadeEvent, epoch: int) -> dict[str, str]:
    body = json.dumps(event.body, ensure_ascii=False, separators=(",", ":"))
    prepared = {"id": event.event_id, "timestamp": str(epoch), "body": body}
    if target.auth == "signature":
        prepared["signature"] = sign(target.secret, event.event_id, epoch, body)
    return prepared


def sign(secret: str, event_id: str, epoch: int, body: str) -> str:
    """A Standard Webhooks signature, as n8n's Crypto node makes it."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    digest = hmac.digest(key, f"{event_id}.{epoch}.{body}".encode(), hashlib.sha256)
    return "v1," + base64.b64encode(digest).decode()


def headers_of(target: Target, item: dict[str, str]) -> dict[str, str]:
    """The headers that the posting node is set up to send."""
    if target.auth == "token":
        return {"Authorization": f"Bearer {target.secret}", "webhook-id": item["id"]}
    return {
        "webhook-id": item["id"],
        "webhook-timestamp": item["timestamp"],
        "webhook-signature": item["signature"],
    }
