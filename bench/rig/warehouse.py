"""A fresh, durable warehouse for one benchmark: embedded PostgreSQL, migrated, with the entities it needs."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import psycopg
from psycopg import Connection, sql

from steadfast.entities.businesses import add_entity
from steadfast.entities.properties import add_property
from steadfast.entities.sync_settings import edit_setting
from steadfast.ga4.reports import REPORTS
from steadfast.warehouse.bootstrap import OWNER, Databases, bootstrap
from steadfast.warehouse.connect import connect
from steadfast.warehouse.embedded import EmbeddedServer, start_server
from steadfast.warehouse.migrate import migrate
from steadfast.warehouse.secret_files import keep_secret
from steadfast.webhooks.events import EVENT_TABLES

ACTOR = "benchmark"
CONNECTION_ID = "steadfast_ga4"
PEERS = "peers"


@dataclass(frozen=True)
class Warehouse:
    """A running server: our databases, and one for the peers beside them."""

    server: EmbeddedServer
    databases: Databases

    @property
    def peers_url(self) -> str:
        """The database that peers fill, on the same server with the same settings."""
        return self.server.dsn(OWNER, keep_secret(self.server.state / "secrets", OWNER), PEERS)

    def settle(self) -> None:
        """Write everything down, so that one measurement does not pay for the one before."""
        with psycopg.connect(self.server.superuser_dsn(), autocommit=True) as connection:
            connection.execute("CHECKPOINT")

    def forget_runs(self, report: str) -> None:
        """Empty what a sync filled, so that the next one starts from nothing."""
        tables = [("facts", f"fact_{report}"), ("facts", "fact_daily_totals"), ("ops", "sync_run")]
        tables += [("ops", "partition_ledger"), ("landing", "ga4_page"), ("ops", "ga4_quota")]
        names = sql.SQL(", ").join(sql.Identifier(*table) for table in tables)
        with connect(self.databases.owner_url) as connection:
            connection.execute(sql.SQL("TRUNCATE {} CASCADE").format(names))
        self.settle()


@contextmanager
def open_warehouse(state: Path) -> Iterator[Warehouse]:
    """Start a server of its own, with fsync as in production, and migrate it."""
    with start_server(state, durable=True) as server:
        databases = bootstrap(server)
        tables = [report.table for report in REPORTS.values()]
        today = datetime.now(UTC).date()
        migrate(
            databases.owner_url,
            passwords=databases.passwords,
            reports=tables,
            events=EVENT_TABLES,
            today=today,
        )
        with psycopg.connect(server.superuser_dsn(), autocommit=True) as connection:
            names = {"database": sql.Identifier(PEERS), "owner": sql.Identifier(OWNER)}
            connection.execute(sql.SQL("CREATE DATABASE {database} OWNER {owner}").format(**names))
        yield Warehouse(server, databases)


def add_businesses(
    owner_url: str,
    property_zones: Iterable[tuple[int, str]],
    *,
    backfill_start_on: date,
    reports: Iterable[str] | None = None,
) -> int:
    """Add one entity with one property for each (id, time zone), in one transaction; return how many."""
    count, chosen = 0, None if reports is None else tuple(reports)
    with connect(owner_url) as connection:
        for property_id, time_zone in property_zones:
            _add_business(connection, property_id, time_zone, backfill_start_on, chosen)
            count += 1
    return count


def _add_business(
    connection: Connection,
    property_id: int,
    time_zone: str,
    backfill_start_on: date,
    reports: tuple[str, ...] | None,
) -> None:
    slug, now = f"shop-{property_id}", datetime.now(UTC)
    add_entity(connection, slug, name=f"Shop {property_id}", actor=ACTOR, now=now)
    add_property(
        connection,
        slug,
        property_id,
        connection_id=CONNECTION_ID,
        time_zone=time_zone,
        currency="USD",
        actor=ACTOR,
        now=now,
    )
    edit_setting(
        connection,
        slug,
        known_reports=REPORTS,
        reports=reports,
        backfill_start_on=backfill_start_on,
        actor=ACTOR,
        now=now,
    )
