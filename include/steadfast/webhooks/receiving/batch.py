"""Many events in one request: an array, or one object a line; each keeps its bytes, and gets its answer."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from steadfast.webhooks.envelope import IncomingEvent, complete_pairs
from steadfast.webhooks.inbox import ACCEPTED, DUPLICATE, Stored
from steadfast.webhooks.receiving.single import is_refused_conflict, read_judged
from steadfast.webhooks.refusals import Refused
from steadfast.webhooks.sources import Source

NDJSON = (b"application/x-ndjson", b"application/ndjson", b"application/jsonl")
MOST_ITEMS = 1000
LARGEST_BATCH_BODY = 8 * 2**20


class _Item(msgspec.Struct):
    id: msgspec.Raw = msgspec.Raw(b"null")


JSON_SPACE = " \t\n\r"
_SPACES = frozenset(JSON_SPACE)
_BLANKS = re.compile(rb"[ \t\n\r]*")
MANY_COMMAS = 500_000
"""An array with fewer has so few items that finding them all takes no memory worth speaking of."""
MOST_LINES = 10 * MOST_ITEMS
_scan = json.JSONDecoder(parse_int=str).raw_decode
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
    try:
        if body.count(b",") > MANY_COMMAS:
            return list(_walk_array(body.decode()))
        return _cut_array(body)
    except (ValueError, RecursionError):
        raise Refused("invalid_batch") from None


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


def _walk_array(text: str) -> Iterator[bytes]:
    """Item by item, and not beyond one too many; ValueError if it is no array."""
    place = _expect("[", text, 0)
    for _ in range(MOST_ITEMS + 1):
        _, end = _scan(text, place)
        yield text[place:end].encode("utf-8")
        place = _skip_space(text, end)
        if text[place : place + 1] == "]":
            if text[place + 1 :].strip(JSON_SPACE):
                raise ValueError(place)
            return
        place = _expect(",", text, place)


def _expect(sign: str, text: str, place: int) -> int:
    place = _skip_space(text, place)
    if text[place : place + 1] != sign:
        raise ValueError(place)
    return _skip_space(text, place + 1)


def _skip_space(text: str, place: int) -> int:
    while text[place : place + 1] in _SPACES:
        place += 1
    return place


def _read_id(item: bytes) -> str:
    with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        try:
            name = _decode_any(_decode_item(item).id)
        except msgspec.DecodeError:
            name = _decode_any(_decode_item(complete_pairs(item)).id)
        return name if isinstance(name, str) else ""
    return ""
