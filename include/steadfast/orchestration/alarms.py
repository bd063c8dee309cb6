"""A run that fails or is late: one signal a problem, recorded, then mailed.

Airflow may call twice, late, or for a run that is over already; the signal's key and the checks here
make one mail of it. A warehouse that is down is itself a reason to mail, then without a record.
"""

import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg import Connection

from steadfast.alerts.mail import deliver_signals, parse_recipients, send_signal
from steadfast.alerts.run_messages import (
    RunIdentity,
    describe_delay,
    describe_failure,
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
    dag_id, airflow_run_id = context["dag"].dag_id, str(context["run_id"])
    dag_run = context.get("dag_run")
    key, run_after = getattr(dag_run, "partition_key", None), getattr(dag_run, "run_after", None)
    partition = _name_partition(key, run_after, airflow_run_id)
    reason = str(context.get("reason") or "")
    _alarm(
        settings,
        now,
        lambda connection: describe_failure(
            *_identify(settings, connection, dag_id, airflow_run_id, partition), reason
        ),
    )


def tell_of_delay(context: Mapping[str, Any]) -> None:
    """Record and mail that a run is late; `context` holds the deadline and the run in its REST shape."""
    settings, now = load_settings(), datetime.now(UTC)
    dag_run = context["dag_run"]
    dag_id, airflow_run_id = dag_run["dag_id"], dag_run["dag_run_id"]
    deadline = _read_moment(context["deadline"]["deadline_time"]) or now
    run_after = _read_moment(dag_run.get("run_after"))
    partition = _name_partition(dag_run.get("partition_key"), run_after, airflow_run_id)

    def describe(connection: Connection | None) -> Signal | None:
        if needs_no_delay_alarm(connection, dag_run):
            return None
        run, state = _identify(settings, connection, dag_id, airflow_run_id, partition)
        return describe_delay(run, state, deadline, _read_moment(dag_run.get("queued_at")), now)

    _alarm(settings, now, describe)


def needs_no_delay_alarm(connection: Connection | None, dag_run: Mapping[str, Any]) -> bool:
    """Tell whether a late run is no news: it is over, its failure is told, or somebody watches a backfill."""
    # The runs of a backfill wait for each other, so being late says nothing about them.
    if dag_run.get("state") == "success" or dag_run.get("run_type") == "backfill":
        return True
    if connection is None or dag_run.get("state") != "failed":
        return False
    return is_recorded(connection, failure_key(dag_run["dag_id"], dag_run["dag_run_id"]))


def mail_leftovers(connection: Connection) -> None:
    """Mail what an earlier delivery left waiting; a mail server that is down still leaves it waiting."""
    settings = load_settings()
    try:
        _deliver(settings, connection, datetime.now(UTC))
    except SteadfastError:
        log.exception("Alarms are recorded, but could not be mailed; the next run tries again")


def _alarm(settings: Settings, now: datetime, describe: Callable[[Connection | None], Signal | None]) -> None:
    with ExitStack() as resources:
        try:
            connection = resources.enter_context(
                connect(warehouse_url(), autocommit=True, application="steadfast alarm")
            )
            signal = describe(connection)
            if signal is not None and record_signal(connection, signal, now):
                log.warning("%s", signal.subject)
        except (SteadfastError, psycopg.Error):
            log.exception("The warehouse cannot record this alarm; it is mailed without a record")
            _mail_unrecorded(settings, describe(None), now)
        else:
            _deliver(settings, connection, now)


def _deliver(settings: Settings, connection: Connection, now: datetime) -> None:
    recipients = parse_recipients(settings.mail_to)
    if not recipients:
        log.warning("STEADFAST_MAIL_TO is empty: alarms are recorded, not mailed")
        return
    deliver_signals(connection, mail_server(), settings.mail_from, recipients, now)


def _mail_unrecorded(settings: Settings, signal: Signal | None, now: datetime) -> None:
    recipients = parse_recipients(settings.mail_to)
    if signal is None:
        return
    log.warning("%s", signal.subject)
    if recipients:
        send_signal(mail_server(), signal, settings.mail_from, recipients, now)


def _identify(
    settings: Settings, connection: Connection | None, dag_id: str, airflow_run_id: str, partition: str
) -> tuple[RunIdentity, RunState | None]:
    state = read_run_state(connection, dag_id, airflow_run_id) if connection else None
    if state is not None and state.partition_on is not None:
        partition = str(state.partition_on)
    return identify_run(settings.base_url, dag_id, airflow_run_id, partition), state


def _name_partition(key: str | None, run_after: datetime | None, fallback: str) -> str:
    if key or run_after is None:
        return key or fallback
    return str(run_after.date() - timedelta(days=1))


def _read_moment(value: Any) -> datetime | None:
    # Airflow hands over the REST shape of a run: texts, but the deadline's own time may still be a datetime.
    if value is None or isinstance(value, datetime):
        return value
    return datetime.fromisoformat(str(value)).astimezone(UTC)
