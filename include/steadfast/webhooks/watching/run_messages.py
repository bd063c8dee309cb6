"""What ops read when a run of the ingest fails or is late: how many events wait, since when, what to do.

A run comes every few minutes, so the key names the problem and the last good run before it: a problem that
lasts is told once, one that comes back after a good run is told again, at most once an hour.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from steadfast.alerts.signals import Severity, Signal
from steadfast.webhooks.applying.outcome import Backlog, FailingChunk
from steadfast.webhooks.watching.telling import PRODUCT, count_of, key_lasting, spell_minutes, write_body

MOST_REASONS = 5


@dataclass(frozen=True)
class IngestRun:
    """Which run this is about, and how it stands."""

    title: str
    dag_id: str
    airflow_run_id: str
    link: str
    is_claimed: bool
    """Whether it came so far as to say what it works on."""
    last_good_at: datetime | None
    backlog: Backlog
    failing: Sequence[FailingChunk] = ()
    told_lately: Sequence[str] = ()
    """Keys of what was told of this DAG within `QUIET_AFTER_TOLD`, the newest first."""


def outage_key(dag_id: str) -> str:
    """The key of a warehouse that is away; whoever finds it back forgets that it was told."""
    return f"{dag_id}:outage"


def describe_failed_run(run: IngestRun, reason: str, now: datetime) -> Signal:
    """The signal of a run that ended red."""
    headline = f"{run.title}: {_headline(run, reason)}"
    sections = {
        "What is affected": _describe_waiting(run.backlog, now),
        "What failed": _list_reasons(run.failing),
        "What to do": _advise(run),
        f"Run {run.airflow_run_id}": f"Airflow says: {reason or 'failed'}. The next run goes on from there.",
    }
    return Signal(
        dedup_key=_key(run, f"failed:{_name_problem(run)}"),
        kind="run_failed",
        severity=Severity.CRITICAL,
        subject=f"[{PRODUCT}] {headline}",
        body=write_body(headline, sections),
        link=run.link,
    )


def describe_late_run(run: IngestRun, deadline: datetime, now: datetime) -> Signal:
    """The signal of a run that is not over when it should be."""
    late = spell_minutes(max((now - deadline).total_seconds(), 0) / 60)
    headline = f"{run.title}: the run takes too long"
    sections = {
        "How late": f"It had to be over by {deadline:%Y-%m-%d %H:%M} UTC, {late} ago. None starts beside it.",
        "What is affected": _describe_waiting(run.backlog, now),
        "What failed": _list_reasons(run.failing),
        "What to do": "Open the run and see which task is not done. It waits for a slot: is the scheduler "
        "busy with something else? It runs long: what does PostgreSQL do? A run that hangs is stopped.",
    }
    return Signal(
        dedup_key=_key(run, "late"),
        kind="deadline_missed",
        severity=Severity.WARNING,
        subject=f"[{PRODUCT}] {headline}",
        body=write_body(headline, sections),
        link=run.link,
    )


def describe_ingest_outage(dag_id: str, title: str, link: str, trouble: str) -> Signal:
    """The signal of a run that failed or hangs because the warehouse cannot be asked; one an outage."""
    headline = f"{title}: the warehouse is away, so webhooks are refused"
    sections = {
        "What is affected": "Receivers answer 503 and nothing is processed. n8n gives up after about 20 "
        "seconds; its failed executions are read back by themselves later, other senders must send again. "
        f"{trouble}",
        "What to do": "Bring PostgreSQL back. Nothing acknowledged is lost, and the next run goes on.",
    }
    return Signal(
        dedup_key=outage_key(dag_id),
        kind="run_failed",
        severity=Severity.CRITICAL,
        subject=f"[{PRODUCT}] {headline}",
        body=write_body(headline, sections),
        link=link,
    )


def describe_open_work(failing: Sequence[FailingChunk]) -> str:
    """One sentence about what could not be applied, and the first reason."""
    events = count_of(sum(chunk.event_count for chunk in failing), "event")
    return f"{events} in {count_of(len(failing), 'chunk')} could not be applied. {failing[0].error}"


def _headline(run: IngestRun, reason: str) -> str:
    if not run.is_claimed:
        return "the run failed before it knew what to process"
    if run.failing:
        return f"{count_of(sum(chunk.event_count for chunk in run.failing), 'event')} could not be applied"
    if reason == "timed_out":
        return "the run was stopped because it took too long"
    if run.backlog.chunk_count:
        return "the run failed and left events unprocessed"
    return "the run failed, but all events are applied"


def _name_problem(run: IngestRun) -> str:
    if run.failing:
        return "chunks"
    return "task" if run.is_claimed else "claim"


def _key(run: IngestRun, problem: str) -> str:
    return key_lasting(f"{run.dag_id}:{problem}", run.last_good_at, run.told_lately)


def _describe_waiting(backlog: Backlog, now: datetime) -> str:
    if not backlog.waiting_count or backlog.oldest_at is None:
        return "No events wait. Receivers go on."
    verb = "waits" if backlog.waiting_count == 1 else "wait"
    wait = spell_minutes((now - backlog.oldest_at).total_seconds() / 60)
    return (
        f"{count_of(backlog.waiting_count, 'event')} {verb}, the oldest since "
        f"{backlog.oldest_at:%Y-%m-%d %H:%M} UTC ({wait}). What is acknowledged is safe in the inbox, "
        "receivers go on, and dashboards lack these events until they are applied."
    )


def _list_reasons(failing: Sequence[FailingChunk]) -> str:
    lines = [f"{count_of(chunk.event_count, 'event')}: {chunk.error}" for chunk in failing[:MOST_REASONS]]
    if len(failing) > MOST_REASONS:
        lines.append(f"… and {len(failing) - MOST_REASONS} more chunks; ops.webhook_chunk has them all.")
    return "\n".join(lines)


def _advise(run: IngestRun) -> str:
    if run.failing:
        return (
            "Change what the sentences above ask for. Chunks are tried again by themselves, at the latest "
            "half an hour later."
        )
    return "Open the run and read the log of its first red task. If the cause is gone, the next run is green."
