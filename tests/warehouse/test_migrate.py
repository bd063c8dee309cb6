"""Migrating: from nothing, again, twice at once, and when something is in the way."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import alembic.command
import pytest
from alembic.config import Config

from steadfast.errors import ConfigError
from steadfast.warehouse.bootstrap import RolePasswords
from steadfast.warehouse.connect import connect
from steadfast.warehouse.locations import sql_directory
from steadfast.warehouse.migrate import migrate
from steadfast.webhooks.events import EVENT_TABLES


@pytest.fixture
def migrate_it(empty_database, fact_tables, today):
    def run(**changes):
        wanted = {
            "passwords": empty_database.passwords,
            "reports": fact_tables,
            "events": EVENT_TABLES,
            "today": today,
        }
        return migrate(empty_database.owner_url, **{**wanted, **changes})

    return run


def test_from_nothing_it_makes_everything_and_says_so(migrate_it, empty_database, fact_tables):
    report = migrate_it()
    assert report.has_changed
    assert report.schema.before is None
    assert report.facts == tuple(table.name for table in (*fact_tables, *EVENT_TABLES))
    assert "fact_pages_2026_11" in report.partitions
    assert "daily_overview" in report.marts
    with empty_database.connect_pipeline() as connection:
        assert connection.execute("SELECT count(*) FROM facts.fact_pages").fetchone() == (0,)


def test_the_second_time_there_is_nothing_to_do(migrate_it):
    first = migrate_it()
    second = migrate_it()
    assert not second.has_changed
    assert str(second) == f"Nothing to do: the warehouse is at revision {first.schema.after}."


def test_two_at_once_both_finish_and_one_does_the_work(migrate_it):
    with ThreadPoolExecutor(2) as pool:
        reports = [run.result() for run in [pool.submit(migrate_it), pool.submit(migrate_it)]]
    assert sorted(report.has_changed for report in reports) == [False, True]


def test_a_month_later_it_only_adds_partitions(migrate_it, today):
    migrate_it()
    report = migrate_it(today=today.replace(month=12))
    assert "fact_pages_2027_03" in report.partitions
    assert not report.facts
    assert not report.marts


def test_a_new_password_replaces_the_old_one(migrate_it, empty_database):
    migrate_it()
    url = empty_database.server.dsn("steadfast_pipeline", "another-password", empty_database.name)
    try:
        assert migrate_it(passwords=RolePasswords("another-password", "another")).is_password_set
        connect(url).close()
        with pytest.raises(ConfigError):
            empty_database.connect_pipeline()
    finally:
        # Roles belong to the whole server, which other tests use too.
        migrate_it()


def test_a_new_column_of_a_report_is_added_to_its_table(migrate_it, empty_database, fact_tables):
    migrate_it()
    pages = next(table for table in fact_tables if table.name == "fact_pages")
    wider = replace(pages, metrics=(*pages.metrics, ("scrolled_users", "bigint")))
    assert migrate_it(reports=[wider]).facts == ("fact_pages.scrolled_users",)


def test_a_warehouse_of_a_newer_version_is_left_alone(migrate_it, empty_database):
    migrate_it()
    with empty_database.connect() as connection:
        connection.execute("UPDATE ops.alembic_version SET version_num = '9999'")
    with pytest.raises(ConfigError, match=r"revision 9999.*newer version"):
        migrate_it()


def test_there_is_no_way_back():
    config = Config()
    config.set_main_option("script_location", str(sql_directory() / "migrations"))
    config.set_main_option("path_separator", "os")
    with pytest.raises(ConfigError, match="only forward"):
        alembic.command.downgrade(config, "base")
