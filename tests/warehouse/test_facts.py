"""Fact tables made from descriptions, and who sees what in them."""

import uuid
from dataclasses import replace

import psycopg
import pytest
from psycopg import sql

from steadfast.errors import ConfigError
from steadfast.warehouse.facts import FactTable, ensure_fact_tables
from steadfast.warehouse.partitions import ensure_month_partitions

VISITS = FactTable(
    "fact_visits",
    "report_date",
    ("channel", "page_path"),
    (("visits", "bigint"), ("revenue", "numeric(20,6)"), ("value", "double precision")),
)


@pytest.fixture
def visits(database, today):
    """A new fact table with a row of entity 1 and a row of entity 2."""
    with database.connect() as connection:
        ensure_fact_tables(connection, [VISITS])
    with database.connect_pipeline() as connection:
        ensure_month_partitions(connection, VISITS.name, today, today)
        for entity in (1, 2):
            connection.execute(
                "INSERT INTO facts.fact_visits (entity_id, property_id, report_date, dim_key, channel, "
                "visits, run_id, is_provisional) VALUES (%s, %s, %s, %s, 'Direct', 7, 1, false)",
                [entity, entity * 100, today, uuid.UUID(int=entity)],
            )
    return database


@pytest.fixture
def login(visits):
    """A dashboard login of entity 1; roles outlive a database, so it is dropped by hand."""
    name = f"shop_of_{visits.name}"
    role = sql.Identifier(name)
    with visits.connect() as connection:
        connection.execute(sql.SQL("CREATE ROLE {} IN ROLE steadfast_dashboard").format(role))
        connection.execute(
            "INSERT INTO config.business_entity (slug, name, created_at, updated_at) "
            "VALUES ('one', 'One', now(), now()), ('two', 'Two', now(), now())"
        )
        connection.execute("INSERT INTO config.entity_login VALUES (%s, 1, now())", [name])
        yield name
        connection.execute(sql.SQL("DROP ROLE {}").format(role))


def read_as(database, role, query):
    with psycopg.connect(database.server.superuser_dsn(database.name)) as connection:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
        connection.execute("SET steadfast.entity_id = '2'")
        return connection.execute(query).fetchall()


def test_a_description_becomes_a_partitioned_table(visits):
    with visits.connect() as connection:
        row = connection.execute(
            "SELECT channel, page_path, visits, revenue, value FROM facts.fact_visits"
        ).fetchone()
    assert row == ("Direct", "", 7, 0, 0.0)


def test_a_row_of_the_same_source_day_and_dimensions_exists_once(visits, today):
    with visits.connect_pipeline() as connection, pytest.raises(psycopg.errors.UniqueViolation):
        connection.execute(
            "INSERT INTO facts.fact_visits (entity_id, property_id, report_date, dim_key, run_id, "
            "is_provisional) VALUES (1, 100, %s, %s, 2, true)",
            [today, uuid.UUID(int=1)],
        )


def test_an_entitys_login_sees_that_entity_whatever_it_sets(visits, login):
    assert read_as(visits, login, "SELECT entity_id FROM facts.fact_visits") == [(1,)]


def test_no_partition_is_a_way_around_the_policy(visits, login):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        read_as(visits, login, "SELECT entity_id FROM facts.fact_visits_2026_11")


def test_a_trusted_backend_sees_the_entity_it_names(visits):
    assert read_as(visits, "steadfast_backend", "SELECT entity_id FROM facts.fact_visits") == [(2,)]


def test_pipeline_and_backup_see_all(visits):
    for role in ("steadfast_pipeline", "steadfast_backup"):
        assert read_as(visits, role, "SELECT count(*) FROM facts.fact_visits") == [(2,)]


def test_the_same_description_changes_nothing(visits):
    with visits.connect() as connection:
        assert ensure_fact_tables(connection, [VISITS]) == []


def test_new_columns_start_empty_on_old_rows(visits):
    wider = replace(
        VISITS, dimensions=(*VISITS.dimensions, "city"), metrics=(*VISITS.metrics, ("clicks", "bigint"))
    )
    with visits.connect() as connection:
        assert ensure_fact_tables(connection, [wider]) == ["fact_visits.city", "fact_visits.clicks"]
        assert connection.execute("SELECT DISTINCT city, clicks FROM facts.fact_visits").fetchall() == [
            ("", 0)
        ]


def test_another_type_for_a_column_is_refused(visits):
    other = replace(VISITS, metrics=(("visits", "double precision"),))
    with visits.connect() as connection, pytest.raises(ConfigError, match="is bigint in the warehouse"):
        ensure_fact_tables(connection, [other])


@pytest.mark.parametrize(
    "change",
    [
        {"name": "Fact Visits"},
        {"name": "f" * 60},
        {"dimensions": ("visits",)},
        {"dimensions": ("run_id",)},
        {"metrics": (("visits", "text; DROP TABLE x"),)},
        {"metrics": (("Visits!", "bigint"),)},
    ],
)
def test_a_description_that_cannot_be_a_table_is_refused(change):
    with pytest.raises(ConfigError):
        replace(VISITS, **change)
