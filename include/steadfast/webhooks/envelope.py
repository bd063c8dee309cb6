"""What stands around an event: read just enough of a body to know its type and whether it can be kept.

Half a microsecond an event: the payload is looked through, not built. Its numbers are read later, by
PostgreSQL, from the bytes as they came.
"""

import hashlib
import json
import re
from functools import lru_cache
from typing import Any

import msgspec
from asyncpg.pgproto.pgproto import UUID

from steadfast.webhooks.refusals import Refused
from steadfast.webhooks.sources import Source

EVENT_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
TYPE_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
DEEPEST = 64
LARGEST_VERSION = 32_767
_NO_BRACKET = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[^][{}"]++', re.DOTALL)
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_UNSTORABLE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")


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
    is_text_ok = True
    try:
        body.decode()
        outside = _decode_outside(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        outside, is_text_ok = _read_unstorable(body)
    if body.count(b"[") + body.count(b"{") > DEEPEST:
        _refuse_depth(body)
    if b"\\u" in body and _has_unstorable_text(body):
        is_text_ok = False
    return Envelope(_read_type(bytes(outside.type)), _read_version(bytes(outside.version)), is_text_ok)


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


def _has_unstorable_text(body: bytes) -> bool:
    r"""Whether a `\u0000` or half of a surrogate pair stands there; neither fits into PostgreSQL's text."""
    if not _UNSTORABLE.search(body):
        return False
    # Only a parser tells an escape from an escaped backslash, and a pair from its half. Members stay a list:
    # of two with one name PostgreSQL reads both.
    text = json.dumps(parse_without_numbers(body, object_pairs_hook=list), ensure_ascii=False)
    return "\\u0000" in text.replace("\\\\", "") or any("\ud800" <= sign <= "\udfff" for sign in text)


def _read_unstorable(body: bytes) -> tuple[_Outside, bool]:
    """Python's parser takes halves of surrogate pairs, which are kept as a dead letter, and nothing else."""
    _refuse_depth(body)
    try:
        found = parse_without_numbers(body)
    except ValueError:
        raise Refused("invalid_json") from None
    if not isinstance(found, dict) or not _UNSTORABLE.search(body):
        raise Refused("invalid_json")
    named = {name: found[name] for name in ("type", "version") if name in found}
    return _Outside(**{name: msgspec.Raw(json.dumps(value).encode()) for name, value in named.items()}), False


def _refuse_depth(body: bytes) -> None:
    """Refused if brackets outside of texts are nested deeper than 64; every pass takes the innermost away."""
    brackets = _NO_BRACKET.sub(b"", body).translate(_ONE_KIND)
    for _ in range(DEEPEST):
        before, brackets = len(brackets), brackets.replace(b"[]", b"")
        if len(brackets) == before:
            break
    if b"[]" in brackets or brackets.startswith(b"[" * (DEEPEST + 1)):
        raise Refused("too_deep")


def _refuse_duplicate_keys(body: bytes) -> None:
    def refuse_repeated(pairs: list[tuple[str, Any]]) -> None:
        if len({name for name, _ in pairs}) < len(pairs):
            raise Refused("duplicate_key")

    parse_without_numbers(body, object_pairs_hook=refuse_repeated)


def parse_without_numbers(body: bytes, **hooks: Any) -> Any:
    """Parse what msgspec refuses for half a surrogate pair; numbers too long for Python are left aside."""
    return json.loads(body.decode(), parse_int=_read_short, parse_constant=refuse_constant, **hooks)


def _read_short(digits: str) -> int:
    return int(digits) if len(digits) < 10 else 0


def refuse_constant(name: str) -> None:
    """For a parser: NaN and Infinity are not JSON."""
    raise ValueError(name)
