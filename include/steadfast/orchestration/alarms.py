"""A run that fails or is late: one signal a problem, recorded, then mailed.

Airflow may call twice, late, or for a run that is over already; the signal's key and the checks here
make one mail of it. A warehouse that is down is itself a reason to mail, then without a record.
"""

import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg import Connection

from steadfast.alerts.mail import deliver_signals, parse_recipients, send_signal
from steadfast.alerts.run_messages import (
    RunIdentity,
    describe_delay,
    describe_failure,
    describe_outage,
    failure_key,
    identify_run,
)
from steadfast.alerts.run_state import RunState, read_run_state
from steadfast.alerts.signals import Signal, is_recorded, record_signal
from steadfast.errors import SteadfastError
from steadfast.orchestration.connections import mail_server, warehouse_url
from steadfast.settings import Settings, load_settings
from steadfast.warehouse.connect import connect

log = logging.getLogger(__name__)


def tell_of_failure(context: Mapping[str, Any]) -> None:
    """Record and mail that a run failed; `context` is that of a DAG's failure callback."""
    settings, now = load_settings(), datetime.now(UTC)
    dag_run = context.get("dag_run")
    key, run_after = getattr(dag_run, "partition_key", None), getattr(dag_run, "run_after", None)
    run = _identify(settings, context["dag"].dag_id, str(context["run_id"]), key, run_after)

    def describe(connection: Connection) -> Signal:
        named, state = _read_state(connection, run)
        return describe_failure(named, state, str(context.get("reason") or ""))

    _alarm(settings, now, describe, lambda trouble: describe_outage(run, "the run failed", trouble))


def tell_of_delay(context: Mapping[str, Any]) -> None:
    """Record and mail that a run is late; `context` holds the deadline and the run in its REST shape."""
    settings, now = load_settings(), datetime.now(UTC)
    dag_run = context["dag_run"]
    key, run_after = dag_run.get("partition_key"), _read_moment(dag_run.get("run_after"))
    run = _identify(settings, dag_run["dag_id"], dag_run["dag_run_id"], key, run_after)
    if is_no_delay(dag_run):
        log.info("%s missed its deadline, which is no news", run.title)
        return

    def describe(connection: Connection) -> Signal | None:
        if dag_run.get("state") == "failed" and is_recorded(
            connection, failure_key(run.dag_id, run.airflow_run_id)
        ):
            return None
        deadline = _read_moment(context["deadline"]["deadline_time"]) or now
        named, state = _read_state(connection, run)
        return describe_delay(named, state, deadline, _read_moment(dag_run.get("queued_at")), now)

    _alarm(settings, now, describe, lambda trouble: describe_outage(run, "the run is late", trouble))


def is_no_delay(dag_run: Mapping[str, Any]) -> bool:
    """Tell whether a missed deadline says nothing: the run is done, or waits its turn in a backfill."""
    return dag_run.get("state") == "success" or dag_run.get("run_type") == "backfill"


def mail_leftovers(connection: Connection) -> None:
    """Mail what an earlier delivery left waiting; a mail server that is down still leaves it waiting."""
    settings = load_settings()
    try:
        _deliver(settings, connection, datetime.now(UTC))
    except SteadfastError:
        log.exception("Alarms are recorded, but could not be mailed; the next run tries again")


def _alarm(
    settings: Settings,
    now: datetime,
    describe: Callable[[Connection], Signal | None],
    describe_blindly: Callable[[str], Signal],
) -> None:
    with ExitStack() as resources:
        try:
            connection = resources.enter_context(
                connect(warehouse_url(), autocommit=True, application="steadfast alarm")
            )
            signal = describe(connection)
            if signal is not None and record_signal(connection, signal, now):
                log.warning("%s", signal.subject)
        except (SteadfastError, psycopg.Error) as error:
            log.exception("The warehouse cannot record this alarm; it is mailed without a record")
            _mail_unrecorded(settings, describe_blindly(str(error)), now)
        else:
            _deliver(settings, connection, now)


def _deliver(settings: Settings, connection: Connection, now: datetime) -> None:
    recipients = parse_recipients(settings.mail_to)
    if not recipients:
        log.warning("STEADFAST_MAIL_TO is empty: alarms are recorded, not mailed")
        return
    deliver_signals(connection, mail_server(), settings.mail_from, recipients, now)


def _mail_unrecorded(settings: Settings, signal: Signal, now: datetime) -> None:
    log.warning("%s", signal.subject)
    recipients = parse_recipients(settings.mail_to)
    if recipients:
        send_signal(mail_server(), signal, settings.mail_from, recipients, now)


def _identify(
    settings: Settings, dag_id: str, airflow_run_id: str, key: str | None, run_after: datetime | None
) -> RunIdentity:
    day_before = str(run_after.date() - timedelta(days=1)) if run_after else airflow_run_id
    return identify_run(settings.base_url, dag_id, airflow_run_id, key or day_before)


def _read_state(connection: Connection, run: RunIdentity) -> tuple[RunIdentity, RunState | None]:
    state = read_run_state(connection, run.dag_id, run.airflow_run_id)
    if state is None or state.partition_on is None:
        return run, state
    return replace(run, partition=str(state.partition_on)), state


def _read_moment(value: Any) -> datetime | None:
    # Airflow hands over the REST shape of a run: texts, but the deadline's own time may still be a datetime.
    if value is None or isinstance(value, datetime):
        return value
    return datetime.fromisoformat(str(value)).astimezone(UTC)
