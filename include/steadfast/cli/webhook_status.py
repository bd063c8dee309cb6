"""`steadfast webhook status` and `contract`: what waits and what failed; what events must look like.

To show one more thing, add a query to sql/queries/webhook_replay.sql and a row to SECTIONS.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer
from psycopg import Connection
from psycopg.rows import dict_row

from steadfast.cli.terminal import AsJson, current_time, print_json, print_line, print_table
from steadfast.cli.warehouse_url import open_warehouse
from steadfast.cli.webhook_text import make_visible
from steadfast.entities.input_checks import suggest
from steadfast.errors import ConfigError
from steadfast.webhooks.contract import EventType
from steadfast.webhooks.events import EVENTS
from steadfast.webhooks.replaying.search import compose_query, find_waiting_floor, list_entity_ids

MOST_ROWS = 50
"""Of each section; a program that wants more reads the tables."""
LOOK_BACK = timedelta(days=1)


@dataclass(frozen=True)
class Section:
    """A part of the answer: the query it comes from and what it says if there is nothing."""

    query: str
    title: str
    empty: str


SECTIONS = (
    Section("waiting_events", "Waiting to be processed", "No event waits."),
    Section("unfinished_chunks", "Planned and not done", "Every planned chunk is done."),
    Section("dead_letters", "Dead letters", "There is no dead letter."),
    Section("recent_traffic", "Answers of the last 24 hours", "No request came in the last 24 hours."),
)


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command()(status)
    app.command()(contract)


def status(
    entity: Annotated[str | None, typer.Option("--entity", help="Only this entity.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what waits and since when, what could not be processed, and what sources were answered."""
    with open_warehouse() as connection:
        found = _read_sections(connection, entity, current_time())
    if as_json:
        print_json(found)
        return
    for section in SECTIONS:
        rows = found[section.query]
        print_line(section.title, "bold")
        titles = [name.removesuffix("_at").replace("_", " ") for name in rows[0]] if rows else []
        cells = [[_show_cell(cell) for cell in row.values()] for row in rows]
        print_table(titles, cells, empty=section.empty)
        print_line("")


def contract(
    name: Annotated[str | None, typer.Argument(metavar="[TYPE]", help="A type, such as order.")] = None,
    version: Annotated[int | None, typer.Option(help="Without it, the newest.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the event types, or show what an event of one must look like, with an example to paste."""
    if name is None:
        _list_types(as_json)
        return
    event_type = _find_type(name, version)
    shown = {"schema": event_type.json_schema(), "example": make_example(event_type, current_time())}
    if as_json:
        print_json(shown)
        return
    print_line(f"{event_type.title}: {name}, version {event_type.version}, in facts.fact_{name}", "bold")
    print_line(f"One row for each {', '.join(event_type.key)} of a source; the newest event wins.\n")
    for title, part in (("JSON Schema", shown["schema"]), ("Example", shown["example"])):
        print_line(title, "bold")
        print_json(part)
        print_line("")


def make_example(event_type: EventType, now: datetime) -> dict[str, Any]:
    """An event that a source may send now."""
    return {
        "type": event_type.name,
        "version": event_type.version,
        "timestamp": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "data": event_type.example_on(now.date()),
    }


def _read_sections(
    connection: Connection[Any], entity: str | None, now: datetime
) -> dict[str, list[dict[str, Any]]]:
    bound = {
        "entity_ids": list_entity_ids(connection, entity),
        "is_everyone": entity is None,
        "floor": find_waiting_floor(connection),
        "now": now,
        "since": now - LOOK_BACK,
        "limit": MOST_ROWS,
    }
    with connection.cursor(row_factory=dict_row) as cursor:
        return {
            section.query: cursor.execute(compose_query(section.query), bound).fetchall()
            for section in SECTIONS
        }


def _list_types(as_json: bool) -> None:
    rows = [
        {
            "type": event.name,
            "version": event.version,
            "title": event.title,
            "key": list(event.key),
            "table": f"facts.{event.table.name}",
        }
        for event in EVENTS.values()
    ]
    if as_json:
        print_json(rows)
        return
    print_table(list(rows[0]), [list(row.values()) for row in rows], empty="")
    print_line("\n`steadfast webhook contract TYPE` shows what one must look like.")


def _find_type(name: str, version: int | None) -> EventType:
    versions = [known for known_name, known in EVENTS if known_name == name]
    if not versions:
        names = {known_name for known_name, _ in EVENTS}
        raise ConfigError(f"There is no event type {name!r}{suggest(name, names)} Valid are {_join(names)}.")
    if version is not None and version not in versions:
        raise ConfigError(f"{name} has no version {version}; valid are {_join(map(str, versions))}.")
    return EVENTS[name, version or max(versions)]


def _join(names: Any) -> str:
    return ", ".join(sorted(names))


def _show_cell(cell: Any) -> Any:
    return make_visible(cell) if isinstance(cell, str) else cell
