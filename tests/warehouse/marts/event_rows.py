"""Webhook sources and the facts of their events, as a test fills them by hand."""

import itertools
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from psycopg import sql
from psycopg.types.json import Jsonb

from steadfast.webhooks.contract import Field, Kind
from steadfast.webhooks.events import EVENTS

NOON = time(12, 0, tzinfo=UTC)
DEFAULTS: dict[Kind, Any] = {Kind.CURRENCY: "EUR", Kind.AMOUNT: 10, Kind.COUNT: 1, Kind.DATA: Jsonb({})}

_numbers = itertools.count(1)


def add_source(
    warehouse, entity: str, slug: str = "shop", *, time_zone: str = "Europe/Berlin", is_enabled: bool = True
) -> int:
    """A webhook source of an entity; return its number."""
    made = warehouse.owner.execute(
        "INSERT INTO config.webhook_source (entity_id, slug, name, auth, time_zone, is_enabled, created_at, "
        "updated_at) SELECT entity_id, %s, %s, 'signature', %s, %s, now(), now() "
        "FROM config.business_entity WHERE slug = %s RETURNING source_id",
        (slug, slug.title(), time_zone, is_enabled, entity),
    ).fetchone()
    return made[0]


def add_event(warehouse, source_id: int, kind: str, day: date, **columns: Any) -> None:
    """An event that was loaded: required fields that a test does not name have some value that fits."""
    at = columns.pop("event_at", datetime.combine(day, NOON))
    required = [field for field in EVENTS[kind, 1].fields if field.is_required]
    number = next(_numbers)
    values = {
        "event_on": day,
        "event_at": at,
        "received_at": at + timedelta(minutes=1),
        "inbox_id": number,
        "root_id": number,
        "run_id": 1,
        **{field.column_name: _make_up(field, at) for field in required},
        **columns,
    }
    query = sql.SQL(
        "INSERT INTO facts.{table} (entity_id, source_id, {columns}) "
        "SELECT entity_id, source_id, {values} FROM config.webhook_source WHERE source_id = {source}"
    ).format(
        table=sql.Identifier(f"fact_{kind}"),
        columns=sql.SQL(", ").join(map(sql.Identifier, values)),
        values=sql.SQL(", ").join(map(sql.Placeholder, values)),
        source=sql.Placeholder("source_id"),
    )
    warehouse.owner.execute(query, {**values, "source_id": source_id})


def add_dead_letter(
    warehouse,
    source_id: int,
    kind: str | None,
    received_at: datetime,
    reason: str = "bad_field",
    state: str = "dead",
) -> None:
    """An event that could not be loaded."""
    warehouse.owner.execute(
        "INSERT INTO landing.dead_letter (inbox_id, entity_id, source_id, event_id, event_type, received_at, "
        "state, reason, detail, failed_at) "
        "SELECT %s, entity_id, source_id, 'e', %s, %s, %s, %s, 'total is 12', %s "
        "FROM config.webhook_source WHERE source_id = %s",
        (next(_numbers), kind, received_at, state, reason, received_at + timedelta(minutes=5), source_id),
    )


def fill_every_event_table(warehouse, entity: str, day: date) -> None:
    """One loaded event of each type and one that could not be loaded: every mart has something to show."""
    source_id = add_source(warehouse, entity)
    for kind, _ in EVENTS:
        add_event(warehouse, source_id, kind, day)
    add_dead_letter(warehouse, source_id, "order", datetime.combine(day, NOON))


def _make_up(field: Field, at: datetime) -> Any:
    if field.choices:
        return field.choices[0]
    if field.kind is Kind.MOMENT:
        return at
    if field.kind is Kind.DAY:
        return at.date()
    return DEFAULTS.get(field.kind, f"{field.name}-{next(_numbers)}")
