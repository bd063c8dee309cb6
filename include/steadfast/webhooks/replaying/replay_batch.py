"""One batch of a replay: which events it takes, and how their copies are written.

Rows come in the order of entity and id, so that two who replay at once wait for each other, never in a ring.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row

from steadfast.warehouse.queries import load_queries
from steadfast.webhooks.replaying.mend import Mended, Patch
from steadfast.webhooks.replaying.search import APPLIED, EventFilter, compose_query

BATCH_EVENTS = 5_000
BATCH_BYTES = 32 * 1024 * 1024
"""Of bodies in one transaction: receivers may wait for the end of one that writes."""


@dataclass(frozen=True)
class RefusedEvent:
    """An event that stayed as it was, and why."""

    inbox_id: int
    reason: str


@dataclass(frozen=True)
class Preview:
    """What a replay would make of an event; `after` is None if no patch was given."""

    inbox_id: int
    before: bytes
    after: Mended | None


@dataclass(frozen=True)
class Picked:
    """An event of a batch; its size is None if its body is not kept any more."""

    inbox_id: int
    entity_id: int
    received_at: datetime
    byte_count: int | None


@dataclass(frozen=True)
class ReplayRequest:
    """What was asked for, as every batch needs it."""

    connection: Connection[Any]
    wanted: EventFilter
    is_dry_run: bool
    actor: str
    now: datetime
    """When copies are received, which is never before anything that this request may pick."""
    patch: Patch | None = None
    because: str = ""
    airflow_run_id: str | None = None
    """The run that asks, which may be tried again; None for a command."""
    bound: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_about_inbox(self) -> bool:
        """Whether events are meant that have no dead letter."""
        return self.wanted.state == APPLIED


@dataclass
class Done:
    """What became of a batch, or of all so far."""

    count: int = 0
    refused: list[RefusedEvent] = field(default_factory=list)
    previews: list[Preview] = field(default_factory=list)


@dataclass(frozen=True)
class Original:
    """An event as it was received, to be mended."""

    inbox_id: int
    entity_id: int
    source_id: int
    event_id: str
    body: bytes


def pick_batch(request: ReplayRequest, after: tuple[int, int]) -> Sequence[Picked]:
    """The next events after a place, at most a batch, that nobody else picks before the transaction ends."""
    if request.is_about_inbox and not request.is_dry_run:
        request.connection.execute(load_queries("webhook_replay")["take_turns"], {"at": "inbox"})
    name = ("pick_inbox", "inbox_filter") if request.is_about_inbox else ("pick_dead", "dead_filter")
    bound = {**request.bound, "after_entity": after[0], "after_id": after[1], "limit": BATCH_EVENTS}
    with request.connection.cursor(row_factory=class_row(Picked)) as cursor:
        return cut_batch(cursor.execute(compose_query(*name), bound, prepare=False).fetchall(), BATCH_BYTES)


def cut_batch(picked: Sequence[Picked], most_bytes: int) -> Sequence[Picked]:
    """As many as fit into one transaction, at least one."""
    total = 0
    for count, event in enumerate(picked):
        total += event.byte_count or 0
        if total > most_bytes and count > 0:
            return picked[:count]
    return picked


def copy_batch(request: ReplayRequest, picked: Sequence[Picked]) -> Done:
    """Put events into the inbox once more, byte for byte; their bodies do not leave the server."""
    kept, refused = _part_kept(picked)
    if not request.is_dry_run:
        _write_copies(request, "copy_events", _list_places(kept))
    return Done(len(kept), refused)


def mend_batch(request: ReplayRequest, picked: Sequence[Picked]) -> Done:
    """Put patched events into the inbox; those that the patch does not fit stay as they are."""
    kept, refused = _part_kept(picked)
    originals = _read_bodies(request, kept)
    results = [(original, _mend_one(request, original)) for original in originals]
    mended = [(original, result) for original, result in results if result.envelope]
    refused += [RefusedEvent(each.inbox_id, result.reason) for each, result in results if not result.envelope]
    if mended and not request.is_dry_run:
        _write_copies(request, "insert_mended", _list_columns(mended))
    return Done(len(mended), refused)


def discard_batch(request: ReplayRequest, picked: Sequence[Picked]) -> Done:
    """Mark dead letters as discarded."""
    if not request.is_dry_run:
        bound = {"inbox_ids": [each.inbox_id for each in picked], "now": request.now, "actor": request.actor}
        request.connection.execute(load_queries("webhook_replay")["mark_discarded"], bound)
    return Done(len(picked))


def preview_events(request: ReplayRequest, picked: Sequence[Picked]) -> list[Preview]:
    """What would become of some events."""
    originals = _read_bodies(request, _part_kept(picked)[0])
    patch = request.patch
    return [Preview(each.inbox_id, each.body, patch.mend(each.body) if patch else None) for each in originals]


def _write_copies(request: ReplayRequest, query: str, columns: Mapping[str, Any]) -> None:
    queries, connection = load_queries("webhook_replay"), request.connection
    # Taken late: planning, and every receiver behind it, waits for whoever holds it.
    connection.execute(queries["lock_inbox"])
    insert = queries[query].format(columns=queries["copy_columns"])
    made = connection.execute(insert, {**columns, "now": request.now}).fetchall()
    if made and not request.is_about_inbox:
        old_ids, new_ids = zip(*made, strict=True)
        bound = {"old_ids": list(old_ids), "new_ids": list(new_ids), "state": request.wanted.state}
        connection.execute(queries["mark_replayed"], bound)


def _part_kept(picked: Sequence[Picked]) -> tuple[list[Picked], list[RefusedEvent]]:
    kept = [each for each in picked if each.byte_count is not None]
    gone = [each for each in picked if each.byte_count is None]
    return kept, [RefusedEvent(each.inbox_id, "its body is not kept any more") for each in gone]


def _read_bodies(request: ReplayRequest, picked: Sequence[Picked]) -> list[Original]:
    query = load_queries("webhook_replay")["read_bodies"]
    with request.connection.cursor(row_factory=class_row(Original), binary=True) as cursor:
        return cursor.execute(query, _list_places(picked)).fetchall()


def _list_places(picked: Sequence[Picked]) -> dict[str, Any]:
    return {
        "inbox_ids": [each.inbox_id for each in picked],
        "entity_ids": [each.entity_id for each in picked],
        "received_at": [each.received_at for each in picked],
    }


def _list_columns(mended: Sequence[tuple[Original, Mended]]) -> dict[str, Any]:
    envelopes = [result.envelope for _, result in mended if result.envelope]
    return {
        "inbox_ids": [original.inbox_id for original, _ in mended],
        "entity_ids": [original.entity_id for original, _ in mended],
        "source_ids": [original.source_id for original, _ in mended],
        "event_ids": [original.event_id for original, _ in mended],
        "event_types": [envelope.event_type for envelope in envelopes],
        "schema_versions": [envelope.schema_version for envelope in envelopes],
        "bodies": [result.body for _, result in mended],
        "is_text_ok": [envelope.is_text_ok for envelope in envelopes],
    }


def _mend_one(request: ReplayRequest, original: Original) -> Mended:
    return request.patch.mend(original.body) if request.patch else Mended(original.body)
