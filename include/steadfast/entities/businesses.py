"""Business entities: add, edit, disable, show, list. A new one gets its sync setting with it."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row

from steadfast.entities.audit import record_audit
from steadfast.entities.input_checks import check_country, check_name, check_slug, suggest
from steadfast.entities.records import BusinessEntity
from steadfast.errors import ConfigError
from steadfast.warehouse.queries import load_queries

QUERIES = load_queries("entities")
BACKFILL_DAYS = 90


def add_entity(
    connection: Connection[Any],
    slug: str,
    *,
    name: str,
    country: str | None = None,
    actor: str,
    now: datetime,
) -> BusinessEntity:
    """Make an entity and its sync setting; ConfigError if the slug is taken."""
    values = {"slug": check_slug(slug), "name": check_name(name), "country": check_country(country)}
    with connection.transaction(), connection.cursor(row_factory=class_row(BusinessEntity)) as cursor:
        entity = cursor.execute(QUERIES["insert_entity"], {**values, "now": now}).fetchone()
        if entity is None:
            owner = show_entity(connection, slug)
            raise ConfigError(f"Entity {slug} exists already; it is {owner.name!r}. Choose another slug.")
        backfill_start_on = (now - timedelta(days=BACKFILL_DAYS)).date()
        setting = {"entity_id": entity.entity_id, "backfill_start_on": backfill_start_on, "now": now}
        connection.execute(QUERIES["insert_setting"], setting)
        record_audit(connection, "add", slug, after=entity, actor=actor, now=now)
    return entity


def edit_entity(
    connection: Connection[Any],
    slug: str,
    *,
    name: str | None = None,
    country: str | None = None,
    actor: str,
    now: datetime,
) -> BusinessEntity:
    """Change what is not None; an empty country removes it. The slug stays, it is in links and logs."""
    changes: dict[str, Any] = {}
    if name is not None:
        changes["name"] = check_name(name)
    if country is not None:
        changes["country"] = check_country(country)
    return _change(connection, slug, "edit", changes, actor=actor, now=now)


def disable_entity(connection: Connection[Any], slug: str, *, actor: str, now: datetime) -> BusinessEntity:
    """Stop syncing an entity; what was published stays readable."""
    return _change(connection, slug, "disable", {"is_enabled": False}, actor=actor, now=now)


def enable_entity(connection: Connection[Any], slug: str, *, actor: str, now: datetime) -> BusinessEntity:
    """Sync an entity again; what it missed backfills by itself."""
    return _change(connection, slug, "enable", {"is_enabled": True}, actor=actor, now=now)


def show_entity(connection: Connection[Any], slug: str) -> BusinessEntity:
    """Find an entity; ConfigError with close matches if there is none."""
    return _find(connection, "find_entity", slug)


def list_entities(connection: Connection[Any]) -> list[BusinessEntity]:
    """Return every entity by slug."""
    with connection.cursor(row_factory=class_row(BusinessEntity)) as cursor:
        return cursor.execute(QUERIES["list_entities"]).fetchall()


def _change(
    connection: Connection[Any], slug: str, action: str, changes: dict[str, Any], *, actor: str, now: datetime
) -> BusinessEntity:
    with connection.transaction():
        before = _find(connection, "lock_entity", slug)
        if replace(before, **changes) == before:
            return before
        after = replace(before, **changes, updated_at=now)
        connection.execute(QUERIES["update_entity"], vars(after))
        record_audit(connection, action, slug, before=before, after=after, actor=actor, now=now)
    return after


def _find(connection: Connection[Any], query: str, slug: str) -> BusinessEntity:
    with connection.cursor(row_factory=class_row(BusinessEntity)) as cursor:
        entity = cursor.execute(QUERIES[query], {"slug": slug}).fetchone()
    if entity is None:
        known = [entity.slug for entity in list_entities(connection)]
        hint = suggest(slug, known)
        raise ConfigError(f"There is no entity {slug!r}{hint} `steadfast entity list` shows them.")
    return entity
