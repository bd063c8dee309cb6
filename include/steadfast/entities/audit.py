"""The trail of who changed what: written in the transaction of the change, never updated."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from functools import partial
from json import dumps
from typing import Any

from psycopg import Connection
from psycopg.types.json import Jsonb

from steadfast.entities.records import (
    BusinessEntity,
    EntityLogin,
    Ga4Property,
    SyncSetting,
    WebhookKey,
    WebhookReplay,
    WebhookSource,
)
from steadfast.warehouse.queries import load_queries

Record = BusinessEntity | Ga4Property | SyncSetting | EntityLogin | WebhookSource | WebhookKey | WebhookReplay

OBJECT_KINDS: Mapping[type[Record], str] = {
    BusinessEntity: "business_entity",
    Ga4Property: "ga4_property",
    SyncSetting: "sync_setting",
    EntityLogin: "entity_login",
    WebhookSource: "webhook_source",
    WebhookKey: "webhook_key",
    WebhookReplay: "webhook_replay",
}


def record_audit(
    connection: Connection[Any],
    action: str,
    object_id: str | int,
    *,
    actor: str,
    now: datetime,
    before: Record | None = None,
    after: Record | None = None,
) -> None:
    """Write one audit event; at least one of `before` and `after` must be there."""
    subject = after or before
    if subject is None:
        raise ValueError(f"audit event {action!r} on {object_id!r} has neither a before nor an after")
    connection.execute(
        load_queries("entities")["record_audit"],
        {
            "happened_at": now,
            "actor": actor,
            "action": action,
            "object_kind": OBJECT_KINDS[type(subject)],
            "object_id": str(object_id),
            "entity_id": subject.entity_id,
            "before": _as_json(before),
            "after": _as_json(after),
        },
    )


def _as_json(record: Record | None) -> Jsonb | None:
    return None if record is None else Jsonb(asdict(record), dumps=partial(dumps, default=str))
