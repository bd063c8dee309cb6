"""Alarms about a run, written for tired people: what is wrong, what is affected, what to do, where to look.

Pure: facts in, signal out. Its key decides that a run has one failure and one lateness, however often told.
"""

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from urllib.parse import quote

from steadfast.alerts.run_state import Gap, RunState
from steadfast.alerts.signals import Severity, Signal

PRODUCT = "Steadfast"
MOST_PROPERTIES = 12
LONGEST_REASON = 400
_WORDS = {
    "planned": "not fetched yet",
    "landed": "fetched, not published yet",
    "held": "held back by a quality check",
    "parked": "waiting for quota",
    "failed": "failed",
}


@dataclass(frozen=True)
class RunIdentity:
    """Which run of which DAG, as people call it, and where its page is."""

    dag_id: str
    airflow_run_id: str
    partition: str
    link: str

    @property
    def title(self) -> str:
        """`ga4_sync 2026-11-22`."""
        return f"{self.dag_id} {self.partition}"


def identify_run(base_url: str, dag_id: str, airflow_run_id: str, partition: str) -> RunIdentity:
    """Put the address of the run's page together."""
    link = f"{base_url.rstrip('/')}/dags/{quote(dag_id)}/runs/{quote(airflow_run_id, safe='')}"
    return RunIdentity(dag_id, airflow_run_id, partition, link)


def failure_key(dag_id: str, airflow_run_id: str) -> str:
    """The key of the one failure a run can have."""
    return f"{dag_id}:{airflow_run_id}:failed"


def describe_failure(run: RunIdentity, state: RunState | None, reason: str) -> Signal:
    """The signal of a run that ended red."""
    headline = _failure_headline(state)
    paragraphs = [
        f"{run.title}: {headline}.",
        f"What is affected\n{_describe_damage(state)}",
        *_list_gaps(state),
        f"What to do\n{_advise(state)}",
        f"Run {run.airflow_run_id}, Airflow says: {reason or 'failed'}.",
    ]
    return _write_failure(run, headline, paragraphs)


def describe_outage(run: RunIdentity, what: str, trouble: str) -> Signal:
    """The signal of a run that `what` befell while the warehouse, which knows more, cannot be asked."""
    headline = f"{what}, and the warehouse cannot be asked"
    paragraphs = [
        f"{run.title}: {headline}.",
        f"What is affected\n  Unknown, and dashboards may be down. {trouble}",
        "What to do\n  Bring PostgreSQL back, open the run and clear its red tasks: they continue.",
        f"Run {run.airflow_run_id}.",
    ]
    return _write_failure(run, headline, paragraphs)


def _write_failure(run: RunIdentity, headline: str, paragraphs: Sequence[str]) -> Signal:
    return Signal(
        dedup_key=failure_key(run.dag_id, run.airflow_run_id),
        kind="run_failed",
        severity=Severity.CRITICAL,
        subject=f"[{PRODUCT}] {run.title}: {headline}",
        body="\n\n".join(paragraphs),
        link=run.link,
    )


def describe_delay(
    run: RunIdentity, state: RunState | None, deadline: datetime, queued_at: datetime | None, now: datetime
) -> Signal:
    """The signal of a run that has missed its deadline."""
    missing = _missing_headline(state)
    paragraphs = [
        f"{run.title} is late: {missing}.",
        f"How late\n{_describe_lateness(deadline, queued_at, now)}",
        f"What is missing\n{_describe_progress(state)}",
        *_list_gaps(state),
        "What to do\n  Open the run: a task that waits shows when it tries again, and a red one says why.\n"
        "  If nothing moves, check that the scheduler and the warehouse run. A failure sends a mail.",
        f"Run {run.airflow_run_id}.",
    ]
    return Signal(
        dedup_key=f"{run.dag_id}:{run.airflow_run_id}:deadline:{deadline:%Y-%m-%dT%H:%M:%S}",
        kind="deadline_missed",
        severity=Severity.WARNING,
        subject=f"[{PRODUCT}] {run.title} is late: {missing}",
        body="\n\n".join(paragraphs),
        link=run.link,
    )


