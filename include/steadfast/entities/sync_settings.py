"""How each entity is synced: on or off, which reports, how far back, how many tokens."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import dict_row

from steadfast.entities.audit import record_audit
from steadfast.entities.businesses import show_entity
from steadfast.entities.input_checks import (
    check_backfill_start,
    check_reports,
    check_token_budget,
    check_window_days,
)
from steadfast.entities.records import SyncSetting
from steadfast.errors import ConfigError
from steadfast.warehouse.queries import load_queries

QUERIES = load_queries("entities")


def show_setting(connection: Connection[Any], slug: str) -> SyncSetting:
    """Find how the entity `slug` is synced."""
    return _find(connection, "find_setting", slug)


def edit_setting(
    connection: Connection[Any],
    slug: str,
    *,
    known_reports: Collection[str],
    is_enabled: bool | None = None,
    reports: Iterable[str] | None = None,
    window_days: int | None = None,
    token_budget: int | None = None,
    backfill_start_on: date | None = None,
    actor: str,
    now: datetime,
) -> SyncSetting:
    """Change what is not None; no report at all means the default ones. Refused reports are tried again."""
    changes: dict[str, Any] = {}
    if is_enabled is not None:
        changes["is_enabled"] = is_enabled
    if reports is not None:
        changes["reports"] = check_reports(reports, known_reports)
    if window_days is not None:
        changes["window_days"] = check_window_days(window_days)
    if token_budget is not None:
        changes["token_budget"] = check_token_budget(token_budget)
    if backfill_start_on is not None:
        changes["backfill_start_on"] = check_backfill_start(backfill_start_on, now.date())
    return _change(connection, slug, changes, actor=actor, now=now)


def _change(
    connection: Connection[Any], slug: str, changes: dict[str, Any], *, actor: str, now: datetime
) -> SyncSetting:
    with connection.transaction():
        before = _find(connection, "lock_setting", slug)
        blocks = {"property_id": None, "entity_id": before.entity_id}
        connection.execute(QUERIES["lift_report_blocks"], blocks)
        if replace(before, **changes) == before:
            return before
        after = replace(before, **changes, updated_at=now)
        row = {**vars(after), "reports": None if after.reports is None else list(after.reports)}
        connection.execute(QUERIES["update_setting"], row)
        record_audit(connection, "edit", slug, before=before, after=after, actor=actor, now=now)
    return after


def _find(connection: Connection[Any], query: str, slug: str) -> SyncSetting:
    entity_id = show_entity(connection, slug).entity_id
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(QUERIES[query], {"entity_id": entity_id}).fetchone()
    if row is None:
        raise ConfigError(f"Entity {slug} has no sync setting; add entities with `steadfast entity add`.")
    reports = row.pop("reports")
    return SyncSetting(**row, reports=None if reports is None else tuple(reports))
