"""Processing events again, mended if need be, and giving up dead letters; both by filter, in bulk.

A replay puts a copy into the inbox and says so in the dead letter, in one transaction: nothing is lost or
doubled, wherever it is interrupted, and asking twice at once copies once. Facts are upserted by their
natural key, so that an event that was applied already has a single effect too.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import partial
from json import dumps
from typing import Any

from psycopg import Connection
from psycopg.types.json import Jsonb

from steadfast.entities.audit import record_audit
from steadfast.entities.records import WebhookReplay
from steadfast.errors import ConfigError
from steadfast.warehouse.partitions import ensure_day_partitions
from steadfast.warehouse.queries import load_queries
from steadfast.webhooks.replaying.mend import make_patch
from steadfast.webhooks.replaying.replay_batch import (
    Done,
    Picked,
    Preview,
    RefusedEvent,
    ReplayRequest,
    copy_batch,
    discard_batch,
    mend_batch,
    pick_batch,
    preview_events,
)
from steadfast.webhooks.replaying.search import APPLIED, DEAD, EventFilter, bind_filter, compose_query

REPLAYABLE = (DEAD, "discarded", APPLIED)
PREVIEWS = 5
Progress = Callable[[int, int], None]
Handle = Callable[[ReplayRequest, Sequence[Picked]], Done]


@dataclass(frozen=True)
class ReplayReport:
    """What was done, or would be in a dry run."""

    request_id: int
    matched_count: int
    replayed_count: int
    refused: Sequence[RefusedEvent] = ()
    previews: Sequence[Preview] = ()


def replay_events(
    connection: Connection[Any],
    wanted: EventFilter,
    *,
    patch: Sequence[Any] | None,
    is_dry_run: bool,
    actor: str,
    now: datetime,
    on_progress: Progress | None = None,
) -> ReplayReport:
    """Put what matches into the inbox once more, patched; without a state, what is dead.

    `connection` is in autocommit: every batch is a transaction of its own.
    """
    wanted = replace(wanted, state=wanted.state or DEAD)
    if wanted.state not in REPLAYABLE:
        raise ConfigError(
            f"Events that are {wanted.state} cannot be replayed, only {', '.join(REPLAYABLE)}: what waits is "
            "still to be processed, and what was replayed or resolved has a copy to replay instead."
        )
    request = _open_request(connection, wanted, is_dry_run=is_dry_run, actor=actor, now=now)
    if patch is not None:
        request = replace(request, patch=make_patch(list(patch)))
    if not is_dry_run:
        ensure_day_partitions(connection, "webhook_inbox", now.date(), now.date())
    return _work_off(request, copy_batch if request.patch is None else mend_batch, on_progress)


def discard_events(
    connection: Connection[Any],
    wanted: EventFilter,
    *,
    because: str,
    is_dry_run: bool = False,
    actor: str,
    now: datetime,
    on_progress: Progress | None = None,
) -> ReplayReport:
    """Give up the dead letters that match; a replay of `discarded` ones can still bring them back."""
    if wanted.state not in (None, DEAD):
        raise ConfigError(f"Events that are {wanted.state} cannot be discarded, only those that are {DEAD}.")
    if not because.strip():
        raise ConfigError("A reason is needed: why will nobody miss these events?")
    wanted = replace(wanted, state=DEAD)
    request = _open_request(connection, wanted, is_dry_run=is_dry_run, actor=actor, now=now)
    return _work_off(replace(request, because=because.strip()), discard_batch, on_progress)


def _open_request(
    connection: Connection[Any], wanted: EventFilter, *, is_dry_run: bool, actor: str, now: datetime
) -> ReplayRequest:
    if not connection.autocommit:
        raise ValueError("a replay needs a connection in autocommit, to commit every batch")
    # Copies are received now: no copy of this request is picked by this request.
    until = min(wanted.until or now, now)
    bound = bind_filter(connection, replace(wanted, until=until))
    return ReplayRequest(connection, wanted, bound, is_dry_run, actor, now)


def _work_off(request: ReplayRequest, handle: Handle, on_progress: Progress | None) -> ReplayReport:
    matched = _count_matched(request)
    request_id = _record_request(request, matched)
    total, seen = Done(), 0
    for size, done in _walk(request, request_id, handle):
        seen += size
        total.count += done.count
        total.refused += done.refused
        total.previews = (total.previews + done.previews)[:PREVIEWS]
        if on_progress:
            on_progress(seen, matched)
    if request.is_dry_run:
        _count_done(request, request_id, total)
    return ReplayReport(request_id, matched, total.count, total.refused, total.previews)


def _walk(request: ReplayRequest, request_id: int, handle: Handle) -> Iterator[tuple[int, Done]]:
    """One transaction a batch, in the order of entity and id; a dry run takes all of it back."""
    after = (0, 0)
    while True:
        with request.connection.transaction(force_rollback=request.is_dry_run):
            picked = pick_batch(request, after)
            if not picked:
                return
            done = handle(request, picked)
            if request.is_dry_run:
                done.previews = preview_events(request, picked[:PREVIEWS]) if after == (0, 0) else []
            else:
                _count_done(request, request_id, done)
        after = (picked[-1].entity_id, picked[-1].inbox_id)
        yield len(picked), done


def _count_matched(request: ReplayRequest) -> int:
    name = ("count_inbox", "inbox_filter") if request.is_about_inbox else ("count_dead", "dead_filter")
    row = request.connection.execute(compose_query(*name), request.bound, prepare=False).fetchone()
    return int(row[0]) if row else 0


def _record_request(request: ReplayRequest, matched: int) -> int:
    """Write down who wants what, before the first batch: an interrupted request is on record too."""
    wanted = {name: value for name, value in asdict(request.wanted).items() if value is not None}
    if request.because:
        wanted["discard"] = request.because
    patch = request.patch.as_json() if request.patch else None
    bound = {
        "requested_by": request.actor,
        "requested_at": request.now,
        "filter": Jsonb(wanted, dumps=partial(dumps, default=str)),
        "patch": patch,
        "is_dry_run": request.is_dry_run,
        "matched_count": matched,
    }
    connection = request.connection
    with connection.transaction():
        row = connection.execute(load_queries("webhook_replay")["insert_request"], bound).fetchone()
        request_id = int(row[0]) if row else 0
        if not request.is_dry_run:
            entity_ids = request.bound["entity_ids"] if request.wanted.entity else [None]
            record = WebhookReplay(request_id, entity_ids[0], wanted, patch, matched)
            action = "discard" if request.because else "replay"
            record_audit(connection, action, request_id, after=record, actor=request.actor, now=request.now)
    return request_id


def _count_done(request: ReplayRequest, request_id: int, done: Done) -> None:
    bound = {"request_id": request_id, "replayed": done.count, "refused": len(done.refused)}
    request.connection.execute(load_queries("webhook_replay")["count_request"], bound)