def describe_gaps(state: RunState) -> str:
    """Say in one sentence how much is missing, and the first reasons."""
    reasons = list(dict.fromkeys(gap.reason for gap in state.gaps if gap.reason))
    return " ".join([f"{_failure_headline(state)}.", *reasons[:3]])


def _failure_headline(state: RunState | None) -> str:
    if state is None:
        return "the run failed before it knew what to fetch"
    if not state.gaps:
        return "the run failed, but all its data is published"
    count = len(state.properties_in())
    failed, held = state.properties_in("failed"), state.properties_in("held")
    if failed:
        what = "failed or were held back" if held - failed else "failed"
    else:
        what = "were held back" if held else "are not finished"
    return f"{count} of {state.property_count} properties {what}"


def _missing_headline(state: RunState | None) -> str:
    if state is None:
        return "it has not started to fetch"
    if not state.gaps:
        return "all data is published, only the end is missing"
    return f"{len(state.properties_in())} of {state.property_count} properties missing"


def _describe_damage(state: RunState | None) -> str:
    if state is None:
        return "  Every property: nothing was fetched. The dashboards keep showing the last good numbers."
    if not state.gaps:
        return "  No numbers. A task after publishing failed; open the run to see which."
    complete = state.property_count - len(state.properties_in())
    return (
        f"  {complete} of {state.property_count} properties are complete and published. The others keep\n"
        "  showing their last good numbers."
    )


def _describe_progress(state: RunState | None) -> str:
    if state is None:
        return "  Everything: the run has not been planned, so no property has been fetched."
    complete = state.property_count - len(state.properties_in())
    return f"  {complete} of {state.property_count} properties are complete."


def _advise(state: RunState | None) -> str:
    if state is None:
        return (
            "  Open the run and read the log of its first red task. When the cause is gone, clear the run\n"
            "  (Clear, Clear existing tasks); it starts where it stopped."
        )
    if not state.gaps:
        return "  Open the run, read the log of the red task and clear it."
    return (
        "  Change what the sentences above ask for. The next scheduled run then fetches what is missing;\n"
        "  to have it at once, trigger the DAG for the entity. Failures without a request pass by themselves."
    )


def _describe_lateness(deadline: datetime, queued_at: datetime | None, now: datetime) -> str:
    late = max(int((now - deadline).total_seconds()), 0)
    text = f"  It had to be ready by {deadline:%Y-%m-%d %H:%M} UTC, {_spell_duration(late)} ago."
    if queued_at is None:
        return text
    return f"{text}\n  It was queued {_spell_duration(int((now - queued_at).total_seconds()))} ago."


def _spell_duration(seconds: int) -> str:
    if seconds < 120:
        return f"{seconds} seconds"
    hours, minutes = divmod(seconds // 60, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} minutes"


def _list_gaps(state: RunState | None) -> Iterator[str]:
    if state is None or not state.gaps:
        return
    by_property = [list(group) for _, group in groupby(state.gaps, key=lambda gap: gap.property_id)]
    lines = [_describe_property(gaps) for gaps in by_property[:MOST_PROPERTIES]]
    if len(by_property) > MOST_PROPERTIES:
        more = len(by_property) - MOST_PROPERTIES
        lines.append(f"  … and {more} more properties; ops.sync_item of run {state.run_id} has them all.")
    yield "\n".join(lines)


def _describe_property(gaps: Sequence[Gap]) -> str:
    first = gaps[0]
    name = f" ({first.display_name})" if first.display_name else ""
    return "\n".join([f"  {first.entity}: property {first.property_id}{name}", *map(_describe_gap, gaps)])


def _describe_gap(gap: Gap) -> str:
    days = f"{gap.start_on}" if gap.start_on == gap.end_on else f"{gap.start_on} to {gap.end_on}"
    until = f", next try after {gap.not_before:%Y-%m-%d %H:%M} UTC" if gap.not_before else ""
    line = f"    {_WORDS.get(gap.state, gap.state)}{until}: {', '.join(gap.reports)}; {days}"
    reason = textwrap.shorten(gap.reason, LONGEST_REASON, placeholder=" …")
    return f"{line}\n      {reason}" if reason else line
