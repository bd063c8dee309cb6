"""What ops should know about webhooks, one signal a problem: new dead letters, refusals, limits, backlog.

Each finder reads one table and words what it finds. To watch for more, add a finder to FINDERS; its key
decides how often the same problem is told.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row

from steadfast.alerts.signals import Severity, Signal
from steadfast.warehouse.connect import translate_errors
from steadfast.warehouse.queries import load_queries
from steadfast.webhooks.applying.outcome import list_failing_chunks, read_backlog
from steadfast.webhooks.watching.quiet import find_silences
from steadfast.webhooks.watching.telling import (
    Sender,
    bundle_signals,
    count_of,
    record_signals,
    spell_minutes,
    write_signal,
)

LOOK_BACK = timedelta(hours=1)
"""Long enough to measure a rate, short enough to be news."""
FAILING_SHARE = 0.2
"""A source that now and then sends something wrong is told of by its dead letters, not as failing."""
LEAST_REQUESTS = 20
"""Of fewer, one more or less decides."""
LONGEST_WAIT = timedelta(minutes=10)
"""Two runs of the default schedule: an event that is older was passed over by one."""
MOST_ATTEMPTS = 5
"""By then minutes have passed: it will not pass by itself."""
STATUS_ADVICE = {
    401: "Its key, its address or its clock is wrong",
    413: "Its events are larger than `max_bytes` of the source allows",
    422: "Its events break their contract, and the source is strict or one of a batch was refused",
    503: "The receiver could not store: look at PostgreSQL and at the receiver's log",
}
UNUSUAL_STATUS = "The title and the detail of the answer, in the sender's execution, say what is wrong"


@dataclass(frozen=True)
class Dying(Sender):
    """What died of one source for one reason."""

    reason: str
    event_count: int
    first_id: int
    last_at: datetime
    detail: str
    event_type: str | None


@dataclass(frozen=True)
class Refused(Sender):
    """What a source was refused of late."""

    request_count: int
    refused_count: int
    limited_count: int
    statuses: list[int] | None
    last_at: datetime


@dataclass(frozen=True)
class Conflicting(Sender):
    """Ids of a source that came again with other bytes."""

    conflict_policy: str
    conflict_count: int
    event_id: str
    last_at: datetime


def watch(connection: Connection[Any], run_id: int, now: datetime) -> int:
    """Record a signal for every problem that is not known yet; return how many."""
    return record_signals(connection, find_problems(connection, run_id, now), now)


def find_problems(connection: Connection[Any], run_id: int, now: datetime) -> list[Signal]:
    """Every problem there is now, known or not."""
    with translate_errors():
        return [signal for find in FINDERS for signal in find(connection, run_id, now)]


def find_new_dead_letters(connection: Connection[Any], run_id: int, now: datetime) -> list[Signal]:
    """What died in this run: one signal a source, reason and day."""
    with connection.cursor(row_factory=class_row(Dying)) as cursor:
        rows = cursor.execute(
            load_queries("webhook_watch")["list_new_dead_letters"], {"run_id": run_id}
        ).fetchall()
    return bundle_signals([_describe_dying(row) for row in rows], "New dead letters", now)


def find_failing_sources(connection: Connection[Any], run_id: int, now: datetime) -> list[Signal]:
    """Sources that are mostly refused, and sources that run into their limit: one signal a source and day."""
    with connection.cursor(row_factory=class_row(Refused)) as cursor:
        rows = cursor.execute(load_queries("webhook_watch")["list_refusals"], _lately(now)).fetchall()
    failing = [_describe_failing(row) for row in rows if is_failing(row.refused_count, row.request_count)]
    limited = [_describe_limited(row) for row in rows if row.limited_count]
    return [
        *bundle_signals(failing, "Webhook sources are refused", now),
        *bundle_signals(limited, "Webhook sources exceed their limit", now),
    ]


def is_failing(refused_count: int, request_count: int) -> bool:
    """Whether so much is refused that the source as a whole is at fault, or we are."""
    return request_count >= LEAST_REQUESTS and refused_count > FAILING_SHARE * request_count


def find_conflicts(connection: Connection[Any], run_id: int, now: datetime) -> list[Signal]:
    """Ids that came again with another body: one signal a source and day."""
    with connection.cursor(row_factory=class_row(Conflicting)) as cursor:
        rows = cursor.execute(load_queries("webhook_watch")["list_conflicts"], _lately(now)).fetchall()
    return bundle_signals([_describe_conflict(row) for row in rows], "Webhook sources reuse ids", now)


def find_backlog(connection: Connection[Any], run_id: int, now: datetime) -> list[Signal]:
    """Events that wait too long: one signal a day."""
    backlog = read_backlog(connection)
    if backlog.oldest_at is None or now - backlog.oldest_at <= LONGEST_WAIT:
        return []
    wait = spell_minutes((now - backlog.oldest_at).total_seconds() / 60)
    failing = f" {count_of(backlog.failing_count, 'chunk')} failed." if backlog.failing_count else ""
    return [
        write_signal(
            "webhook_backlog",
            f"{now:%Y-%m-%d}",
            f"Webhook events wait for {wait}",
            {
                "What is affected": f"{count_of(backlog.waiting_count, 'event')} safe in the inbox and in no "
                f"table yet, the oldest since {backlog.oldest_at:%Y-%m-%d %H:%M} UTC.{failing}",
                "What to do": "Open the last runs of webhook_ingest. Green and busy: they are catching up, "
                "nothing to do. Red: the mail about the run says why. None at all: is the DAG paused, is the "
                "scheduler up?",
            },
        )
    ]


def find_stuck_chunks(connection: Connection[Any], run_id: int, now: datetime) -> list[Signal]:
    """Chunks that failed again and again: one signal each."""
    chunks = list_failing_chunks(connection, MOST_ATTEMPTS)
    signals = [
        write_signal(
            "chunk_stuck",
            str(chunk.chunk_id),
            f"{count_of(chunk.event_count, 'webhook event')} cannot be applied, after {chunk.attempt} tries",
            {
                "Why": chunk.error,
                "What is affected": f"The events of chunk {chunk.chunk_id}, received since "
                f"{chunk.first_received_at:%Y-%m-%d %H:%M} UTC. They are safe in the inbox, others go on.",
                "What to do": "Change what the reason asks for. The chunk is tried again by itself, at the "
                "latest half an hour later.",
            },
            severity=Severity.CRITICAL,
        )
        for chunk in chunks
    ]
    return bundle_signals(signals, "Chunks of webhook events cannot be applied", now)


def find_silent_sources(connection: Connection[Any], run_id: int, now: datetime) -> list[Signal]:
    """Sources that should have been heard by now: one signal a source and silence."""
    return find_silences(connection, now)


Finder = Callable[[Connection[Any], int, datetime], list[Signal]]
FINDERS: tuple[Finder, ...] = (
    find_new_dead_letters,
    find_failing_sources,
    find_conflicts,
    find_backlog,
    find_stuck_chunks,
    find_silent_sources,
)


def _lately(now: datetime) -> dict[str, datetime]:
    return {"since": now - LOOK_BACK, "now": now}


def _describe_dying(dying: Dying) -> Signal:
    kind = f" of type {dying.event_type}" if dying.event_type else ""
    return write_signal(
        "dead_letters",
        f"{dying.source_id}:{dying.reason}:{dying.last_at:%Y-%m-%d}",
        f"{dying.title}: {count_of(dying.event_count, 'event')} could not be loaded ({dying.reason})",
        {
            "What is wrong": f"The first, number {dying.first_id}{kind}: {dying.detail}",
            "What is affected": "They are kept as dead letters and are in no table; the other events were "
            "loaded. More of the same today are kept too, but not mailed.",
            "What to do": "Look at them, mend the sender, then replay them with a patch, or discard them:\n"
            f"steadfast webhook search --entity {dying.entity} --source {dying.slug} "
            f"--state dead --reason {dying.reason}",
        },
        entity_id=dying.entity_id,
    )


def _describe_failing(refused: Refused) -> Signal:
    status = (refused.statuses or [0])[0]
    return write_signal(
        "source_failing",
        f"{refused.source_id}:{refused.last_at:%Y-%m-%d}",
        f"{refused.title}: {refused.refused_count} of {refused.request_count} requests were refused",
        {
            "What is wrong": f"In the last hour it was mostly answered {status}. "
            f"{STATUS_ADVICE.get(status, UNUSUAL_STATUS)}.",
            "What is affected": "What was refused is not in the inbox; only the sender has it.",
            "What to do": "When the cause is gone, retry the failed executions in n8n: what arrived before "
            "is not stored twice. The settings are shown by\n"
            f"steadfast source show {refused.entity} {refused.slug}",
        },
        entity_id=refused.entity_id,
    )


def _describe_limited(refused: Refused) -> Signal:
    return write_signal(
        "source_limited",
        f"{refused.source_id}:{refused.last_at:%Y-%m-%d}",
        f"{refused.title}: {count_of(refused.limited_count, 'request')} over its limit",
        {
            "What is affected": "They were answered 429. n8n does not wait as long as it is told and gives "
            "up after about 20 seconds; what it gave up is only in its failed executions.",
            "What to do": "Send in batches, or raise the limit if the flood is meant, then retry the "
            "executions:\n"
            f"steadfast source edit {refused.entity} {refused.slug} --rate N --burst N",
        },
        entity_id=refused.entity_id,
    )


def _describe_conflict(found: Conflicting) -> Signal:
    fate = "was refused (409)" if found.conflict_policy == "reject" else "was ignored, the first one stays"
    return write_signal(
        "id_conflict",
        f"{found.source_id}:{found.last_at:%Y-%m-%d}",
        f"{found.title}: {count_of(found.conflict_count, 'event')} came under a used id with another body",
        {
            "What is wrong": f"For example {found.event_id}. Each {fate}; the bodies are kept in "
            "landing.webhook_conflict.",
            "What to do": "Give every event an id of its own, for example an order's number and its status. "
            "If a new body under the same id is meant:\n"
            f"steadfast source edit {found.entity} {found.slug} --conflict-policy new_version",
        },
        entity_id=found.entity_id,
    )
