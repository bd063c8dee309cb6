"""A run that fails or is late: one signal a problem, recorded, then mailed.

Airflow may call twice, late, or for a run that is over already; the signal's key and the checks here
make one mail of it. A warehouse that is down is itself a reason to mail, then without a record.
"""

import logging
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import Connection

from steadfast.alerts.mail import deliver_signals, parse_recipients, send_signal
from steadfast.alerts.run_messages import RunIdentity, identify_run
from steadfast.alerts.signals import Signal, is_recorded, record_signal
from steadfast.errors import SteadfastError
from steadfast.orchestration.connections import mail_server, warehouse_url
from steadfast.orchestration.run_stories import Lateness, find_story
from steadfast.orchestration.told_alarms import forget_told, is_first_told
from steadfast.settings import Settings, load_settings
from steadfast.warehouse.connect import connect

log = logging.getLogger(__name__)


def tell_of_failure(context: Mapping[str, Any]) -> None:
    """Record and mail that a run failed; `context` is that of a DAG's failure callback."""
    settings, now = load_settings(), datetime.now(UTC)
    dag_run = context.get("dag_run")
    key, run_after = getattr(dag_run, "partition_key", None), getattr(dag_run, "run_after", None)
    run = _identify(settings, context["dag"].dag_id, str(context["run_id"]), key, run_after)
    story = find_story(run.dag_id)

    def describe(connection: Connection) -> Signal:
        return story.tell_failure(connection, run, str(context.get("reason") or ""), now)

    _alarm(settings, now, describe, lambda trouble: story.tell_outage(run, "the run failed", trouble, now))


def tell_of_delay(context: Mapping[str, Any]) -> None:
    """Record and mail that a run is late; `context` holds the deadline and the run in its REST shape."""
    settings, now = load_settings(), datetime.now(UTC)
    dag_run = context["dag_run"]
    key, run_after = dag_run.get("partition_key"), _read_moment(dag_run.get("run_after"))
    run = _identify(settings, dag_run["dag_id"], dag_run["dag_run_id"], key, run_after)
    story = find_story(run.dag_id)
    if is_no_delay(dag_run):
        log.info("%s missed its deadline, which is no news", run.title)
        return

    def describe(connection: Connection) -> Signal | None:
        if dag_run.get("state") == "failed" and is_recorded(
            connection, story.tell_failure(connection, run, "", now).dedup_key
        ):
            return None
        deadline = _read_moment(context["deadline"]["deadline_time"]) or now
        lateness = Lateness(deadline, _read_moment(dag_run.get("queued_at")))
        return story.tell_delay(connection, run, lateness, now)

    _alarm(settings, now, describe, lambda trouble: story.tell_outage(run, "the run is late", trouble, now))


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
    if not recipients or not is_first_told(settings.state, signal.dedup_key, now):
        return
    try:
        send_signal(mail_server(), signal, settings.mail_from, recipients, now)
    except SteadfastError:
        forget_told(settings.state, signal.dedup_key)
        raise


def _identify(
    settings: Settings, dag_id: str, airflow_run_id: str, key: str | None, run_after: datetime | None
) -> RunIdentity:
    name = key or (find_story(dag_id).name_run(run_after) if run_after else airflow_run_id)
    return identify_run(settings.base_url, dag_id, airflow_run_id, name)


def _read_moment(value: Any) -> datetime | None:
    # Airflow hands over the REST shape of a run: texts, but the deadline's own time may still be a datetime.
    if value is None or isinstance(value, datetime):
        return value
    return datetime.fromisoformat(str(value)).astimezone(UTC)
