"""Who asked for which replay, and how far it came: written down first, counted with every batch.

A run of Airflow that is tried again finds its request here and goes on with it, as if it had never stopped.
"""

from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import partial
from json import dumps
from typing import Any

from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from steadfast.entities.audit import record_audit
from steadfast.entities.records import WebhookReplay
from steadfast.errors import ConfigError
from steadfast.warehouse.queries import load_queries
from steadfast.webhooks.replaying.replay_batch import Done, ReplayRequest
from steadfast.webhooks.replaying.search import bind_filter, compose_query


@dataclass(frozen=True)
class Recorded:
    """A request as it stands in the warehouse; `replayed_count` is what earlier tries of a run have done."""

    request_id: int
    requested_at: datetime
    matched_count: int
    replayed_count: int = 0


def record_request(request: ReplayRequest) -> tuple[ReplayRequest, Recorded]:
    """Write down who wants what, or find it from an earlier try; with the request bound to its moment."""
    with request.connection.transaction():
        earlier = _find_earlier(request)
        if earlier:
            return _bind(request, earlier.requested_at), earlier
        request = _bind(request, request.now)
        recorded = _insert(request, _count_matched(request))
        if not request.is_dry_run:
            _audit(request, recorded)
    return request, recorded


def count_done(request: ReplayRequest, request_id: int, done: Done) -> None:
    """Add what was done, in the transaction that did it."""
    bound = {"request_id": request_id, "replayed": done.count, "refused": len(done.refused)}
    request.connection.execute(load_queries("webhook_replay")["count_request"], bound)


def _bind(request: ReplayRequest, asked_at: datetime) -> ReplayRequest:
    """Copies are received when the request was made or later: none of them is ever picked by it."""
    until = min(request.wanted.until or asked_at, asked_at)
    bound = bind_filter(request.connection, replace(request.wanted, until=until))
    return replace(request, bound=bound, now=max(request.now, asked_at))


def _find_earlier(request: ReplayRequest) -> Recorded | None:
    if request.airflow_run_id is None:
        return None
    queries = load_queries("webhook_replay")
    # Of two tries at once, the first of which nobody could stop, one makes the request, the other finds it.
    request.connection.execute(queries["take_turns"], {"at": request.airflow_run_id})
    with request.connection.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(queries["find_request"], _describe(request)).fetchone()
    if found is None:
        return None
    if not found.pop("is_same"):
        raise ConfigError(
            f"The run {request.airflow_run_id} is on record with another filter, patch or mode. "
            "Start a run of another name."
        )
    request.connection.execute(queries["reopen_request"], found)
    return Recorded(**found)


def _insert(request: ReplayRequest, matched: int) -> Recorded:
    bound = {**_describe(request), "matched_count": matched}
    row = request.connection.execute(load_queries("webhook_replay")["insert_request"], bound).fetchone()
    return Recorded(int(row[0]) if row else 0, request.now, matched)


def _audit(request: ReplayRequest, recorded: Recorded) -> None:
    entity_id = request.bound["entity_ids"][0] if request.wanted.entity else None
    patch = request.patch.as_json() if request.patch else None
    record_audit(
        request.connection,
        "discard" if request.because else "replay",
        recorded.request_id,
        after=WebhookReplay(
            recorded.request_id, entity_id, _list_wanted(request), patch, recorded.matched_count
        ),
        actor=request.actor,
        now=request.now,
    )


def _count_matched(request: ReplayRequest) -> int:
    name = ("count_inbox", "inbox_filter") if request.is_about_inbox else ("count_dead", "dead_filter")
    row = request.connection.execute(compose_query(*name), request.bound, prepare=False).fetchone()
    return int(row[0]) if row else 0


def _describe(request: ReplayRequest) -> dict[str, Any]:
    return {
        "requested_by": request.actor,
        "requested_at": request.now,
        "airflow_run_id": request.airflow_run_id,
        "filter": Jsonb(_list_wanted(request), dumps=partial(dumps, default=str)),
        "patch": request.patch.as_json() if request.patch else None,
        "is_dry_run": request.is_dry_run,
    }


def _list_wanted(request: ReplayRequest) -> dict[str, Any]:
    wanted = {name: value for name, value in asdict(request.wanted).items() if value is not None}
    return wanted | ({"discard": request.because} if request.because else {})
