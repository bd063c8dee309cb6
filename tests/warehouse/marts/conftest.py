"""A small warehouse that a test fills by hand: entities, and the partitions they published or held back."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row

from steadfast.entities.logins import grant_login, revoke_login
from steadfast.warehouse.connect import connect

from .event_rows import fill_every_event_table

NOW = datetime(2026, 11, 20, 3, 0, tzinfo=UTC)


@dataclass
class Warehouse:
    """Writes as the owner, reads as whoever is asked for."""

    database: Any
    owner: psycopg.Connection
    logins: dict[str, str] = field(default_factory=dict)

    def add_entity(self, slug: str, *property_ids: int, currency: str = "EUR") -> int:
        made = self.owner.execute(
            "INSERT INTO config.business_entity (slug, name, country, created_at, updated_at) "
            "VALUES (%s, %s, 'DE', %s, %s) RETURNING entity_id",
            (slug, slug.title(), NOW, NOW),
        ).fetchone()
        for property_id in property_ids:
            self.owner.execute(
                "INSERT INTO config.ga4_property VALUES (%s, %s, %s, 'c', 'Europe/Berlin', %s, true, %s, %s)",
                (property_id, made[0], f"Site {property_id}", currency, NOW, NOW),
            )
        return made[0]

    def publish(
        self,
        property_id: int,
        report: str,
        day: date,
        *rows: dict[str, Any],
        is_provisional: bool = False,
        fetched_at: datetime | None = None,
        currency: str = "EUR",
    ) -> None:
        """Publish one partition as if it was fetched the next morning."""
        fetched_at = fetched_at or datetime(day.year, day.month, day.day, 2, tzinfo=UTC) + timedelta(days=1)
        self.owner.execute(
            "INSERT INTO ops.partition_ledger (property_id, report, report_date, entity_id, row_count, "
            "is_provisional, currency, run_id, fetched_at, published_at) "
            "SELECT property_id, %s, %s, entity_id, %s, %s, %s, 1, %s, %s FROM config.ga4_property "
            "WHERE property_id = %s",
            (
                report,
                day,
                len(rows),
                is_provisional,
                currency,
                fetched_at,
                fetched_at + timedelta(minutes=1),
                property_id,
            ),
        )
        self.owner.execute("SELECT facts.ensure_month(%s, %s)", (f"fact_{report}", day))
        for row in rows:
            self._insert_fact(property_id, report, day, is_provisional, row)

    def hold(self, property_id: int, report: str, day: date, reason: str) -> None:
        """Hold back a newer fetch of a partition, published before or not."""
        self.owner.execute(
            "INSERT INTO ops.partition_ledger (property_id, report, report_date, entity_id, run_id, "
            "fetched_at, held_at, held_reason) SELECT property_id, %s, %s, entity_id, 2, %s, %s, %s "
            "FROM config.ga4_property WHERE property_id = %s ON CONFLICT (property_id, report, report_date) "
            "DO UPDATE SET held_at = excluded.held_at, held_reason = excluded.held_reason",
            (report, day, NOW, NOW, reason, property_id),
        )

    def read(self, mart: str, order: str = "", **where: Any) -> list[dict[str, Any]]:
        """Rows of a mart that equal `where`, sorted by a column."""
        return select(self.owner, mart, order, **where)

    def log_in(self, slug: str) -> psycopg.Connection:
        """A connection with the entity's own login role."""
        if slug not in self.logins:
            # Roles belong to the server, which the tests share.
            role = f"{slug}_{uuid.uuid4().hex[:8]}"
            password = grant_login(self.owner, slug, role, now=NOW, actor="test")
            self.logins[slug] = self.database.server.dsn(role, password, self.database.name)
        return connect(self.logins[slug], autocommit=True)

    def _insert_fact(
        self, property_id: int, report: str, day: date, is_provisional: bool, row: dict[str, Any]
    ) -> None:
        values = {
            "entity_id": self.owner.execute(
                "SELECT entity_id FROM config.ga4_property WHERE property_id = %s", (property_id,)
            ).fetchone()[0],
            "property_id": property_id,
            "report_date": day,
            "dim_key": uuid.uuid4(),
            "run_id": 1,
            "is_provisional": is_provisional,
            **row,
        }
        query = sql.SQL("INSERT INTO facts.{} ({}) VALUES ({})").format(
            sql.Identifier(f"fact_{report}"),
            sql.SQL(", ").join(map(sql.Identifier, values)),
            sql.SQL(", ").join(sql.Placeholder() * len(values)),
        )
        self.owner.execute(query, list(values.values()))


def select(connection: psycopg.Connection, mart: str, order: str = "", **where: Any) -> list[dict[str, Any]]:
    query = sql.SQL("SELECT * FROM {}").format(sql.Identifier("marts", mart))
    if where:
        wanted = [sql.SQL("{} = {}").format(sql.Identifier(c), sql.Placeholder(c)) for c in where]
        query += sql.SQL(" WHERE ") + sql.SQL(" AND ").join(wanted)
    if order:
        query += sql.SQL(" ORDER BY ") + sql.Identifier(order)
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query, where).fetchall()


@pytest.fixture
def warehouse(database) -> Iterator[Warehouse]:
    """An empty warehouse of the test's own."""
    with database.connect() as owner:
        yield Warehouse(database, owner)


@pytest.fixture(scope="module")
def two_entities(empty_databases, migrated_template) -> Iterator[Warehouse]:
    """Two entities with rows in every report and event type: every mart has something to leak.

    Tests leave it as it is.
    """
    database = empty_databases(migrated_template)
    with database.connect() as owner:
        made = Warehouse(database, owner)
        for slug, property_id in (("acme", 1001), ("globex", 2001)):
            made.add_entity(slug, property_id)
            for report, period in REPORT_PERIODS.items():
                made.publish(property_id, report, period, ROWS_WITH_SOMETHING_TO_LEAK.get(report, {}))
            fill_every_event_table(made, slug, date(2026, 11, 18))
        yield made
        for dsn in made.logins.values():
            revoke_login(owner, conninfo_to_dict(dsn)["user"], now=NOW, actor="test")
    with psycopg.connect(database.server.superuser_dsn(), autocommit=True) as superuser:
        superuser.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database.name)))


REPORT_PERIODS = {
    **dict.fromkeys(
        (
            "daily_totals",
            "traffic_acquisition",
            "user_acquisition",
            "pages",
            "landing_pages",
            "geo",
            "tech",
            "events",
            "items",
        ),
        date(2026, 11, 18),
    ),
    "weekly_users": date(2026, 11, 9),
    "monthly_users": date(2026, 10, 1),
}
ROWS_WITH_SOMETHING_TO_LEAK = {
    "events": {"key_events": 1},
    "traffic_acquisition": {"session_source": "google", "session_medium": "organic"},
}


@pytest.fixture
def backend(two_entities) -> Iterator[psycopg.Connection]:
    """A trusted backend that serves many entities over one login."""
    name = f"backend_{uuid.uuid4().hex[:8]}"
    role = sql.Identifier(name)
    two_entities.owner.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'only for this test'").format(role))
    two_entities.owner.execute(sql.SQL("GRANT steadfast_backend TO {}").format(role))
    dsn = two_entities.database.server.dsn(name, "only for this test", two_entities.database.name)
    with connect(dsn, autocommit=True) as connection:
        yield connection
    two_entities.owner.execute(sql.SQL("DROP ROLE {}").format(role))
