"""Events and dead letters of two shops, put straight into the inbox."""

import json
from datetime import UTC, datetime, timedelta

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
ORDER = {
    "order_id": "10042",
    "status": "paid",
    "placed_at": "2026-11-23T14:20:00-05:00",
    "total": "129.90",
    "currency": "usd",
}


def add_shops(connection):
    """Two entities, `bakery` with the sources shop and booking, `cafe` with shop; ids by `entity/source`."""
    ids = {}
    for slug, sources in (("bakery", ("shop", "booking")), ("cafe", ("shop",))):
        entity_id = connection.execute(
            "INSERT INTO config.business_entity (slug, name, created_at, updated_at)"
            " VALUES (%s, %s, %s, %s) RETURNING entity_id",
            (slug, slug, NOW, NOW),
        ).fetchone()[0]
        for source in sources:
            ids[f"{slug}/{source}"] = connection.execute(
                "INSERT INTO config.webhook_source (entity_id, slug, name, auth, time_zone, created_at,"
                " updated_at) VALUES (%s, %s, %s, 'token', 'UTC', %s, %s) RETURNING source_id",
                (entity_id, source, source, NOW, NOW),
            ).fetchone()[0]
    return ids


def order_body(version=1, **changes):
    """An order as it is sent."""
    event = {"type": "order", "version": version, "timestamp": "2026-11-23T19:20:00Z"}
    return json.dumps(event | {"data": ORDER | changes}).encode()


def add_event(
    connection, place="bakery/shop", body=None, *, at=NOW - HOUR, event_type="order", event_id="e-1"
):
    """One event in the inbox; its id."""
    entity, source = place.split("/")
    body = order_body() if body is None else body
    return connection.execute(
        """
        INSERT INTO landing.webhook_inbox
        SELECT nextval('landing.webhook_inbox_id'), entity_id, source_id, %s, %s, 1, %s, %s, true, 'http',
            NULL
        FROM config.webhook_source AS source JOIN config.business_entity AS entity USING (entity_id)
        WHERE entity.slug = %s AND source.slug = %s
        RETURNING inbox_id
        """,
        (event_id, event_type, at, body, entity, source),
    ).fetchone()[0]


def bury(connection, inbox_id, reason="bad_field", *, state="dead", at=None):
    """Say that an event could not be loaded."""
    connection.execute(
        """
        INSERT INTO landing.dead_letter (inbox_id, entity_id, source_id, event_id, event_type, received_at,
            state, reason, detail, failed_at)
        SELECT inbox_id, entity_id, source_id, event_id, event_type, received_at,
            %s, %s, 'currency: must be three capital letters', coalesce(%s, received_at)
        FROM landing.webhook_inbox WHERE inbox_id = %s
        """,
        (state, reason, at, inbox_id),
    )


def add_dead(connection, place="bakery/shop", body=None, *, reason="bad_field", **event):
    """An event that could not be loaded; its id."""
    inbox_id = add_event(connection, place, body, **event)
    bury(connection, inbox_id, reason)
    return inbox_id


def finish_chunks(connection):
    """Everything that is in the inbox was processed."""
    connection.execute(
        "UPDATE ops.webhook_watermark"
        " SET planned_to = (SELECT coalesce(max(inbox_id), 0) FROM landing.webhook_inbox)"
    )


def inbox_rows(connection):
    """The rows of the inbox by id."""
    rows = connection.execute(
        "SELECT inbox_id, replay_of, origin, event_type, schema_version, is_text_ok, body, event_id"
        " FROM landing.webhook_inbox ORDER BY inbox_id"
    )
    return rows.fetchall()


def copies(connection):
    """Original id -> body of its copies."""
    found = {}
    for row in inbox_rows(connection):
        if row[1] is not None:
            found.setdefault(row[1], []).append(bytes(row[6]))
    return found


def letter_states(connection):
    """Inbox id -> state of its dead letter."""
    return dict(connection.execute("SELECT inbox_id, state FROM landing.dead_letter ORDER BY inbox_id"))
