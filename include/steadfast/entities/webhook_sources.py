"""Webhook sources of the entities: add, edit, disable, show, list. Their keys are in `webhook_keys`."""

from dataclasses import replace
from datetime import datetime
from typing import Any, TypedDict, Unpack

from psycopg import Connection
from psycopg.rows import class_row

from steadfast.entities.audit import record_audit
from steadfast.entities.businesses import show_entity
from steadfast.entities.input_checks import check_slug, suggest
from steadfast.entities.properties import list_properties
from steadfast.entities.records import WebhookSource
from steadfast.entities.source_checks import check_source, fill_in, follow_window, knows_zone
from steadfast.errors import ConfigError
from steadfast.warehouse.queries import load_queries

QUERIES = load_queries("entities")
NO_PROPERTY_ZONE = "UTC"


class SourceValues(TypedDict, total=False):
    """What may be said about a source, now or later; None is the same as saying nothing."""

    time_zone: str | None
    tolerance_seconds: int | None
    max_bytes: int | None
    rate_per_second: int | None
    burst: int | None
    dedup_days: int | None
    conflict_policy: str | None
    is_strict: bool | None
    n8n_connection_id: str | None
    n8n_workflow_id: str | None
    n8n_node: str | None


def add_source(
    connection: Connection[Any],
    entity: str,
    slug: str,
    *,
    name: str,
    auth: str = "signature",
    actor: str,
    now: datetime,
    **given: Unpack[SourceValues],
) -> WebhookSource:
    """Give an entity a webhook source, without a key yet; the zone is that of its first GA4 property."""
    said = {"slug": check_slug(slug), "name": name, "auth": auth, **_said(given)}
    with connection.transaction(), connection.cursor(row_factory=class_row(WebhookSource)) as cursor:
        said.setdefault("time_zone", _first_zone(connection, entity))
        values = _check(connection, fill_in(said))
        owner = {"entity_id": show_entity(connection, entity).entity_id, "now": now}
        added = cursor.execute(QUERIES["insert_source"], values | owner).fetchone()
        if added is None:
            taken = show_source(connection, entity, slug)
            raise ConfigError(
                f"Entity {entity} has a source {slug} already; it is {taken.name!r}. Choose another slug."
            )
        record_audit(connection, "add", f"{entity}/{slug}", after=added, actor=actor, now=now)
    return added


def edit_source(
    connection: Connection[Any],
    entity: str,
    slug: str,
    *,
    name: str | None = None,
    actor: str,
    now: datetime,
    **given: Unpack[SourceValues],
) -> WebhookSource:
    """Change what is not None; an empty n8n connection removes the n8n. Published days stay as they are."""
    changes = _said(given) | ({} if name is None else {"name": name})
    return _change(connection, entity, slug, "edit", changes, actor=actor, now=now)


def disable_source(
    connection: Connection[Any], entity: str, slug: str, *, actor: str, now: datetime
) -> WebhookSource:
    """Refuse the events of a source; what was received is still processed."""
    return _change(connection, entity, slug, "disable", {"is_enabled": False}, actor=actor, now=now)


def enable_source(
    connection: Connection[Any], entity: str, slug: str, *, actor: str, now: datetime
) -> WebhookSource:
    """Accept the events of a source again."""
    return _change(connection, entity, slug, "enable", {"is_enabled": True}, actor=actor, now=now)


def show_source(connection: Connection[Any], entity: str, slug: str) -> WebhookSource:
    """Find a source; ConfigError with close matches if there is none."""
    return _find(connection, "find_source", entity, slug)


def lock_source(connection: Connection[Any], entity: str, slug: str) -> WebhookSource:
    """Find a source and keep it from other changes until the transaction ends."""
    return _find(connection, "lock_source", entity, slug)


def list_sources(connection: Connection[Any], entity: str | None = None) -> list[WebhookSource]:
    """Return the sources of one entity, or of all."""
    entity_id = None if entity is None else show_entity(connection, entity).entity_id
    with connection.cursor(row_factory=class_row(WebhookSource)) as cursor:
        return cursor.execute(QUERIES["list_sources"], {"entity_id": entity_id}).fetchall()


def _change(
    connection: Connection[Any],
    entity: str,
    slug: str,
    action: str,
    changes: dict[str, Any],
    *,
    actor: str,
    now: datetime,
) -> WebhookSource:
    with connection.transaction():
        before = lock_source(connection, entity, slug)
        values = vars(before) | follow_window(vars(before), changes)
        if action == "edit":
            values = _check(connection, values)
        if replace(before, **values) == before:
            return before
        after = replace(before, **values | {"updated_at": now})
        connection.execute(QUERIES["update_source"], vars(after))
        record_audit(connection, action, f"{entity}/{slug}", before=before, after=after, actor=actor, now=now)
    return after


def _said(given: SourceValues) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


def _check(connection: Connection[Any], values: dict[str, Any]) -> dict[str, Any]:
    clean = check_source(values)
    if not knows_zone(connection, clean["time_zone"]):
        raise ConfigError(
            f"Time zone {clean['time_zone']!r} is unknown to PostgreSQL: use its canonical name, "
            "or install the package tzdata on the host of the server."
        )
    return clean


def _first_zone(connection: Connection[Any], entity: str) -> str:
    properties = list_properties(connection, entity)
    first = min(properties, key=lambda found: (found.created_at, found.property_id), default=None)
    return first.time_zone if first else NO_PROPERTY_ZONE


def _find(connection: Connection[Any], query: str, entity: str, slug: str) -> WebhookSource:
    values = {"entity_id": show_entity(connection, entity).entity_id, "slug": slug}
    with connection.cursor(row_factory=class_row(WebhookSource)) as cursor:
        found = cursor.execute(QUERIES[query], values).fetchone()
    if found is None:
        hint = suggest(slug, [known.slug for known in list_sources(connection, entity)])
        raise ConfigError(f"Entity {entity} has no source {slug!r}{hint} `steadfast source list` shows them.")
    return found
