"""Many events in one request: an array, or one object a line; each keeps its bytes, and gets its answer."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from steadfast.webhooks.envelope import IncomingEvent, complete_pairs, follow_depth
from steadfast.webhooks.inbox import ACCEPTED, DUPLICATE, Stored
from steadfast.webhooks.receiving.single import is_refused_conflict, read_judged
from steadfast.webhooks.refusals import Refused
from steadfast.webhooks.sources import Source

NDJSON = (b"application/x-ndjson", b"application/ndjson", b"application/jsonl")
MOST_ITEMS = 1000
LARGEST_BATCH_BODY = 8 * 2**20


class _Item(msgspec.Struct):
    id: msgspec.Raw = msgspec.Raw(b"null")


_BLANKS = re.compile(rb"[ \t\n\r]*")
MANY_COMMAS = 500_000
"""An array with fewer has so few items that finding them all takes no memory worth speaking of."""
MOST_LINES = 10 * MOST_ITEMS
_COMMA = ord(",")
_decode_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_item = msgspec.json.Decoder(_Item).decode
_decode_any = msgspec.json.Decoder().decode


def split_batch(body: bytes, media_type: bytes) -> list[bytes]:
    """The bytes of every item: Refused if it is no batch, empty, or of more than 1000 items."""
    if media_type in NDJSON:
        items = [line for line in body.split(b"\n", MOST_LINES) if line.strip()]
    else:
        items = _split_array(body)
    if not items:
        raise Refused("invalid_batch")
    if len(items) > MOST_ITEMS:
        raise Refused("too_many_items")
    return items


def read_item(source: Source, item: bytes, now: float) -> tuple[str, IncomingEvent | Refused]:
    """The id of an item ('' if it has none that may be repeated), and its event or why it is refused."""
    event_id = _read_id(item)
    try:
        if len(item) > source.max_bytes:
            raise Refused("too_large")
        return event_id, read_judged(source, event_id, item, now)
    except Refused as refused:
        return event_id if refused.refusal.code != "bad_id" else "", refused


def describe_results(
    read: Sequence[tuple[str, IncomingEvent | Refused]], stored: Iterator[Stored]
) -> tuple[int, bytes]:
    """Status and content of the answer to a batch, item by item; `stored` is of the events among them."""
    results = [
        _describe_event(event, next(stored))
        if isinstance(event, IncomingEvent)
        else _describe_refused(name, event)
        for name, event in read
    ]
    is_complete = all(result["status"] in (ACCEPTED, DUPLICATE) for result in results)
    summary = {"status": "accepted" if is_complete else "incomplete", "results": results}
    return 202 if is_complete else 422, json.dumps(summary, ensure_ascii=True).encode("ascii")


def _describe_event(event: IncomingEvent, stored: Stored) -> dict[str, Any]:
    if is_refused_conflict(event, stored):
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


def _split_array(body: bytes) -> list[bytes]:
    if body.count(b",") > MANY_COMMAS:
        _refuse_many(body)
    try:
        return _cut_array(body)
    except (ValueError, RecursionError):
        raise Refused("invalid_batch") from None


def _refuse_many(body: bytes) -> None:
    """Refused if the array has so many items that finding them all would take too much memory."""
    count = 0
    for signs, depths in follow_depth(body, has_commas=True):
        count += sum(1 for sign, level in zip(signs, depths, strict=False) if sign == _COMMA and level == 1)
        if count >= MOST_ITEMS:
            raise Refused("too_many_items")


def _cut_array(body: bytes) -> list[bytes]:
    try:
        return [bytes(item) for item in _decode_array(body)]
    except msgspec.DecodeError:
        # Perhaps half of a surrogate pair, which spoils its own item only.
        return list(_cut_like(body, _decode_array(complete_pairs(body))))


def _cut_like(body: bytes, forms: Iterable[msgspec.Raw]) -> Iterator[bytes]:
    """The items of an array that lie as the items of `forms` lie in theirs."""
    place = body.index(b"[") + 1
    for form in forms:
        start = _skip_blanks(body, place)
        end = start + len(bytes(form))
        yield body[start:end]
        place = _skip_blanks(body, end) + len(b",")


def _skip_blanks(body: bytes, place: int) -> int:
    found = _BLANKS.match(body, place)
    assert found is not None
    return found.end()


def _read_id(item: bytes) -> str:
    with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        try:
            name = _decode_any(_decode_item(item).id)
        except msgspec.DecodeError:
            name = _decode_any(_decode_item(complete_pairs(item)).id)
        return name if isinstance(name, str) else ""
    return ""
