"""Many events in one request: an array, or one object a line; each keeps its bytes, and gets its answer."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec

from steadfast.webhooks.envelope import IncomingEvent, read_event
from steadfast.webhooks.refusals import Refused
from steadfast.webhooks.sources import Source

NDJSON = (b"application/x-ndjson", b"application/ndjson", b"application/jsonl")
MOST_ITEMS = 1000
LARGEST_BATCH_BODY = 8 * 2**20


class _Item(msgspec.Struct):
    id: msgspec.Raw = msgspec.Raw(b"null")


_decode_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_item = msgspec.json.Decoder(_Item).decode
_decode_any = msgspec.json.Decoder().decode


def split_batch(body: bytes, media_type: bytes) -> list[bytes]:
    """The bytes of every item: Refused if it is no batch, empty, or of more than 1000 items."""
    if media_type in NDJSON:
        items = [line for line in body.split(b"\n") if line.strip()]
    else:
        try:
            items = [bytes(item) for item in _decode_array(body)]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Refused("invalid_batch") from None
    if not items:
        raise Refused("invalid_batch")
    if len(items) > MOST_ITEMS:
        raise Refused("too_many_items")
    return items


def read_item(source: Source, item: bytes) -> tuple[str, IncomingEvent | Refused]:
    """The id of an item ('' if it has none that may be repeated), and its event or why it is refused."""
    event_id = _read_id(item)
    try:
        if len(item) > source.max_bytes:
            raise Refused("too_large")
        return event_id, read_event(source, event_id, item)
    except Refused as refused:
        return event_id if refused.refusal.code != "bad_id" else "", refused


def describe_results(results: Sequence[dict[str, Any]], *, is_complete: bool) -> bytes:
    """The answer to a batch: the items in their order."""
    summary = {"status": "accepted" if is_complete else "incomplete", "results": results}
    return json.dumps(summary, ensure_ascii=True).encode("ascii")


def _read_id(item: bytes) -> str:
    try:
        name = _decode_any(_decode_item(item).id)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return name if isinstance(name, str) else ""
