"""Brings a warehouse to what this version describes: schema, fact tables, partitions, marts, passwords.

Every step looks before it acts, so running it again changes nothing; a lock lets a second one wait.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from steadfast.errors import ConfigError
from steadfast.warehouse.bootstrap import RolePasswords, scramble
from steadfast.warehouse.connect import connect, translate_errors
from steadfast.warehouse.event_tables import EventTable, ensure_event_tables
from steadfast.warehouse.facts import FactTable, ensure_fact_tables
from steadfast.warehouse.locations import sql_directory
from steadfast.warehouse.marts import apply_marts, read_marts
from steadfast.warehouse.partitions import ensure_upcoming_partitions
from steadfast.warehouse.queries import load_queries
from steadfast.warehouse.revisions import Upgrade, upgrade_schema


@dataclass(frozen=True)
class MigrationReport:
    """What a migration found and made."""

    schema: Upgrade
    facts: tuple[str, ...]
    partitions: tuple[str, ...]
    marts: tuple[str, ...]
    is_password_set: bool

    @property
    def has_changed(self) -> bool:
        """Tell whether anything had to be done."""
        is_new = self.schema.before != self.schema.after
        return bool(is_new or self.facts or self.partitions or self.marts or self.is_password_set)

    def __str__(self) -> str:
        if not self.has_changed:
            return f"Nothing to do: the warehouse is at revision {self.schema.after}."
        return (
            f"Revision {self.schema.before or 'none'} -> {self.schema.after}; made {len(self.facts)} fact "
            f"tables or columns, {len(self.partitions)} partitions, {len(self.marts)} marts"
            + ("; set passwords of roles." if self.is_password_set else ".")
        )


def migrate(
    owner_url: str,
    *,
    passwords: RolePasswords,
    reports: Iterable[FactTable],
    events: Iterable[EventTable],
    today: date,
) -> MigrationReport:
    """Bring the warehouse up to date as steadfast_owner; safe to repeat, and to run twice at once."""
    events = tuple(events)
    with translate_errors(), _explain_missing_rights(), _migration_lock(owner_url) as connection:
        _refuse_excess_rights(connection)
        connection.execute(load_queries("warehouse")["create_version_schema"])
        schema = upgrade_schema(owner_url)
        with connection.transaction():
            facts = [*ensure_fact_tables(connection, reports), *ensure_event_tables(connection, events)]
            partitions = ensure_upcoming_partitions(connection, today)
        marts = apply_marts(connection, read_marts(sql_directory() / "marts", events))
        _ensure_closed(connection)
        changed = [
            role
            for role, password in passwords.by_role().items()
            if _ensure_login(connection, owner_url, role, password)
        ]
        is_password_set = bool(changed)
    return MigrationReport(schema, tuple(facts), tuple(partitions), tuple(marts), is_password_set)


@contextmanager
def _migration_lock(owner_url: str) -> Iterator[psycopg.Connection]:
    with connect(owner_url, autocommit=True, application="steadfast migrate") as connection:
        queries = load_queries("warehouse")
        connection.execute(queries["wait_long_for_locks"])
        connection.execute(queries["take_migration_lock"])
        connection.execute(queries["wait_as_usual_for_locks"])
        yield connection


@contextmanager
def _explain_missing_rights() -> Iterator[None]:
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        raise ConfigError(
            f"The owner of the warehouse may not migrate it: {error.diag.message_primary}. Steadfast's roles "
            "belong to the whole server, so one role migrates every warehouse of a server."
        ) from error


def _refuse_excess_rights(connection: psycopg.Connection) -> None:
    excess = connection.execute(load_queries("warehouse")["list_excess_rights"]).fetchall()
    if excess:
        found = ", ".join(f"{role} has {what}" for role, what in excess)
        raise ConfigError(
            f"Roles of this server may do more than is safe for the data: {found}. As an administrator take "
            "that away (ALTER ROLE … NOSUPERUSER NOBYPASSRLS, REVOKE … FROM …) and migrate again."
        )


def _ensure_closed(connection: psycopg.Connection) -> None:
    if not _is_closed(connection):
        database = sql.Identifier(connection.info.dbname)
        connection.execute(load_queries("warehouse")["let_roles_connect"].format(database=database))


def _ensure_login(connection: psycopg.Connection, owner_url: str, role: str, password: str) -> bool:
    if _can_log_in(owner_url, role, password):
        return False
    verifier = scramble(connection, role, password)
    query = load_queries("warehouse")["set_role_password"]
    connection.execute(query.format(role=sql.Identifier(role), verifier=verifier))
    return True


def _is_closed(connection: psycopg.Connection) -> bool:
    row = connection.execute(load_queries("warehouse")["may_only_roles_connect"]).fetchone()
    return row is not None and bool(row[0])


def _can_log_in(owner_url: str, role: str, password: str) -> bool:
    try:
        connect(make_conninfo(owner_url, user=role, password=password)).close()
    except ConfigError:
        return False
    return True
