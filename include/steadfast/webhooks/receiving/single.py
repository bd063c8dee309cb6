"""One event in one request, as far as nothing is waited for: before its body, after it, and its answer."""

from datetime import UTC, datetime

from steadfast.webhooks.envelope import IncomingEvent, read_event
from steadfast.webhooks.inbox import ACCEPTED, CONFLICT, Stored
from steadfast.webhooks.judge import find_violations
from steadfast.webhooks.receiving.admission import (
    Admission,
    Seen,
    begin_admission,
    charge,
    finish_admission,
    read_event_id,
)
from steadfast.webhooks.receiving.request import Headers, check_media_type
from steadfast.webhooks.refusals import Refused
from steadfast.webhooks.sources import KnownSource, Source

JSON_TYPES = (b"application/json",)
DEFAULT_LIMIT = 256 * 1024
"""Of a source that we do not know, and before we know of any: they must not be told apart."""


def admit_single(known: KnownSource | None, headers: Headers, now: float) -> Admission:
    """What can be checked before the body; Refused if it need not be read."""
    check_media_type(headers, JSON_TYPES)
    limit = max(DEFAULT_LIMIT, known.source.max_bytes) if known else DEFAULT_LIMIT
    return begin_admission(known, headers, limit, now)


def accept_single(
    admission: Admission, headers: Headers, content: bytes, seen: Seen, seconds: float
) -> tuple[Source, str]:
    """The source and the event's id, once it is proven who sends, and that he may send as much."""
    admitted = finish_admission(admission, headers, content, seen)
    seen.events = 1
    if len(content) > admitted.source.max_bytes:
        raise Refused("too_large")
    charge(admitted, 1, len(content), seconds)
    return admitted.source, read_event_id(admitted.source, headers)


def read_judged(source: Source, event_id: str, content: bytes, now: float) -> IncomingEvent:
    """The event: Refused if it cannot be kept, or if a strict source's contract does not allow it."""
    event = read_event(source, event_id, content)
    if source.is_strict and event.is_text_ok:
        received_at = datetime.fromtimestamp(now, UTC)
        violations = find_violations(event.event_type, event.schema_version, content, received_at)
        if violations:
            raise Refused("schema_violation", " ".join(violations))
    return event


def is_refused_conflict(event: IncomingEvent, stored: Stored) -> bool:
    """Whether the source wants to hear that an id came again with another body."""
    return stored.outcome == CONFLICT and event.source.conflict_policy == "reject"


def answer_single(event: IncomingEvent, stored: Stored) -> tuple[int, bytes]:
    """Status and content, after the commit."""
    if is_refused_conflict(event, stored):
        raise Refused("id_conflict")
    # The id has been checked: nothing in it needs an escape.
    if stored.outcome == ACCEPTED:
        text = f'{{"status":"accepted","id":"{event.event_id}","inbox_id":{stored.inbox_id}}}'
        return 202, text.encode()
    text = f'{{"status":"duplicate","id":"{event.event_id}","inbox_id":{stored.inbox_id}}}'
    return 200, text.encode()
