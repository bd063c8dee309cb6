"""The rows of `config` as values; a change makes a new value, and the audit trail compares the two."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any


@dataclass(frozen=True)
class BusinessEntity:
    """A tenant."""

    entity_id: int
    slug: str
    name: str
    country: str | None
    is_enabled: bool
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class Ga4Property:
    """A GA4 property of an entity; `connection_id` names the Airflow Connection with the credentials."""

    property_id: int
    entity_id: int
    display_name: str
    connection_id: str
    time_zone: str
    currency: str
    is_enabled: bool
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class SyncSetting:
    """How an entity is synced; `reports` is None for the default reports."""

    entity_id: int
    is_enabled: bool
    reports: tuple[str, ...] | None
    window_days: int
    token_budget: int
    backfill_start_on: date
    updated_at: datetime


@dataclass(frozen=True)
class EntityLogin:
    """A login role that sees one entity."""

    role_name: str
    entity_id: int
    created_at: datetime


@dataclass(frozen=True)
class WebhookSource:
    """Where signed events of an entity come from; its URL is made of the two slugs."""

    source_id: int
    entity_id: int
    slug: str
    name: str
    auth: str
    tolerance_seconds: int
    max_bytes: int
    rate_per_second: int
    burst: int
    dedup_days: int
    conflict_policy: str
    is_strict: bool
    time_zone: str
    n8n_connection_id: str | None
    n8n_workflow_id: str | None
    n8n_node: str | None
    is_enabled: bool
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class WebhookKey:
    """A secret of a source and when it is valid; the secret itself is never in a record."""

    key_id: int
    source_id: int
    entity_id: int
    not_before: datetime
    not_after: datetime | None
    created_at: datetime


@dataclass(frozen=True)
class WebhookReplay:
    """A request to replay or discard events; `entity_id` is None if it was about more than one entity."""

    request_id: int
    entity_id: int | None
    filter: Mapping[str, Any]
    patch: str | None
    matched_count: int
