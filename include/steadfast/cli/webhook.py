"""`steadfast webhook …`: find events, see why one was not loaded, mend and replay it, or give it up.

To add a command, write it here or in a file of its own that registers it below (`webhook_status`).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from steadfast.cli import webhook_status
from steadfast.cli.terminal import AsJson, current_actor, current_time, print_json, print_line, print_table
from steadfast.cli.warehouse_url import open_warehouse
from steadfast.cli.webhook_text import (
    Code,
    Entity,
    EventId,
    InboxId,
    IsAllDead,
    IsDryRun,
    PatchText,
    Reason,
    Since,
    Source,
    State,
    Type,
    Until,
    load_patch,
    make_visible,
    print_violations,
    require_choice,
    search_period,
    show_body,
)
from steadfast.errors import QualityError
from steadfast.webhooks.replaying.replay import ReplayReport, discard_events, replay_events
from steadfast.webhooks.replaying.search import EventFilter, EventStory, FoundEvent, search_events, show_event

app = typer.Typer(no_args_is_help=True, help="Events: search, show, replay, discard; contracts; status.")
MOST_REFUSED = 10
"""Shown on the terminal; --json has them all."""


@app.command()
def search(
    entity: Entity = None,
    source: Source = None,
    event_type: Type = None,
    state: State = None,
    reason: Reason = None,
    since: Since = None,
    until: Until = None,
    event_id: EventId = None,
    inbox_id: InboxId = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, the newest.")] = 50,
    has_body: Annotated[bool, typer.Option("--body", help="Show the bodies too.")] = False,
    as_json: AsJson = False,
) -> None:
    """List events, the newest first; over all states those of the last 7 days, unless --since says more."""
    wanted = EventFilter(entity, source, event_type, state, reason, since, until, event_id, inbox_id)
    with open_warehouse() as connection:
        found = search_events(connection, search_period(wanted), limit, has_body=has_body)
    if as_json:
        print_json([_as_plain(event) for event in found])
        return
    titles = ("inbox id", "received", "entity", "source", "type", "event id", "state", "reason")
    rows = [_show_row(event, has_body) for event in found]
    print_table((*titles, "body") if has_body else titles, rows, empty="No event matches.")


@app.command()
def show(
    inbox_id: Annotated[int, typer.Argument(metavar="INBOX_ID", help="The number that a search shows.")],
    as_json: AsJson = False,
) -> None:
    """Show one event: its body, what its contract asks for in vain, its dead letter and its replays."""
    with open_warehouse() as connection:
        story = show_event(connection, inbox_id)
    if as_json:
        print_json(_as_plain(story))
    else:
        _print_story(story)


@app.command()
def replay(
    entity: Entity = None,
    source: Source = None,
    event_type: Type = None,
    state: State = None,
    reason: Reason = None,
    since: Since = None,
    until: Until = None,
    event_id: EventId = None,
    inbox_id: InboxId = None,
    patch: PatchText = None,
    is_all_dead: IsAllDead = False,
    is_dry_run: IsDryRun = False,
    as_json: AsJson = False,
) -> None:
    """Process events again, mended by a patch if one is given; without --state those that are dead."""
    wanted = EventFilter(entity, source, event_type, state, reason, since, until, event_id, inbox_id)
    wanted, operations = require_choice(wanted, is_all_dead), load_patch(patch)
    with _open_for_batches() as connection, _show_bar("Replaying") as advance:
        report = replay_events(
            connection,
            wanted,
            patch=operations,
            is_dry_run=is_dry_run,
            actor=current_actor(),
            now=current_time(),
            on_progress=advance,
        )
    _print_report(report, "replayed", is_dry_run=is_dry_run, as_json=as_json)
    if not (is_dry_run or as_json) and report.replayed_count:
        print_line(
            "The next run of webhook_ingest processes them; a search by --state dead shows what fails."
        )
    if report.refused and not is_dry_run:
        count = len(report.refused)
        raise QualityError("1 event stays as it was." if count == 1 else f"{count} events stay as they were.")


@app.command()
def discard(
    because: Annotated[str, typer.Option("--reason", help="Why nobody will miss them, in your words.")],
    entity: Entity = None,
    source: Source = None,
    event_type: Type = None,
    code: Code = None,
    since: Since = None,
    until: Until = None,
    event_id: EventId = None,
    inbox_id: InboxId = None,
    is_all_dead: IsAllDead = False,
    is_dry_run: IsDryRun = False,
    as_json: AsJson = False,
) -> None:
    """Give up dead letters; their bodies stay, and `replay --state discarded` brings them back."""
    if because.isidentifier() and "_" in because:
        raise typer.BadParameter(f"--reason says why; to choose by {because}, write --code {because}.")
    wanted = EventFilter(entity, source, event_type, None, code, since, until, event_id, inbox_id)
    wanted = require_choice(wanted, is_all_dead)
    with _open_for_batches() as connection, _show_bar("Discarding") as advance:
        report = discard_events(
            connection,
            wanted,
            because=because,
            is_dry_run=is_dry_run,
            actor=current_actor(),
            now=current_time(),
            on_progress=advance,
        )
    _print_report(report, "discarded", is_dry_run=is_dry_run, as_json=as_json)


webhook_status.register(app)


@contextmanager
def _open_for_batches() -> Iterator[Any]:
    with open_warehouse() as connection:
        connection.autocommit = True
        yield connection


@contextmanager
def _show_bar(text: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr; a pipe sees nothing."""
    console = Console(stderr=True)
    columns = (TextColumn(text), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(text, total=None)
        yield lambda seen, total: bar.update(task, completed=seen, total=total)


def _show_row(event: FoundEvent, has_body: bool) -> list[Any]:
    *cells, body = vars(event).values()
    return [*cells, body and show_body(body)] if has_body else cells


def _as_plain(record: Any) -> dict[str, Any]:
    """For JSON, in which a body is the text that it holds."""
    plain = asdict(record)
    body = plain["body"]
    return plain | {"body": body if body is None else body.decode("utf-8", errors="backslashreplace")}


def _print_story(story: EventStory) -> None:
    rows = [
        ("inbox id", story.inbox_id),
        ("received", story.received_at),
        ("from", f"{story.entity} / {story.source}, by {story.origin}"),
        ("type", f"{story.event_type or 'none that is known'}, version {story.schema_version}"),
        ("event id", story.event_id),
        ("state", story.state),
        ("text", "storable" if story.is_text_ok else "holds \\u0000 or half of a surrogate pair"),
    ]
    letter = story.dead_letter
    if letter:
        rows += [
            ("failed", letter.failed_at),
            ("reason", f"{letter.reason}{f' (SQLSTATE {letter.sqlstate})' if letter.sqlstate else ''}"),
            ("detail", make_visible(letter.detail)),
            (
                "settled",
                f"{letter.settled_at:%Y-%m-%d %H:%M} by {letter.settled_by}" if letter.settled_at else None,
            ),
            ("replayed as", letter.replayed_as),
        ]
    print_table(("event", ""), rows, empty="")
    print_line("\nBody", "bold")
    print_line(show_body(story.body))
    print_line("\nContract", "bold")
    print_violations(story.event_type, story.schema_version, story.body, story.received_at)
    if len(story.replays) > 1:
        print_line("\nReplays", "bold")
        steps = [(step.inbox_id, step.replay_of, step.received_at, step.state) for step in story.replays]
        print_table(("inbox id", "replay of", "received", "state"), steps, empty="")


def _print_report(report: ReplayReport, done: str, *, is_dry_run: bool, as_json: bool) -> None:
    if as_json:
        print_json(_report_as_plain(report))
        return
    would = "would be " if is_dry_run else ""
    match = "1 event matches" if report.matched_count == 1 else f"{report.matched_count} events match"
    print_line(
        f"Request {report.request_id}: {match}; {would}{done}: {report.replayed_count}, "
        f"{would}left as they are: {len(report.refused)}."
    )
    if report.refused:
        rows = [(each.inbox_id, make_visible(each.reason)) for each in report.refused[:MOST_REFUSED]]
        print_table(("inbox id", "why it stays"), rows, empty="")
    for preview in report.previews:
        print_line(f"\n{preview.inbox_id}", "bold")
        print_line(f"  before {show_body(preview.before)}")
        if preview.after and preview.after.envelope:
            envelope = preview.after.envelope
            print_line(f"  after  {show_body(preview.after.body)}")
            print_violations(envelope.event_type, envelope.schema_version, preview.after.body)
        elif preview.after:
            print_line(f"  stays: {make_visible(preview.after.reason)}", "red")


def _report_as_plain(report: ReplayReport) -> dict[str, Any]:
    previews = [
        {
            "inbox_id": preview.inbox_id,
            "before": preview.before.decode("utf-8", errors="backslashreplace"),
            "after": preview.after.body.decode() if preview.after and preview.after.envelope else None,
        }
        for preview in report.previews
    ]
    return asdict(report) | {"refused": [asdict(each) for each in report.refused], "previews": previews}
