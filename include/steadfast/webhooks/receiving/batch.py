"""Many events in one request: an array, or one object a line; each keeps its bytes, and gets its answer."""

import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

import msgspec

from steadfast.webhooks.envelope import (
    IncomingEvent,
    parse_without_numbers,
    read_event,
    refuse_constant,
)
from steadfast.webhooks.refusals import Refused
from steadfast.webhooks.sources import Source

NDJSON = (b"application/x-ndjson", b"application/ndjson", b"application/jsonl")
MOST_ITEMS = 1000
LARGEST_BATCH_BODY = 8 * 2**20


class _Item(msgspec.Struct):
    id: msgspec.Raw = msgspec.Raw(b"null")


JSON_SPACE = " \t\n\r"
_SPACES = frozenset(JSON_SPACE)
MANY_COMMAS = 100_000
"""An array with fewer has so few items that building them all takes no memory worth speaking of."""
MOST_LINES = 10 * MOST_ITEMS
_scan = json.JSONDecoder(parse_int=str, parse_constant=refuse_constant).raw_decode
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


def _split_array(body: bytes) -> list[bytes]:
    if body.count(b",") < MANY_COMMAS:
        with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return [bytes(item) for item in _decode_array(body)]
    # Perhaps half of a surrogate pair, which spoils its own item only; perhaps more items than memory is for.
    try:
        return list(_walk_array(body.decode()))
    except (ValueError, RecursionError):
        raise Refused("invalid_batch") from None


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
    try:
        name = _decode_any(_decode_item(item).id)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        name = _read_id_loosely(item)
    return name if isinstance(name, str) else ""


def _read_id_loosely(item: bytes) -> Any:
    with suppress(ValueError, RecursionError):
        found = parse_without_numbers(item)
        return found.get("id") if isinstance(found, dict) else None
    return None
