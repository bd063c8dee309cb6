"""Partitions on demand, added by a role that owns nothing."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import psycopg
import pytest

from steadfast.errors import ConfigError
from steadfast.warehouse.partitions import ensure_day_partitions, ensure_month_partitions

FIRST, LAST = date(2024, 12, 31), date(2025, 2, 1)


def test_the_pipeline_adds_the_months_between_two_days(database):
    with database.connect_pipeline() as connection:
        made = ensure_month_partitions(connection, "fact_pages", FIRST, LAST)
        assert made == ["fact_pages_2024_12", "fact_pages_2025_01", "fact_pages_2025_02"]
        assert ensure_month_partitions(connection, "fact_pages", FIRST, LAST) == []


@pytest.mark.parametrize("day", [FIRST, date(2025, 1, 1), date(2025, 1, 31), LAST, date(2025, 2, 28)])
def test_every_day_of_a_month_has_its_place(database, day):
    with database.connect_pipeline() as connection:
        ensure_month_partitions(connection, "fact_pages", FIRST, LAST)
        place = connection.execute(
            "INSERT INTO facts.fact_pages (entity_id, property_id, report_date, dim_key, run_id, "
            "is_provisional) VALUES (1, 1, %s, gen_random_uuid(), 1, false) "
            "RETURNING tableoid::regclass::text",
            [day],
        ).fetchone()
    assert place == (f"facts.fact_pages_{day:%Y_%m}",)


@pytest.mark.parametrize("moment", ["00:00:00", "12:00:00", "23:59:59.999999"])
def test_landing_has_a_partition_for_every_utc_day(database, moment):
    with database.connect() as connection:
        connection.execute("CREATE TABLE landing.page (at timestamptz NOT NULL) PARTITION BY RANGE (at)")
        connection.execute("SET timezone = 'Asia/Tokyo'")
        made = ensure_day_partitions(connection, "page", date(2027, 1, 19), date(2027, 1, 20))
        assert made == ["page_2027_01_19", "page_2027_01_20"]
        place = connection.execute(
            "INSERT INTO landing.page VALUES (%s) RETURNING tableoid::regclass::text",
            [f"2027-01-19 {moment}+00"],
        )
        assert place.fetchone() == ("landing.page_2027_01_19",)


def test_the_pipeline_adds_days_of_landing(database, today):
    with database.connect_pipeline() as connection:
        day = today + timedelta(days=60)
        assert ensure_day_partitions(connection, "ga4_page", day, day) == ["ga4_page_2027_01_19"]
        assert ensure_day_partitions(connection, "ga4_page", day, day) == []


def test_two_that_need_the_same_month_get_one(database):
    def add(_number):
        with database.connect_pipeline() as connection:
            return ensure_month_partitions(connection, "fact_pages", FIRST, LAST)

    with ThreadPoolExecutor(4) as pool:
        made = [name for names in pool.map(add, range(4)) for name in names]
    assert sorted(made) == ["fact_pages_2024_12", "fact_pages_2025_01", "fact_pages_2025_02"]


def test_a_new_month_does_not_wait_for_readers_and_writers(database, today):
    with database.connect_pipeline(autocommit=False) as busy, database.connect_pipeline() as connection:
        busy.execute(
            "INSERT INTO facts.fact_pages (entity_id, property_id, report_date, dim_key, run_id, "
            "is_provisional) VALUES (1, 1, %s, gen_random_uuid(), 1, false)",
            [today],
        )
        connection.execute("SET lock_timeout = '1s'")
        assert ensure_month_partitions(connection, "fact_pages", LAST, LAST) == ["fact_pages_2025_02"]


@pytest.mark.parametrize("table", ["no_such_table", "fact_pages_2026_11", "x; DROP SCHEMA facts"])
def test_only_partitioned_tables_get_partitions(database, table):
    with (
        database.connect_pipeline() as connection,
        pytest.raises(ConfigError, match="not a partitioned table"),
    ):
        ensure_month_partitions(connection, table, FIRST, LAST)


def test_the_pipeline_cannot_reach_other_schemas_through_it(database):
    with database.connect_pipeline() as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(
            "SELECT ops.add_range_partition('landing', 'ga4_page', 'x', '2000-01-01', '2000-01-02')"
        )
