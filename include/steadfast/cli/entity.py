"""`steadfast entity …`: the businesses whose data we keep, and the logins of their dashboards."""

from typing import Annotated, Any

import typer
from psycopg import Connection

from steadfast.cli.terminal import (
    AsJson,
    current_actor,
    current_time,
    print_json,
    print_line,
    print_table,
    show_value,
)
from steadfast.cli.warehouse_url import open_warehouse
from steadfast.entities import businesses, logins
from steadfast.entities.properties import list_properties
from steadfast.entities.sync_settings import show_setting

app = typer.Typer(no_args_is_help=True, help="Business entities: add, list, show, edit, disable, grant.")

Slug = Annotated[str, typer.Argument(help="The entity's short name, such as main-street-bakery.")]
Country = Annotated[str | None, typer.Option(help="ISO 3166 code, such as US.")]


@app.command()
def add(
    slug: Slug,
    name: Annotated[str, typer.Option(help="The name people know.")],
    country: Country = None,
    as_json: AsJson = False,
) -> None:
    """Add a business entity."""
    with open_warehouse() as connection:
        entity = businesses.add_entity(
            connection, slug, name=name, country=country, actor=current_actor(), now=current_time()
        )
    if as_json:
        print_json(entity)
    else:
        print_line(f"Added entity {slug}. Next: steadfast property add PROPERTY_ID --entity {slug}")


@app.command("list")
def list_all(as_json: AsJson = False) -> None:
    """List the entities."""
    with open_warehouse() as connection:
        entities = businesses.list_entities(connection)
    if as_json:
        print_json(entities)
        return
    rows = [(e.slug, e.name, e.country, e.is_enabled) for e in entities]
    empty = "There is no entity yet. Add one with `steadfast entity add SLUG --name NAME`."
    print_table(("entity", "name", "country", "enabled"), rows, empty=empty)


@app.command()
def show(slug: Slug, as_json: AsJson = False) -> None:
    """Show an entity with its settings, properties and logins."""
    with open_warehouse() as connection:
        parts = _describe(connection, slug)
    if as_json:
        print_json(parts)
        return
    for part in (parts["entity"], parts["setting"]):
        print_table(("", ""), [(key, value) for key, value in vars(part).items()], empty="")
        print_line("")
    properties = [(p.property_id, p.display_name, p.time_zone, p.is_enabled) for p in parts["properties"]]
    print_table(("property", "name", "time zone", "enabled"), properties, empty="No property.")
    print_line(f"Logins: {show_value([login.role_name for login in parts['logins']]) or 'none'}")


@app.command()
def edit(
    slug: Slug,
    name: Annotated[str | None, typer.Option(help="The new name.")] = None,
    country: Country = None,
) -> None:
    """Change the name or the country (an empty one removes it)."""
    if name is None and country is None:
        raise typer.BadParameter("nothing to change; give --name or --country.")
    with open_warehouse() as connection:
        businesses.edit_entity(
            connection, slug, name=name, country=country, actor=current_actor(), now=current_time()
        )
    print_line(f"Changed entity {slug}.")


@app.command()
def disable(slug: Slug) -> None:
    """Stop syncing an entity; what was published stays readable."""
    with open_warehouse() as connection:
        businesses.disable_entity(connection, slug, actor=current_actor(), now=current_time())
    print_line(f"Disabled entity {slug}.")


@app.command()
def enable(slug: Slug) -> None:
    """Sync an entity again; what it missed backfills by itself."""
    with open_warehouse() as connection:
        businesses.enable_entity(connection, slug, actor=current_actor(), now=current_time())
    print_line(f"Enabled entity {slug}.")


@app.command()
def grant(
    slug: Slug, role: Annotated[str, typer.Argument(help="The login role to make, such as bakery_dashboard.")]
) -> None:
    """Make a database login that sees this entity only; run again for a new password.

    The password is the only line on stdout and is kept nowhere.
    """
    with open_warehouse() as connection:
        password = logins.grant_login(connection, slug, role, actor=current_actor(), now=current_time())
        place = f"{connection.info.dbname} at {connection.info.host}:{connection.info.port}"
    typer.echo(
        f"Role {role} reads entity {slug} in schema marts of {place}. Its password, shown once:", err=True
    )
    typer.echo(password)


@app.command()
def revoke(role: Annotated[str, typer.Argument(help="A login role made by `grant`.")]) -> None:
    """Remove a database login made by `grant`."""
    with open_warehouse() as connection:
        logins.revoke_login(connection, role, actor=current_actor(), now=current_time())
    print_line(f"Removed role {role}.")


def _describe(connection: Connection[Any], slug: str) -> dict[str, Any]:
    return {
        "entity": businesses.show_entity(connection, slug),
        "setting": show_setting(connection, slug),
        "properties": list_properties(connection, slug),
        "logins": logins.list_logins(connection, slug),
    }
