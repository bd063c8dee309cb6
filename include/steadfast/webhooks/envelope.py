"""What stands around an event: read just enough of a body to know its type and whether it can be kept.

Half a microsecond an event: the payload is looked through, not built. Its numbers are read later, by
PostgreSQL, from the bytes as they came.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import accumulate
from typing import Any

import msgspec
from asyncpg.pgproto.pgproto import UUID

from steadfast.webhooks.refusals import Refused
from steadfast.webhooks.sources import Source

EVENT_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
TYPE_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
DEEPEST = 64
LARGEST_VERSION = 32_767
LONGEST_TYPE, LONGEST_VERSION = 400, 16
"""In JSON, with every sign of a name escaped; what is longer is none, and must not be remembered."""
_STORABLE = re.compile(
    rb"(?:[^\\]++|\\[^u]|\\u(?!0000|[dD][89a-fA-F])|\\u[dD][89abAB]..\\u[dD][c-fC-F])*+", re.DOTALL
)
"""As much of a JSON text as holds no escape that PostgreSQL's text cannot; in one pass."""
_HALF_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_STEPS = {ord("["): 1, ord("]"): -1, ord(","): 0}
_LEFT_OUT = {
    has_commas: bytes(set(range(256)) - set(b'"[]{}' + b"," * has_commas)) for has_commas in (False, True)
}
_BYTES_AT_ONCE = 64 * 1024
"""Between two such pieces of a large body other threads get their turn."""


class _Outside(msgspec.Struct):
    """The members of an event that we look at; anything else is only checked for its syntax."""

    type: msgspec.Raw = msgspec.Raw(b"null")
    version: msgspec.Raw = msgspec.Raw(b"1")


class Envelope(msgspec.Struct, frozen=True):
    """What a body says of itself; `event_type` is None if it names none that could exist."""

    event_type: str | None
    schema_version: int
    is_text_ok: bool


class IncomingEvent(msgspec.Struct, frozen=True):
    """An event that may be stored."""

    source: Source
    event_id: str
    event_type: str | None
    schema_version: int
    is_text_ok: bool
    body: bytes
    dedup_key: UUID
    body_hash: UUID


_decode_outside = msgspec.json.Decoder(_Outside).decode
_decode_any = msgspec.json.Decoder().decode


def read_event(source: Source, event_id: str, body: bytes) -> IncomingEvent:
    """Check id and body of an event; Refused with `bad_id`, `invalid_json`, `too_deep`, `duplicate_key`."""
    if not EVENT_ID.fullmatch(event_id):
        raise Refused("bad_id")
    envelope = read_envelope(body)
    if source.is_strict:
        _refuse_duplicate_keys(body)
    body_hash = hashlib.blake2b(body, digest_size=16).digest()
    # Where other bytes under the same id are a new version, the bytes are part of what must not repeat.
    named = event_id.encode() + (body_hash if source.conflict_policy == "new_version" else b"")
    return IncomingEvent(
        source,
        event_id,
        envelope.event_type,
        envelope.schema_version,
        envelope.is_text_ok,
        body,
        UUID(hashlib.blake2b(named, digest_size=16).digest()),
        UUID(body_hash),
    )


def read_envelope(body: bytes) -> Envelope:
    """Check that a body is one JSON object in UTF-8, and read its type and version."""
    try:
        body.decode()
        outside = _decode_outside(body)
    except RecursionError:
        # The parser's own limit lies far above ours.
        raise Refused("too_deep") from None
    except UnicodeDecodeError:
        raise Refused("invalid_json") from None
    except msgspec.DecodeError:
        outside = _read_unstorable(body)
    if body.count(b"[") + body.count(b"{") > DEEPEST:
        _refuse_depth(body)
    is_text_ok = b"\\u" not in body or _STORABLE.match(body).end() == len(body)  # type: ignore[union-attr]
    name, version = bytes(outside.type), bytes(outside.version)
    return Envelope(
        _read_type(name) if len(name) <= LONGEST_TYPE else None,
        _read_version(version) if len(version) <= LONGEST_VERSION else 0,
        is_text_ok,
    )


@lru_cache(maxsize=256)
def _read_type(raw: bytes) -> str | None:
    try:
        name = _decode_any(raw)
    except msgspec.DecodeError:
        return None
    return name if isinstance(name, str) and TYPE_NAME.fullmatch(name) else None


@lru_cache(maxsize=256)
def _read_version(raw: bytes) -> int:
    try:
        version = _decode_any(raw)
    except msgspec.DecodeError:
        return 0
    # No contract has version 0, so what is no version ends among the dead letters with that reason.
    is_number = isinstance(version, int) and not isinstance(version, bool)
    return version if is_number and 0 < version <= LARGEST_VERSION else 0


def complete_pairs(body: bytes) -> bytes:
    """A text of the same length and form without halves of surrogate pairs, which msgspec refuses.

    Other signs stand in their place that no name or type of ours holds.
    """
    parts = []
    for start in range(0, len(body), _BYTES_AT_ONCE):
        # Whether a byte changes is told by the three before it and the one after it.
        before = min(start, 3)
        part = _HALF_ESCAPE.sub(rb"\\uff", body[start - before : start + _BYTES_AT_ONCE + 1])
        parts.append(part[before : before + _BYTES_AT_ONCE])
    return b"".join(parts)


def _read_unstorable(body: bytes) -> _Outside:
    """Halves of surrogate pairs are kept, as a dead letter, and nothing else that is no JSON."""
    try:
        return _decode_outside(complete_pairs(body))
    except RecursionError:
        raise Refused("too_deep") from None
    except msgspec.DecodeError:
        raise Refused("invalid_json") from None


def _refuse_depth(body: bytes) -> None:
    """Refused if the brackets of a valid body, outside of its texts, are nested deeper than 64."""
    for _, depths in follow_depth(body):
        if max(depths) > DEEPEST:
            raise Refused("too_deep")


def follow_depth(body: bytes, *, has_commas: bool = False) -> Iterator[tuple[bytes, list[int]]]:
    """The brackets outside of texts, square all, piece by piece, and how deep each piece begins and goes on.

    A depth stands beside the sign that it comes before; commas are signs too if they are wanted.
    """
    plain = body.replace(rb"\\", b"").replace(rb"\"", b"").translate(_ONE_KIND, _LEFT_OUT[has_commas])
    is_inside = depth = 0
    for start in range(0, len(plain), _BYTES_AT_ONCE):
        parts = plain[start : start + _BYTES_AT_ONCE].split(b'"')
        signs = b"".join(parts[is_inside::2])
        is_inside = (is_inside + len(parts) - 1) % 2
        depths = list(accumulate(map(_STEPS.__getitem__, signs), initial=depth))
        depth = depths[-1]
        yield signs, depths


def _refuse_duplicate_keys(body: bytes) -> None:
    def refuse_repeated(pairs: list[tuple[str, Any]]) -> None:
        if len({name for name, _ in pairs}) < len(pairs):
            raise Refused("duplicate_key")

    # Numbers stay text: Python reads only some thousand digits.
    json.loads(body, parse_int=str, object_pairs_hook=refuse_repeated)
