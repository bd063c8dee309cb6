"""What the commands about events share: the options that choose some, and how an event is shown.

Bodies come from outside: whatever could steer a terminal is shown as an escape.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from steadfast.cli.terminal import current_time, print_line
from steadfast.webhooks.replaying.mend import read_patch
from steadfast.webhooks.replaying.search import STATES, EventFilter, describe_violations


def read_moment(text: str) -> datetime:
    """Read a date or a time as ISO 8601 writes it; without a zone it is in UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} is no time; write 2026-11-24, 2026-11-24T10:00 or 2026-11-24T10:00:00Z."
        ) from error
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


Moment = typer.Option(parser=read_moment, metavar="TIME")
Entity = Annotated[str | None, typer.Option("--entity", help="Only events of this entity.")]
Source = Annotated[str | None, typer.Option("--source", help="Only events of sources with this short name.")]
Type = Annotated[str | None, typer.Option("--type", help="Only events of this type.")]
State = Annotated[str | None, typer.Option("--state", help=f"One of {', '.join(STATES)}.")]
Reason = Annotated[
    str | None,
    typer.Option("--reason", "--code", help="Only dead letters with this code, such as bad_field."),
]
Code = Annotated[
    str | None, typer.Option("--code", help="Only dead letters with this code, such as bad_field.")
]
Since = Annotated[
    datetime | None,
    typer.Option("--since", parser=read_moment, metavar="TIME", help="Received at or after this time (UTC)."),
]
Until = Annotated[
    datetime | None,
    typer.Option("--until", parser=read_moment, metavar="TIME", help="Received before this time (UTC)."),
]
EventId = Annotated[str | None, typer.Option("--event-id", help="Only events with this id of their sender.")]
InboxId = Annotated[int | None, typer.Option("--inbox-id", help="Only the event with this number.")]
IsAllDead = Annotated[
    bool, typer.Option("--all-dead", help="Every dead letter, if nothing else says which are meant.")
]
IsDryRun = Annotated[
    bool, typer.Option("--dry-run", help="Only show what would happen, with the first 5 events.")
]
PatchText = Annotated[
    str | None,
    typer.Option(
        "--patch",
        metavar="JSON|@FILE",
        help="Mend each event first: a JSON Patch (RFC 6902), or @ and the name of a file that holds one.",
    ),
]


def require_choice(wanted: EventFilter, is_all_dead: bool) -> EventFilter:
    """Refuse a filter that would match everything, unless that was said."""
    if wanted.names_something:
        return wanted
    if not is_all_dead:
        raise typer.BadParameter(
            "nothing says which events are meant: name an entity, a source, a type, a reason, a time, an id,"
            " or --all-dead for every dead letter."
        )
    if wanted.state not in (None, "dead"):
        raise typer.BadParameter(
            f"--all-dead is about dead letters, not about those that are {wanted.state}."
        )
    return wanted


def load_patch(given: str | None) -> list[Any] | None:
    """Read the patch of the command line, or of the file that it names."""
    if given is None:
        return None
    if not given.startswith("@"):
        return read_patch(given)
    try:
        return read_patch(Path(given[1:]).read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{given[1:]} cannot be read: {error}.", param_hint="--patch") from error


def show_body(body: bytes) -> str:
    """A body as text that no terminal obeys."""
    return make_visible(body.decode("utf-8", errors="backslashreplace"))


def make_visible(text: str) -> str:
    """Escape what is not printable: control characters, marks that turn text around, line breaks."""
    return "".join(sign if sign.isprintable() else _escape(sign) for sign in text)


def print_violations(
    event_type: str | None, version: int, body: bytes, received_at: datetime | None = None
) -> None:
    """Say whether an event keeps its contract; without a time of receipt, as if it were received now."""
    violations = describe_violations(event_type, version, body, received_at or current_time())
    for sentence in violations:
        print_line(f"  ✗ {make_visible(sentence)}", "red")
    if not violations:
        print_line("  ✓ keeps its contract", "green")


def search_period(wanted: EventFilter) -> EventFilter:
    """The filter of a search, which looks back a week unless told otherwise."""
    return wanted.limit_period(current_time())


def _escape(sign: str) -> str:
    code = ord(sign)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
