"""What the task of `webhook_replay` does: the form in, events replayed by the core, counts back.

Heavy imports are inside the functions: the DAG file imports this module whenever it is parsed.
"""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from steadfast.errors import ConfigError, QualityError
from steadfast.orchestration.connections import warehouse_url

if TYPE_CHECKING:
    from steadfast.webhooks.replaying.replay import ReplayReport
    from steadfast.webhooks.replaying.search import EventFilter

log = logging.getLogger(__name__)
MOST_NAMED = 10
"""Refused events in the log; the others keep their dead letter, where they are found."""


def replay_by_form(context: Any) -> dict[str, int]:
    """Replay what the form asks for; QualityError if some events stay as they were."""
    from steadfast.warehouse.connect import connect, translate_errors
    from steadfast.webhooks.replaying.mend import read_patch
    from steadfast.webhooks.replaying.replay import replay_events

    params = dict(context["params"])
    wanted, is_dry_run = read_filter(params), params["is_dry_run"]
    patch = read_patch(params["patch"]) if params["patch"] else None
    with connect(warehouse_url(), autocommit=True) as connection, translate_errors():
        report = replay_events(
            connection,
            wanted,
            patch=patch,
            is_dry_run=is_dry_run,
            actor=name_actor(context["dag_run"]),
            now=datetime.now(UTC),
            airflow_run_id=context["dag_run"].run_id,
            on_progress=lambda seen, matched: log.info("%d of %d events", seen, matched),
        )
    _log_report(report, is_dry_run)
    if report.refused and not is_dry_run:
        raise QualityError(
            f"{len(report.refused)} of {report.matched_count} events stay as they were. "
            f"Event {report.refused[0].inbox_id}: {report.refused[0].reason}."
        )
    return {
        "request_id": report.request_id,
        "matched": report.matched_count,
        "replayed": report.replayed_count,
        "refused": len(report.refused),
    }


def read_filter(params: Mapping[str, Any]) -> "EventFilter":
    """The filter that the form describes; ConfigError if it names nothing."""
    from steadfast.webhooks.replaying.search import EventFilter

    names = ("entity", "source", "event_type", "state", "reason", "event_id")
    wanted = EventFilter(
        **{name: params[name] or None for name in names},
        since=_read_moment(params["since"]),
        until=_read_moment(params["until"]),
    )
    if not wanted.names_something:
        raise ConfigError(
            "The form does not say which events are meant: name an entity, a source, a type, a reason, a "
            "time or an id. For every dead letter there is, run `steadfast webhook replay --all-dead`."
        )
    return wanted


def name_actor(dag_run: Any) -> str:
    """Who is on record: the person who filled in the form, else the run."""
    return f"airflow:{getattr(dag_run, 'triggering_user_name', None) or dag_run.run_id}"


def _read_moment(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"{text!r} is no time; write it as 2026-11-24T10:00:00+00:00.") from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _log_report(report: "ReplayReport", is_dry_run: bool) -> None:
    log.info(
        "Request %d%s: %d events match, replayed %d, left as they are %d",
        report.request_id,
        ", a dry run in which nothing was changed" if is_dry_run else "",
        report.matched_count,
        report.replayed_count,
        len(report.refused),
    )
    for refused in report.refused[:MOST_NAMED]:
        log.warning("Event %d stays as it is: %s", refused.inbox_id, refused.reason)
    _log_previews(report)


def _log_previews(report: "ReplayReport") -> None:
    """Say of the first events whether they would keep their contract; a log must not hold their bodies."""
    from steadfast.webhooks.replaying.search import describe_violations

    now = datetime.now(UTC)
    for preview in report.previews:
        if preview.after and preview.after.envelope:
            envelope = preview.after.envelope
            left = describe_violations(envelope.event_type, envelope.schema_version, preview.after.body, now)
            verdict = " ".join(left) or "it keeps its contract"
            log.info("Event %d would be mended; then: %s", preview.inbox_id, verdict)
