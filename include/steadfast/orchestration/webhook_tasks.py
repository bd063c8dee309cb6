"""What the tasks of `webhook_ingest` do: Airflow's context in, the core's outcome back in Airflow's words.

Heavy imports are inside the functions: the DAG file imports this module whenever it is parsed.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from steadfast.errors import PermanentError, WarehouseBusy
from steadfast.orchestration.assets import FACTS_WEBHOOKS
from steadfast.orchestration.connections import n8n_server, warehouse_url
from steadfast.orchestration.told_alarms import forget_told
from steadfast.orchestration.windows import run_kind
from steadfast.settings import load_settings

if TYPE_CHECKING:
    from psycopg import Connection

    from steadfast.webhooks.applying.outcome import Due, IngestSummary
    from steadfast.webhooks.applying.process import Processed

log = logging.getLogger(__name__)

EVENTS_FOR_TWO = 50_000
"""One worker applies so many in a second or two; a second one for less would cost more than it brings."""
MOST_SHARDS = 2
"""Half of what the executor runs at once, so that a flood of events leaves room for other DAGs."""
PROCESS_SECONDS = 240
"""A run is over before its deadline; what is left is due in the next one."""
RECONCILE_SECONDS = 120
UPSTREAM = ["claim", "process", "reconcile", "publish_asset", "mark_published"]


def every(minutes: int) -> str:
    """The schedule of a DAG that runs every few minutes, as cron says it."""
    return f"*/{minutes} * * * *"


def claim_shards(context: Any) -> list[dict[str, int]]:
    """Put what waits into chunks; one entry for each task that will share the work, none if nothing waits."""
    from steadfast.webhooks.applying.outcome import close_ended_runs, count_due
    from steadfast.webhooks.applying.plan import open_run, plan_chunks

    dag_run, now = context["dag_run"], datetime.now(UTC)
    with _open_warehouse() as connection:
        run_id = open_run(connection, dag_run.dag_id, dag_run.run_id, run_kind(dag_run), now)
        close_ended_runs(connection, run_id, now)
        planned = plan_chunks(connection, run_id=run_id, now=now)
        due = count_due(connection, now)
    log.info("Run %s: %s; due: %s", run_id, planned, due)
    return [{"run_id": run_id, "shard": shard} for shard in range(count_shards(due))]


def count_shards(due: "Due") -> int:
    """How many tasks share the chunks that are due."""
    if due.event_count < EVENTS_FOR_TWO:
        return min(due.chunk_count, 1)
    return min(due.chunk_count, MOST_SHARDS)


def process_shard(run_id: int, shard: int) -> dict[str, int]:
    """Apply chunks until none is due or the time is over; raise if one could not be applied."""
    from steadfast.warehouse.connect import connect
    from steadfast.webhooks.applying.process import process_chunks

    url = warehouse_url()
    processed = process_chunks(
        lambda: connect(url, autocommit=True, application=f"steadfast ingest {shard}"),
        run_id=run_id,
        clock=lambda: datetime.now(UTC),
        is_time_over=_time_limit(PROCESS_SECONDS),
    )
    for failure in processed.failures:
        log.warning("%s", failure)
    raise_if_chunks_failed(processed)
    return {
        "chunks": processed.chunk_count,
        "applied": processed.applied_count,
        "dead": processed.dead_count,
    }


def raise_if_chunks_failed(processed: "Processed") -> None:
    """Chunks that were applied stay so; a retry finds those that failed, if they are due again by then."""
    if processed.failures:
        raise WarehouseBusy(f"{len(processed.failures)} chunks were not applied. {processed.failures[0]}")


def reconcile_with_n8n() -> dict[str, int]:
    """Read back what n8n could not deliver. A failure of it is a signal and never fails the run."""
    from steadfast.webhooks.n8n.reconcile import list_sources, reconcile_sources
    from steadfast.webhooks.n8n.signals import EVERY_N8N

    url, now = warehouse_url(), datetime.now(UTC)
    with _open_warehouse() as connection:
        if next(iter(list_sources(connection)), None) is None:
            raise AirflowSkipException("No source names an n8n.")
        try:
            found = reconcile_sources(
                connection,
                ask=n8n_server,
                store=_store_recovered(url, now),
                now=now,
                seconds=RECONCILE_SECONDS,
            )
        except Exception as error:
            # Nobody foresaw it, and the events that did arrive must not wait for it.
            log.exception("The failed executions of n8n could not be read back")
            found, failures = [], {EVERY_N8N: f"{type(error).__name__}: {error}"}
        else:
            failures = {one.connection_id: one.failure for one in found if one.failure}
    for one in found:
        log.info(
            "%s: %s recovered, %s unreadable, %s left; %s",
            *(one.connection_id, one.recovered_count, one.unreadable_count, one.left_count),
            one.failure or one.error or "nothing went wrong",
        )
    _tell_unread(failures, now)
    return {"recovered": sum(one.recovered_count for one in found), "failed": len(failures)}


def emit_asset_event(context: Any) -> dict[str, Any]:
    """Tell downstream DAGs what is new, a key for each day of arrival; skipped if nothing is.

    Airflow takes the event together with the task's success, so `mark_published` runs only after that.
    """
    from steadfast.webhooks.applying.outcome import read_news

    with _open_warehouse() as connection:
        run_id = _find_run(connection, context)
        if run_id is None:
            raise AirflowSkipException("The run has claimed nothing.")
        news = read_news(connection, run_id)
    if not news.chunk_ids:
        raise AirflowSkipException("No event was applied.")
    days = [str(day) for day in news.received_on]
    extra = {"rows": news.applied_count, "run": run_id, "received_on": days}
    event = context["outlet_events"][FACTS_WEBHOOKS]
    event.extra.update(extra)
    event.add_partitions(days)
    return {**extra, "chunks": list(news.chunk_ids)}


def mark_published(published: dict[str, Any]) -> int:
    """Note that downstream DAGs know these chunks; without the note the next run tells of them again."""
    from steadfast.webhooks.applying.outcome import mark_announced

    with _open_warehouse() as connection:
        mark_announced(connection, published["run"], published["chunks"])
    return len(published["chunks"])


def report_run(context: Any) -> dict[str, int]:
    """Tell what is wrong, keep the inbox up, close the run; PermanentError if something was not applied."""
    from steadfast.orchestration.alarms import mail_leftovers
    from steadfast.webhooks.applying.outcome import close_run, list_failing_chunks, summarise_ingest
    from steadfast.webhooks.applying.upkeep import keep_up
    from steadfast.webhooks.watching.run_messages import describe_open_work, outage_key
    from steadfast.webhooks.watching.watch import watch

    now = datetime.now(UTC)
    with _open_warehouse() as connection:
        forget_told(load_settings().state, outage_key(context["dag_run"].dag_id))
        run_id = _find_run(connection, context)
        if run_id is None:
            raise PermanentError("The run has claimed nothing; the log of the task claim says why.")
        log.info("%s new signals", watch(connection, run_id, now))
        mail_leftovers(connection)
        log.info("%s", keep_up(connection, now))
        summary, failing = summarise_ingest(connection, run_id), list_failing_chunks(connection)
        log.info("%s", summary)
        trouble = describe_open_work(failing) if failing else describe_failed_tasks(failed_tasks(context))
        # Only a good one makes a problem news that comes after it: one that lasts is told once.
        close_run(connection, run_id, is_good=not trouble, now=now)
    if trouble:
        raise PermanentError(trouble)
    return _count(summary)


def describe_failed_tasks(failed: Iterable[str]) -> str:
    """Why a run is red in which a task died without a word, out of memory for example; empty if none did."""
    names = ", ".join(sorted(failed))
    return f"Tasks failed: {names}. Their logs say why, and the next run goes on from there." if names else ""


def failed_tasks(context: Any) -> list[str]:
    """Which of the other tasks of this run have failed."""
    dag_run = context["dag_run"]
    states = context["ti"].get_task_states(dag_id=dag_run.dag_id, task_ids=UPSTREAM, run_ids=[dag_run.run_id])
    return [name for name, state in states.get(dag_run.run_id, {}).items() if str(state) == "failed"]


@contextmanager
def _open_warehouse() -> "Iterator[Connection]":
    from steadfast.warehouse.connect import connect, translate_errors

    with connect(warehouse_url(), autocommit=True) as connection, translate_errors():
        yield connection


def _find_run(connection: "Connection", context: Any) -> int | None:
    from steadfast.webhooks.applying.outcome import find_run

    dag_run = context["dag_run"]
    return find_run(connection, dag_run.dag_id, dag_run.run_id)


def _store_recovered(url: str, now: datetime) -> Callable[..., Any]:
    from steadfast.webhooks.inbox import store_events

    return lambda events: store_events(url, events, origin="reconcile", now=now)


def _tell_unread(failures: Mapping[str, str], now: datetime) -> None:
    from steadfast.webhooks.n8n.signals import record_failure

    if not failures:
        return
    # The connection of the look may be what failed.
    with _open_warehouse() as connection:
        for connection_id, trouble in failures.items():
            record_failure(connection, connection_id, trouble, now)


def _time_limit(seconds: float) -> Callable[[], bool]:
    end = monotonic() + seconds
    return lambda: monotonic() >= end


def _count(summary: "IngestSummary") -> dict[str, int]:
    return {
        "applied": summary.applied_count,
        "dead": summary.dead_count,
        "open_chunks": summary.open_chunk_count,
    }
