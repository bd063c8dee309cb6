"""A real PostgreSQL for every test that asks: one server a session, one migrated database a test."""

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from steadfast.ga4.reports import REPORTS
from steadfast.warehouse.bootstrap import (
    OWNER,
    PIPELINE,
    RECEIVER,
    Databases,
    RolePasswords,
    bootstrap,
    close_functions,
)
from steadfast.warehouse.connect import connect
from steadfast.warehouse.embedded import EmbeddedServer, start_server
from steadfast.warehouse.facts import FactTable
from steadfast.warehouse.migrate import migrate
from steadfast.webhooks.events import EVENT_TABLES

TODAY = date(2026, 11, 20)
"""The day that test databases were migrated on; partitions reach from October 2026 to February 2027."""


_numbers = itertools.count(1)


@dataclass(frozen=True)
class Database:
    """One test's own database, and how the roles reach it."""

    server: EmbeddedServer
    name: str
    owner_url: str
    pipeline_url: str
    receiver_url: str
    passwords: RolePasswords

    @property
    def pipeline_password(self) -> str:
        return self.passwords.pipeline

    def connect(self, *, autocommit: bool = True) -> psycopg.Connection:
        return connect(self.owner_url, autocommit=autocommit, application="test")

    def connect_pipeline(self, *, autocommit: bool = True) -> psycopg.Connection:
        return connect(self.pipeline_url, autocommit=autocommit, application="test")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The browser's tests come last: their event loop runs until the session ends, and allows no other."""
    items.sort(key=lambda item: "e2e" in item.path.parts)


@pytest.fixture
def today() -> date:
    return TODAY


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[EmbeddedServer]:
    state = Path(tempfile.mkdtemp(prefix="steadfast-test-"))
    # PostgreSQL runs as another user when the tests run as root.
    state.chmod(0o755)
    with start_server(state, durable=False) as server:
        yield server
    shutil.rmtree(state)


@pytest.fixture(scope="session")
def logins(postgres_server) -> Databases:
    return bootstrap(postgres_server)


@pytest.fixture(scope="session")
def empty_databases(postgres_server, logins):
    """A function that makes a database, empty or from a template, and gives its Database."""

    def make(template: str = "template1") -> Database:
        return _create_database(postgres_server, logins, template)

    return make


@pytest.fixture(scope="session")
def fact_tables() -> list[FactTable]:
    """The fact tables of the shipped reports."""
    return [report.table for report in REPORTS.values()]


@pytest.fixture(scope="session")
def migrated_template(empty_databases, fact_tables) -> str:
    template = empty_databases()
    migrate(
        template.owner_url,
        passwords=template.passwords,
        reports=fact_tables,
        events=EVENT_TABLES,
        today=TODAY,
    )
    return template.name


@pytest.fixture
def database(empty_databases, migrated_template) -> Iterator[Database]:
    made = empty_databases(migrated_template)
    yield made
    _drop_database(made)


@pytest.fixture
def empty_database(empty_databases) -> Iterator[Database]:
    made = empty_databases()
    yield made
    _drop_database(made)


def _create_database(server: EmbeddedServer, logins: Databases, template: str) -> Database:
    name = f"test_{next(_numbers)}"
    query = sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {} STRATEGY file_copy")
    with psycopg.connect(server.superuser_dsn(), autocommit=True) as connection:
        connection.execute(
            query.format(sql.Identifier(name), sql.Identifier(OWNER), sql.Identifier(template))
        )
    close_functions(server.superuser_dsn(name))
    owner = psycopg.conninfo.conninfo_to_dict(logins.owner_url)["password"]
    return Database(
        server,
        name,
        server.dsn(OWNER, str(owner), name),
        server.dsn(PIPELINE, logins.passwords.pipeline, name),
        server.dsn(RECEIVER, logins.passwords.receiver, name),
        logins.passwords,
    )


def _drop_database(database: Database) -> None:
    with psycopg.connect(database.server.superuser_dsn(), autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database.name)))
