"""The rows of `config` as values; a change makes a new value, and the audit trail compares the two."""

from dataclasses import dataclass
from datetime import date, datetime


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
