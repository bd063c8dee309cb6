"""`steadfast sync …`: what the last runs did, what waits and why, and landed pages once more.

To show one more thing, add a query to sql/queries/cli.sql and a row to SECTIONS.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any

import typer
from psycopg import Connection
from psycopg.rows import dict_row

from steadfast.cli.terminal import AsJson, current_actor, current_time, print_json, print_line, print_table
from steadfast.cli.warehouse_url import open_warehouse
from steadfast.entities.audit import record_audit
from steadfast.entities.businesses import show_entity
from steadfast.entities.input_checks import check_reports
from steadfast.entities.properties import show_property
from steadfast.errors import QualityError
from steadfast.ga4.guard import Replay
from steadfast.ga4.reports import REPORTS
from steadfast.ga4.windows import DateRange
from steadfast.warehouse.queries import load_queries

app = typer.Typer(no_args_is_help=True, help="The state of the syncing.")

MOST_ROWS = 50
"""Of each section; a program that wants more reads the tables."""
LOOK_BACK = timedelta(days=7)


@dataclass(frozen=True)
class Section:
    """A part of the answer: the query it comes from and what it says if there is nothing."""

    query: str
    title: str
    empty: str
    limit: int = MOST_ROWS


SECTIONS = (
    Section("last_runs", "Last runs", "No sync has run yet.", limit=5),
    Section("open_items", "Not published", "Everything the last runs asked for is published."),
    Section("held_partitions", "Held back (the last good day is still shown)", "No partition is held back."),
    Section("parked_properties", "Waiting for quota", "No property waits for its quota."),
    Section("blocked_reports", "Refused by GA4 until something is changed", "GA4 refuses no report."),
    Section("open_breakers", "Not asked for now", "No breaker is open."),
)


@app.callback()
def group() -> None:
    """The state of the syncing."""


@app.command()
def status(
    slug: Annotated[str | None, typer.Option("--entity", help="Only this entity.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show the last runs, their items by state, and what is held or parked and why."""
    with open_warehouse() as connection:
        entity_id = None if slug is None else show_entity(connection, slug).entity_id
        found = {section.query: _read(connection, section, entity_id) for section in SECTIONS}
    if as_json:
        print_json(found)
        return
    for section in SECTIONS:
        rows = found[section.query]
        print_line(section.title, "bold")
        titles = [name.removesuffix("_at").replace("_", " ") for name in rows[0]] if rows else []
        print_table(titles, [tuple(row.values()) for row in rows], empty=section.empty)
        print_line("")


@app.command()
def replay(
    property_id: Annotated[int, typer.Argument(help="Number of the GA4 property.", metavar="PROPERTY_ID")],
    start: Annotated[datetime, typer.Option("--from", formats=["%Y-%m-%d"], help="First day.")],
    end: Annotated[datetime, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day.")],
    report: Annotated[list[str] | None, typer.Option(help="Only this report; may be repeated.")] = None,
    accept: Annotated[
        bool, typer.Option("--accept", help="Publish also what was held back because it looked like a loss.")
    ] = False,
) -> None:
    """Publish landed pages again without asking GA4: after a correction, or to release held days."""
    # Heavy libraries that no other command needs.
    from steadfast.ga4.replay import replay_pages
    from steadfast.quality.check import check_frame

    names = check_reports(report or (), REPORTS) or tuple(REPORTS)
    dates, now = DateRange(start.date(), end.date()), current_time()
    with open_warehouse() as connection:
        found = show_property(connection, property_id)
        decided = replay_pages(
            connection,
            property_id,
            names,
            dates,
            replay=Replay(accepts_guards=accept),
            check=check_frame,
            now=now,
        )
        action = f"{'accept' if accept else 'replay'} {dates.start} to {dates.end}: {', '.join(names)}"
        record_audit(connection, action, property_id, after=found, actor=current_actor(), now=now)
    print_table(
        ["report", "from", "to", "state", "why"],
        [(d.item.report_name, d.item.range.start, d.item.range.end, d.state, d.error or "") for d in decided],
        empty="Nothing was landed.",
    )
    if any(one.state != "published" for one in decided):
        raise QualityError("Not everything is published; --accept releases days that look like a loss.")


def _read(connection: Connection[Any], section: Section, entity_id: int | None) -> list[dict[str, Any]]:
    now = current_time()
    values = {"entity_id": entity_id, "now": now, "since": now - LOOK_BACK, "limit": section.limit}
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(load_queries("cli")[section.query], values).fetchall()
