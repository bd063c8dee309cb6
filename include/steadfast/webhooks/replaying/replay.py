"""Processing events again, mended if need be, and giving up dead letters; both by filter, in bulk.

A replay puts a copy into the inbox and says so in the dead letter, in one transaction: nothing is lost or
doubled, wherever it is interrupted, and asking twice at once copies once. Facts are upserted by their
natural key, so that an event that was applied already has a single effect too.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from psycopg import Connection

from steadfast.errors import ConfigError
from steadfast.warehouse.partitions import ensure_day_partitions
from steadfast.webhooks.replaying.mend import make_patch
from steadfast.webhooks.replaying.record import count_done, record_request
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
from steadfast.webhooks.replaying.search import APPLIED, DEAD, EventFilter

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
    airflow_run_id: str | None = None,
    on_progress: Progress | None = None,
) -> ReplayReport:
    """Put what matches into the inbox once more, patched; without a state, what is dead.

    `connection` is in autocommit: every batch is a transaction of its own. A run that is tried again goes on
    with its first try's request: it picks nothing that was received since, its own copies least of all.
    """
    wanted = replace(wanted, state=wanted.state or DEAD)
    if wanted.state not in REPLAYABLE:
        raise ConfigError(
            f"Events that are {wanted.state} cannot be replayed, only {', '.join(REPLAYABLE)}: what waits is "
            "still to be processed, and what was replayed or resolved has a copy to replay instead."
        )
    request = ReplayRequest(
        connection,
        wanted,
        is_dry_run=is_dry_run,
        actor=actor,
        now=now,
        patch=None if patch is None else make_patch(list(patch)),
        airflow_run_id=airflow_run_id,
    )
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
    request = ReplayRequest(connection, wanted, is_dry_run, actor, now, because=because.strip())
    return _work_off(request, discard_batch, on_progress)


def _work_off(request: ReplayRequest, handle: Handle, on_progress: Progress | None) -> ReplayReport:
    if not request.connection.autocommit:
        raise ValueError("a replay needs a connection in autocommit, to commit every batch")
    request, recorded = record_request(request)
    total, seen = Done(recorded.replayed_count), recorded.replayed_count
    for size, done in _walk(request, recorded.request_id, handle):
        seen += size
        total.count += done.count
        total.refused += done.refused
        total.previews = (total.previews + done.previews)[:PREVIEWS]
        if on_progress:
            on_progress(seen, recorded.matched_count)
    if request.is_dry_run:
        count_done(request, recorded.request_id, total)
    return ReplayReport(
        recorded.request_id, recorded.matched_count, total.count, total.refused, total.previews
    )


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
                count_done(request, request_id, done)
        after = (picked[-1].entity_id, picked[-1].inbox_id)
        yield len(picked), done
