"""GA4 properties of the entities: add, edit, disable, show, list. One property belongs to one entity."""

from dataclasses import replace
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row, dict_row

from steadfast.entities.audit import record_audit
from steadfast.entities.businesses import show_entity
from steadfast.entities.input_checks import (
    check_connection_id,
    check_currency,
    check_name,
    check_property_id,
    check_zone,
    suggest,
)
from steadfast.entities.records import Ga4Property
from steadfast.errors import ConfigError, WarehouseBusy
from steadfast.warehouse.queries import load_queries

QUERIES = load_queries("entities")


def add_property(
    connection: Connection[Any],
    slug: str,
    property_id: int,
    *,
    connection_id: str,
    time_zone: str,
    currency: str,
    display_name: str | None = None,
    actor: str,
    now: datetime,
) -> Ga4Property:
    """Give a property to the entity `slug`; ConfigError names who owns it already."""
    values: dict[str, Any] = {
        "property_id": check_property_id(property_id),
        "display_name": check_name(display_name or f"GA4 property {property_id}"),
        "connection_id": check_connection_id(connection_id),
        "time_zone": check_zone(time_zone),
        "currency": check_currency(currency),
        "now": now,
    }
    with connection.transaction(), connection.cursor(row_factory=class_row(Ga4Property)) as cursor:
        values["entity_id"] = show_entity(connection, slug).entity_id
        added = cursor.execute(QUERIES["insert_property"], values).fetchone()
        if added is None:
            refuse_owned(connection, property_id)
            raise WarehouseBusy(f"Property {property_id} was removed while it was added; try again.")
        record_audit(connection, "add", property_id, after=added, actor=actor, now=now)
    return added


def edit_property(
    connection: Connection[Any],
    property_id: int,
    *,
    display_name: str | None = None,
    connection_id: str | None = None,
    time_zone: str | None = None,
    currency: str | None = None,
    actor: str,
    now: datetime,
) -> Ga4Property:
    """Change what is not None; reports that GA4 refused for the property are tried again."""
    checks = {
        "display_name": (display_name, check_name),
        "connection_id": (connection_id, check_connection_id),
        "time_zone": (time_zone, check_zone),
        "currency": (currency, check_currency),
    }
    changes = {name: check(value) for name, (value, check) in checks.items() if value is not None}
    return _change(connection, property_id, "edit", changes, actor=actor, now=now)


def disable_property(
    connection: Connection[Any], property_id: int, *, actor: str, now: datetime
) -> Ga4Property:
    """Stop syncing a property; what was published stays readable."""
    return _change(connection, property_id, "disable", {"is_enabled": False}, actor=actor, now=now)


def enable_property(
    connection: Connection[Any], property_id: int, *, actor: str, now: datetime
) -> Ga4Property:
    """Sync a property again; what it missed backfills by itself, refused reports are tried again."""
    return _change(connection, property_id, "enable", {"is_enabled": True}, actor=actor, now=now)


def show_property(connection: Connection[Any], property_id: int) -> Ga4Property:
    """Find a property; ConfigError with close matches if there is none."""
    return _find(connection, "find_property", property_id)


def refuse_owned(connection: Connection[Any], property_id: int) -> None:
    """ConfigError if an entity has the property already; it names the entity."""
    with connection.cursor(row_factory=dict_row) as cursor:
        owned = cursor.execute(QUERIES["find_owner"], {"property_id": property_id}).fetchone()
    if owned:
        raise ConfigError(
            f"Property {property_id} belongs to entity {owned['slug']} already, as {owned['display_name']!r}."
        )


def list_properties(connection: Connection[Any], slug: str | None = None) -> list[Ga4Property]:
    """Return the properties of one entity, or of all."""
    entity_id = None if slug is None else show_entity(connection, slug).entity_id
    with connection.cursor(row_factory=class_row(Ga4Property)) as cursor:
        return cursor.execute(QUERIES["list_properties"], {"entity_id": entity_id}).fetchall()


def _change(
    connection: Connection[Any],
    property_id: int,
    action: str,
    changes: dict[str, Any],
    *,
    actor: str,
    now: datetime,
) -> Ga4Property:
    with connection.transaction():
        before = _find(connection, "lock_property", property_id)
        if action != "disable":
            connection.execute(QUERIES["lift_report_blocks"], {"property_id": property_id, "entity_id": None})
            connection.execute(QUERIES["close_breaker"], {"property_id": property_id})
        if replace(before, **changes) == before:
            return before
        after = replace(before, **changes, updated_at=now)
        connection.execute(QUERIES["update_property"], vars(after))
        record_audit(connection, action, property_id, before=before, after=after, actor=actor, now=now)
    return after


def _find(connection: Connection[Any], query: str, property_id: int) -> Ga4Property:
    with connection.cursor(row_factory=class_row(Ga4Property)) as cursor:
        found = cursor.execute(QUERIES[query], {"property_id": property_id}).fetchone()
    if found is None:
        known = [str(known.property_id) for known in list_properties(connection)]
        hint = suggest(str(property_id), known)
        raise ConfigError(f"There is no property {property_id}{hint} `steadfast property list` shows them.")
    return found
