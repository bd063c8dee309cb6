"""What the tasks of `ga4_sync` do: Airflow's context in, the core's outcome back in Airflow's words.

Heavy imports are inside the functions: the DAG file imports this module whenever it is parsed.
"""

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from steadfast.errors import PermanentError, QuotaExhausted, SourceUnavailable
from steadfast.orchestration.assets import FACTS_GA4
from steadfast.orchestration.connections import ga4_client_config, warehouse_url
from steadfast.orchestration.retry import LONGEST_WAIT
from steadfast.orchestration.windows import run_request
from steadfast.settings import load_settings

if TYPE_CHECKING:
    from steadfast.alerts.run_state import RunState
    from steadfast.ga4.client import Ga4Client
    from steadfast.ga4.sync import ShardOutcome

log = logging.getLogger(__name__)


def plan_shards(context: Any) -> list[dict[str, int]]:
    """Write down what this run fetches; one entry for each task that will share the work."""
    from steadfast.ga4.plan import plan_run
    from steadfast.warehouse.connect import connect, translate_errors

    request = run_request(context["dag_run"], dict(context["params"]))
    with connect(warehouse_url(), autocommit=True) as connection, translate_errors():
        planned = plan_run(connection, request, datetime.now(UTC), load_settings().properties_per_shard)
    return [{"run_id": planned.run_id, "shard": shard} for shard in planned.shards]


def sync_one_shard(run_id: int, shard: int) -> dict[str, int]:
    """Do what is not done yet in a shard; raise if trying again is worth it."""
    from steadfast.ga4.sync import sync_shard
    from steadfast.quality.check import check_frame
    from steadfast.warehouse.connect import connect

    url = warehouse_url()
    outcome = sync_shard(
        run_id,
        shard,
        connect=lambda: connect(url),
        open_client=_open_client,
        check=check_frame,
        clock=lambda: datetime.now(UTC),
    )
    for problem in outcome.problems:
        log.warning("%s", problem)
    raise_if_worth_a_retry(outcome, datetime.now(UTC))
    return {"published": outcome.published, "rows": int(outcome.rows)}


def raise_if_worth_a_retry(outcome: "ShardOutcome", now: datetime) -> None:
    """Permanent failures do not fail the task: its other properties are done, and `report` tells of them."""
    reasons = " ".join(outcome.problems[:3])
    if outcome.retryable:
        raise SourceUnavailable(f"{outcome.retryable} requests failed that may succeed later. {reasons}")
    if outcome.retry_at is not None and outcome.retry_at - now <= LONGEST_WAIT:
        raise QuotaExhausted(f"{outcome.parked} requests wait for quota. {reasons}", outcome.retry_at)


def emit_asset_event(context: Any) -> dict[str, Any]:
    """Tell downstream DAGs once what is new; skipped if nothing is."""
    from steadfast.ga4.outcome import summarise_run
    from steadfast.warehouse.connect import connect, translate_errors

    with connect(warehouse_url(), autocommit=True) as connection, translate_errors():
        state = _read_state(connection, context)
        if state is None:
            raise AirflowSkipException("The run was not planned, so nothing was published.")
        summary = summarise_run(connection, state.run_id, state.partition_on)
    if not summary.partitions:
        raise AirflowSkipException("No partition was published.")
    partition = str(summary.partition_on)
    extra = {
        "rows": int(summary.rows),
        "partition": partition,
        "partitions": summary.partitions,
        "run": summary.run_id,
    }
    event = context["outlet_events"][FACTS_GA4]
    event.extra.update(extra)
    # A run by hand has no partition key, and without one no downstream DAG would start.
    event.add_partitions(partition)
    return extra


def report_run(context: Any) -> dict[str, Any]:
    """Close the run; PermanentError with one sentence if anything is missing, so that the run is red."""
    from steadfast.alerts.run_messages import describe_gaps
    from steadfast.ga4.outcome import close_run
    from steadfast.orchestration.alarms import mail_leftovers
    from steadfast.warehouse.connect import connect, translate_errors

    with connect(warehouse_url(), autocommit=True) as connection, translate_errors():
        state = _read_state(connection, context)
        if state is None:
            raise PermanentError("The run was not planned; the log of the task plan says why.")
        summary = close_run(connection, state.run_id, datetime.now(UTC))
        mail_leftovers(connection)
    log.info("%s", summary)
    if state.gaps:
        raise PermanentError(describe_gaps(state))
    return {"properties": summary.properties, "rows": int(summary.rows), "partitions": summary.partitions}


def _read_state(connection: Any, context: Any) -> "RunState | None":
    from steadfast.alerts.run_state import read_run_state

    dag_run = context["dag_run"]
    return read_run_state(connection, dag_run.dag_id, dag_run.run_id)


def _open_client(connection_id: str) -> "Ga4Client":
    from steadfast.ga4.client import open_client

    return open_client(ga4_client_config(connection_id))
