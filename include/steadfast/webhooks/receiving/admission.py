"""Who sends, and how much he may: the same 401 for everything that is wrong with the first.

What the headers alone can show is asked before the body, so that a stranger's is not even read. An address
without a source, and one whose token is wrong, are heard out as if a signature could still prove something.
"""

from dataclasses import dataclass
from typing import NamedTuple

from steadfast.webhooks.receiving.request import Headers, check_length, size_held
from steadfast.webhooks.receiving.signature import NO_KEY, Key, find_signing_key, find_token_key, is_timely
from steadfast.webhooks.refusals import Refused
from steadfast.webhooks.sources import KnownSource, Source

BYTES_PER_TOKEN = 64 * 1024
"""A larger body costs as much as several events."""
_SIGNED = (b"webhook-id", b"webhook-timestamp", b"webhook-signature")


@dataclass(slots=True)
class Seen:
    """What is known of a request so far, for the counters."""

    now: float
    """When it came, in epoch seconds."""
    source_id: int | None = None
    key_id: int | None = None
    events: int = 0
    size: int = 0
    held_by: int = 0
    held_size: int = 0
    """How much of the memory for large bodies a source has for it, until it is answered."""
    is_body_read: bool = False


class Admission(NamedTuple):
    """Whose body is to be read, and what has been proven without it."""

    reader: KnownSource | None
    """None: nobody's, of which nothing is kept."""
    token: Key | None
    limit: int

    @property
    def source_id(self) -> int | None:
        """The reader's."""
        return self.reader.source.source_id if self.reader else None


def begin_admission(known: KnownSource | None, headers: Headers, limit: int, now: float) -> Admission:
    """What the headers show: Refused with `unauthorized` if nothing could be proof, or with `too_large`."""
    check_length(headers, limit)
    token = _find_token(known, headers, now)
    if token is None and any(name not in headers for name in _SIGNED):
        raise Refused("unauthorized")
    is_open = token is not None or (known is not None and known.source.auth == "signature")
    return Admission(known if is_open else None, token, limit)


def finish_admission(admission: Admission, headers: Headers, content: bytes, seen: Seen) -> KnownSource:
    """Who sent it, once the body is there: Refused with `unauthorized`, always alike."""
    seen.size, seen.is_body_read = len(content), True
    reader = admission.reader
    if reader is None:
        # As much work as for a source that there is.
        proof = [headers.get(name, b"") for name in _SIGNED]
        find_signing_key([NO_KEY], proof[0], proof[1], content, proof[2])
        raise Refused("unauthorized")
    seen.held_by, seen.held_size = reader.source.source_id, size_held(content)
    key = admission.token or _find_signature(reader, headers, content, seen.now)
    seen.source_id, seen.key_id = reader.source.source_id, key.key_id
    return reader


def _find_token(known: KnownSource | None, headers: Headers, now: float) -> Key | None:
    """Nobody is checked too, against a key that opens nothing, so that it takes as long."""
    authorization = headers.get(b"authorization")
    if authorization is None:
        return None
    is_by_token = known is not None and known.source.auth == "token"
    found = find_token_key(_active_keys(known, now) if is_by_token else [NO_KEY], authorization)
    return found if is_by_token and found is not NO_KEY else None


def _find_signature(known: KnownSource, headers: Headers, body: bytes, now: float) -> Key:
    event_id, timestamp = headers[b"webhook-id"], headers[b"webhook-timestamp"]
    keys, signatures = _active_keys(known, now), headers[b"webhook-signature"]
    found = find_signing_key(keys, event_id, timestamp, body, signatures)
    if found is None or found is NO_KEY or not is_timely(timestamp, known.source.tolerance_seconds, now):
        raise Refused("unauthorized")
    return found


def _active_keys(known: KnownSource | None, now: float) -> list[Key]:
    return [key for key in known.keys if key.is_active(now)] or [NO_KEY] if known else [NO_KEY]


def read_event_id(source: Source, headers: Headers) -> str:
    """The id that the sender gave; what is no id is refused later, with the body's own faults."""
    given = headers.get(b"webhook-id") or (
        headers.get(b"idempotency-key", b"") if source.auth == "token" else b""
    )
    return given.decode("latin-1")


def charge(known: KnownSource, count: int, size: int, seconds: float) -> int:
    """Take a token an event, or more for a large body: Refused with `rate_limited` if there are too few."""
    tokens = max(count, size // BYTES_PER_TOKEN)
    wait = known.bucket.take(tokens, seconds)
    if wait:
        raise Refused("rate_limited", retry_after=wait)
    return tokens
