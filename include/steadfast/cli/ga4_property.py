"""`steadfast property …`: the GA4 properties of the entities; adding one checks it against GA4 first."""

from typing import TYPE_CHECKING, Annotated, Any

import typer
from psycopg import Connection

from steadfast.cli.airflow_connection import read_client_config
from steadfast.cli.terminal import (
    AsJson,
    current_actor,
    current_time,
    print_json,
    print_line,
    print_step,
    print_table,
    show_progress,
)
from steadfast.cli.warehouse_url import open_warehouse
from steadfast.entities import properties
from steadfast.entities.businesses import list_entities, show_entity
from steadfast.entities.records import Ga4Property
from steadfast.entities.sync_settings import show_setting
from steadfast.ga4.reports import DEFAULT_REPORTS, REPORTS
from steadfast.settings import load_settings

if TYPE_CHECKING:
    from steadfast.ga4.access import AccessReport

app = typer.Typer(no_args_is_help=True, help="GA4 properties: add, list, show, edit, disable.")


def read_property_id(text: str) -> int:
    """Read `123456789` or `properties/123456789`."""
    number = text.removeprefix("properties/")
    if not (number.isascii() and number.isdecimal()):
        raise typer.BadParameter(
            f"{text!r} is not a property id. It is the number in GA4 under Admin > Property details, "
            "not a measurement id (G-…) or tracking id (UA-…)."
        )
    return int(number)


PropertyId = Annotated[
    int, typer.Argument(parser=read_property_id, metavar="PROPERTY_ID", help="The number in GA4.")
]
Entity = Annotated[str, typer.Option("--entity", help="The entity it belongs to.")]
ConnectionId = Annotated[str, typer.Option("--connection", help="Airflow Connection with the credentials.")]


@app.command()
def add(
    property_id: PropertyId,
    slug: Entity,
    connection_id: ConnectionId = "steadfast_ga4",
    name: Annotated[str | None, typer.Option(help="The name people know.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check access to a GA4 property, step by step, and add it; nothing is saved if a step fails."""
    with open_warehouse() as connection:
        properties.refuse_owned(connection, property_id)
        reports = _enabled_reports(connection, slug)
    found = _check(property_id, connection_id, reports)
    if not as_json:
        _print_steps(found, slug, reports)
    added = None if found.problems else _save(found, slug, connection_id, name)
    if as_json:
        print_json({"property": added, "access": found})
    if added is None:
        raise typer.Exit(1)
    if not as_json:
        print_line(f"Added property {property_id} to {slug}; its history backfills with the next sync.")


@app.command("list")
def list_all(
    slug: Annotated[str | None, typer.Option("--entity", help="Only those of this entity.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the properties."""
    with open_warehouse() as connection:
        found = properties.list_properties(connection, slug)
        slugs = {entity.entity_id: entity.slug for entity in list_entities(connection)}
    if as_json:
        print_json([{"entity": slugs[p.entity_id], **vars(p)} for p in found])
        return
    rows = [
        (p.property_id, slugs[p.entity_id], p.display_name, p.time_zone, p.currency, p.is_enabled)
        for p in found
    ]
    titles = ("property", "entity", "name", "time zone", "currency", "enabled")
    print_table(titles, rows, empty="No property. Add one with `steadfast property add`.")


@app.command()
def show(property_id: PropertyId, as_json: AsJson = False) -> None:
    """Show a property."""
    with open_warehouse() as connection:
        found = properties.show_property(connection, property_id)
    if as_json:
        print_json(found)
    else:
        print_table(("", ""), list(vars(found).items()), empty="")


@app.command()
def edit(
    property_id: PropertyId,
    name: Annotated[str | None, typer.Option(help="The new name.")] = None,
    connection_id: Annotated[str | None, typer.Option("--connection", help="Another Connection.")] = None,
    time_zone: Annotated[str | None, typer.Option(help="As GA4 shows it now: America/New_York.")] = None,
    currency: Annotated[str | None, typer.Option(help="As GA4 shows it now: USD.")] = None,
) -> None:
    """Change a property; reports that GA4 refused for it are tried again."""
    if all(value is None for value in (name, connection_id, time_zone, currency)):
        raise typer.BadParameter("nothing to change; `steadfast property edit --help` lists the options.")
    with open_warehouse() as connection:
        properties.edit_property(
            connection,
            property_id,
            display_name=name,
            connection_id=connection_id,
            time_zone=time_zone,
            currency=currency,
            actor=current_actor(),
            now=current_time(),
        )
    print_line(f"Changed property {property_id}.")


@app.command()
def disable(property_id: PropertyId) -> None:
    """Stop syncing a property; what was published stays readable."""
    with open_warehouse() as connection:
        properties.disable_property(connection, property_id, actor=current_actor(), now=current_time())
    print_line(f"Disabled property {property_id}.")


@app.command()
def enable(property_id: PropertyId) -> None:
    """Sync a property again; reports that GA4 refused for it are tried again."""
    with open_warehouse() as connection:
        properties.enable_property(connection, property_id, actor=current_actor(), now=current_time())
    print_line(f"Enabled property {property_id}.")


def _enabled_reports(connection: Connection[Any], slug: str) -> tuple[str, ...]:
    show_entity(connection, slug)
    return show_setting(connection, slug).reports or DEFAULT_REPORTS


def _check(property_id: int, connection_id: str, reports: tuple[str, ...]) -> "AccessReport":
    # gRPC is slow to import, and no other command needs it.
    from steadfast.ga4.access import check_access
    from steadfast.ga4.client import open_client

    config = read_client_config(connection_id, load_settings())
    with show_progress(f"Asking GA4 about property {property_id}"), open_client(config) as client:
        return check_access(client, property_id, [REPORTS[name] for name in reports], now=current_time())


def _print_steps(found: "AccessReport", slug: str, reports: tuple[str, ...]) -> None:
    for step in found.steps:
        print_step(step.problem is None, step.problem or step.title, step.fix)
    left = [name for name in reports if name not in found.refused_reports]
    if found.refused_reports and left:
        print_line(f"To leave those reports out: steadfast setting edit {slug} --reports {','.join(left)}")
    if found.problems:
        print_line(f"Nothing was saved: property {found.property_id} is not ready.", "red")


def _save(found: "AccessReport", slug: str, connection_id: str, name: str | None) -> Ga4Property:
    with open_warehouse() as connection:
        return properties.add_property(
            connection,
            slug,
            found.property_id,
            connection_id=connection_id,
            time_zone=found.time_zone,
            currency=found.currency,
            display_name=name,
            actor=current_actor(),
            now=current_time(),
        )
