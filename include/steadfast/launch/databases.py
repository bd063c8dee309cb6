"""The two databases of a launch, warehouse and Airflow's own: embedded, or on the server of the settings."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import psycopg
from psycopg import Connection, sql

from steadfast.errors import ConfigError, WarehouseBusy
from steadfast.settings import Settings
from steadfast.warehouse.bootstrap import (
    AIRFLOW,
    PIPELINE,
    RECEIVER,
    Databases,
    RolePasswords,
    bootstrap,
    scramble,
)
from steadfast.warehouse.connect import connect
from steadfast.warehouse.embedded import start_server
from steadfast.warehouse.queries import load_queries
from steadfast.warehouse.secret_files import keep_secret

OLDEST_SERVER = 150000
ENTRANCE = "postgres"
"""The database that every server has and every role may enter."""


@dataclass(frozen=True)
class OpenDatabases:
    """Databases that answer, and a few words on where they are."""

    databases: Databases
    place: str
    psql: Path


@contextmanager
def open_databases(
    state: Path, settings: Settings, *, has_own_airflow_database: bool = False
) -> Iterator[OpenDatabases]:
    """Start the embedded server, or prepare the external one that the settings name."""
    if settings.warehouse_url:
        databases = _prepare_external(state, settings, has_own_airflow_database)
        yield OpenDatabases(databases, _describe(settings.warehouse_url), Path("psql"))
        return
    with start_server(state) as server:
        place = f"embedded PostgreSQL on port {server.port}"
        yield OpenDatabases(bootstrap(server), place, server.binaries / "psql")


def _prepare_external(state: Path, settings: Settings, has_own_airflow_database: bool) -> Databases:
    passwords = role_passwords(state, settings)
    airflow_password = _airflow_password(state)
    with connect(settings.warehouse_url, autocommit=True) as connection:
        version = connection.info.server_version
        if version < OLDEST_SERVER:
            place = _describe(settings.warehouse_url)
            raise ConfigError(f"{place} is version {version // 10000}; 15 or newer is needed.")
        try:
            if not has_own_airflow_database:
                _ensure_airflow_database(connection, settings.warehouse_url, state)
        except psycopg.errors.InsufficientPrivilege as error:
            raise ConfigError(_what_to_create(state, error)) from error
    return Databases(
        owner_url=settings.warehouse_url,
        airflow_url=change_url(settings.warehouse_url, AIRFLOW, airflow_password, AIRFLOW),
        pipeline_url=change_url(settings.warehouse_url, PIPELINE, passwords.pipeline),
        receiver_url=change_url(settings.warehouse_url, RECEIVER, passwords.receiver),
        passwords=passwords,
    )


def role_passwords(state: Path, settings: Settings) -> RolePasswords:
    """The passwords of the settings; those that are not set are made and kept in the state directory."""
    return RolePasswords(
        settings.pipeline_password or keep_secret(state / "secrets", PIPELINE),
        settings.receiver_password or keep_secret(state / "secrets", RECEIVER),
    )


def change_url(url: str, user: str, password: str, database: str | None = None) -> str:
    """Return `url` for another user, and another database if one is given."""
    parts = urlsplit(url)
    host = f"{parts.hostname or 'localhost'}:{parts.port or 5432}"
    path = parts.path if database is None else f"/{quote(database)}"
    return urlunsplit(parts._replace(netloc=f"{quote(user)}:{quote(password, safe='')}@{host}", path=path))


def _airflow_password(state: Path) -> str:
    return keep_secret(state / "secrets", AIRFLOW)


def _ensure_airflow_database(connection: Connection[Any], owner_url: str, state: Path) -> None:
    queries = load_queries("bootstrap")
    if connection.execute(queries["find_database"], {"name": AIRFLOW}).fetchone():
        return
    may_create = connection.execute(load_queries("launch")["may_create_database"]).fetchone()
    if not (may_create and may_create[0]):
        raise psycopg.errors.InsufficientPrivilege("it lacks CREATEDB")
    role, password = sql.Identifier(AIRFLOW), _airflow_password(state)
    if connection.execute(queries["find_role"], {"name": AIRFLOW}).fetchone():
        _refuse_foreign_role(owner_url, password, state)
    else:
        verifier = scramble(connection, AIRFLOW, password)
        connection.execute(queries["create_login"].format(role=role, verifier=verifier))
    connection.execute(load_queries("launch")["join_role"].format(role=role))
    names = {"database": sql.Identifier(AIRFLOW), "owner": role}
    connection.execute(queries["create_database"].format(**names))
    connection.execute(queries["close_database"].format(**names))


def _refuse_foreign_role(owner_url: str, password: str, state: Path) -> None:
    """A role that our password does not open may be another Airflow's, which a new one would lock out."""
    try:
        connect(change_url(owner_url, AIRFLOW, password, ENTRANCE)).close()
    except (ConfigError, WarehouseBusy) as error:
        raise ConfigError(
            f"The server has a role {AIRFLOW} that this installation did not make ({error}). If it is meant "
            f"for Steadfast, put its password into the file {state / 'secrets' / AIRFLOW} and run, as an "
            f"administrator: CREATE DATABASE {AIRFLOW} OWNER {AIRFLOW}. If it is another Airflow's, set "
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN to a database that this one may use."
        ) from error


def _what_to_create(state: Path, error: Exception) -> str:
    return (
        f"Airflow needs a database of its own and this role may not make one ({error}). "
        "As an administrator of the server run: CREATE ROLE airflow LOGIN PASSWORD '…'; "
        "CREATE DATABASE airflow OWNER airflow; "
        f"with the password in the file {state / 'secrets' / AIRFLOW}. "
        "Or set AIRFLOW__DATABASE__SQL_ALCHEMY_CONN to a database that Airflow may use."
    )


def _describe(url: str) -> str:
    parts = urlsplit(url)
    return f"PostgreSQL at {parts.hostname or 'localhost'}:{parts.port or 5432}{parts.path}"
