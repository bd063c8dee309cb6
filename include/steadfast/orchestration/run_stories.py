"""How each DAG tells of a run that fails or is late: what to read, in which words, how often.

To give a DAG words of its own, add a story to STORIES; without one a run is told like a sync of properties.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from psycopg import Connection

from steadfast.alerts.run_messages import RunIdentity, describe_delay, describe_failure, describe_outage
from steadfast.alerts.run_state import RunState, read_run_state
from steadfast.alerts.signals import Signal

if TYPE_CHECKING:
    from steadfast.webhooks.watching.run_messages import IngestRun

WEBHOOK_INGEST = "webhook_ingest"


@dataclass(frozen=True)
class Lateness:
    """When a run should have been over, and since when it waits or works."""

    deadline: datetime
    queued_at: datetime | None


class RunStory(Protocol):
    """What alarms ask of a DAG; the signal's key says how often the same problem is told."""

    def name_run(self, run_after: datetime) -> str:
        """What a run without a partition key stands for."""
        ...

    def tell_failure(self, connection: Connection, run: RunIdentity, reason: str, now: datetime) -> Signal:
        """The signal of a red run; `reason` is Airflow's."""
        ...

    def tell_delay(
        self, connection: Connection, run: RunIdentity, lateness: Lateness, now: datetime
    ) -> Signal:
        """The signal of a late run."""
        ...

    def tell_outage(self, run: RunIdentity, what: str, trouble: str, now: datetime) -> Signal:
        """The signal of a run that `what` befell while the warehouse cannot be asked."""
        ...


class SyncStory:
    """A run that fetches properties, one a day: every run is a problem of its own."""

    def name_run(self, run_after: datetime) -> str:
        """The day before, whose numbers a daily run fetches."""
        return str(run_after.date() - timedelta(days=1))

    def tell_failure(self, connection: Connection, run: RunIdentity, reason: str, now: datetime) -> Signal:
        """Which properties lack what."""
        named, state = _read_sync(connection, run)
        return describe_failure(named, state, reason)

    def tell_delay(
        self, connection: Connection, run: RunIdentity, lateness: Lateness, now: datetime
    ) -> Signal:
        """Which properties are not done."""
        named, state = _read_sync(connection, run)
        return describe_delay(named, state, lateness.deadline, lateness.queued_at, now)

    def tell_outage(self, run: RunIdentity, what: str, trouble: str, now: datetime) -> Signal:
        """Once a run."""
        return describe_outage(run, what, trouble)


class IngestStory:
    """A run that processes what waits, every few minutes: a problem lasts longer than a run."""

    def name_run(self, run_after: datetime) -> str:
        """Its minute: days mean nothing here."""
        return f"{run_after:%Y-%m-%d %H:%M}"

    def tell_failure(self, connection: Connection, run: RunIdentity, reason: str, now: datetime) -> Signal:
        """How many events wait, since when and why."""
        from steadfast.webhooks.watching.run_messages import describe_failed_run

        return describe_failed_run(_read_ingest(connection, run, now), reason, now)

    def tell_delay(
        self, connection: Connection, run: RunIdentity, lateness: Lateness, now: datetime
    ) -> Signal:
        """What waits meanwhile."""
        from steadfast.webhooks.watching.run_messages import describe_late_run

        return describe_late_run(_read_ingest(connection, run, now), lateness.deadline, now)

    def tell_outage(self, run: RunIdentity, what: str, trouble: str, now: datetime) -> Signal:
        """Once until a run reaches it again."""
        from steadfast.webhooks.watching.run_messages import describe_ingest_outage

        return describe_ingest_outage(run.dag_id, run.title, run.link, trouble)


STORIES: dict[str, RunStory] = {WEBHOOK_INGEST: IngestStory()}
_USUAL = SyncStory()


def find_story(dag_id: str) -> RunStory:
    """How that DAG tells of its runs."""
    return STORIES.get(dag_id, _USUAL)


def _read_sync(connection: Connection, run: RunIdentity) -> tuple[RunIdentity, RunState | None]:
    state = read_run_state(connection, run.dag_id, run.airflow_run_id)
    if state is None or state.partition_on is None:
        return run, state
    return replace(run, partition=str(state.partition_on)), state


def _read_ingest(connection: Connection, run: RunIdentity, now: datetime) -> "IngestRun":
    from steadfast.webhooks.applying.outcome import (
        find_last_good_run,
        find_run,
        list_failing_chunks,
        read_backlog,
    )
    from steadfast.webhooks.watching.run_messages import IngestRun
    from steadfast.webhooks.watching.telling import QUIET_AFTER_TOLD, list_told

    return IngestRun(
        title=run.title,
        dag_id=run.dag_id,
        airflow_run_id=run.airflow_run_id,
        link=run.link,
        is_claimed=find_run(connection, run.dag_id, run.airflow_run_id) is not None,
        last_good_at=find_last_good_run(connection, run.dag_id),
        backlog=read_backlog(connection),
        failing=list_failing_chunks(connection),
        told_lately=list_told(connection, f"{run.dag_id}:", now - QUIET_AFTER_TOLD),
    )
