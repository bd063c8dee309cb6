"""Connections: our settings on them, and PostgreSQL's failures in our words."""

import socket
import traceback

import psycopg
import pytest

from steadfast.errors import ConfigError, WarehouseBusy
from steadfast.warehouse.connect import connect, translate_errors


def test_it_speaks_utc_and_waits_a_minute_for_locks(database):
    with psycopg.connect(database.owner_url) as connection:
        connection.execute(
            "ALTER ROLE steadfast_owner IN DATABASE " + database.name + " SET timezone = 'Asia/Tokyo'"
        )
    with database.connect() as connection:
        shown = connection.execute(
            "SELECT current_setting('timezone'), current_setting('lock_timeout'), "
            "current_setting('application_name')"
        ).fetchone()
    assert shown == ("UTC", "1min", "test")


def test_a_wrong_password_names_user_and_host_but_no_password(database):
    url = database.server.dsn("steadfast_owner", "not-the-password", database.name)
    with pytest.raises(ConfigError) as refusal:
        connect(url)
    told = "".join(traceback.format_exception(refusal.value))
    assert f"steadfast_owner at 127.0.0.1:{database.server.port}" in str(refusal.value)
    assert "not-the-password" not in told


@pytest.mark.parametrize("name", ["no_such_database", "no_such_role"])
def test_what_does_not_exist_is_a_matter_of_configuration(database, name):
    user = name if name == "no_such_role" else "postgres"
    with pytest.raises(ConfigError, match=name):
        connect(database.server.dsn(user, database.server.cluster.password, name))


def test_a_server_that_is_away_may_come_back():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.raises(WarehouseBusy, match=f"127.0.0.1:{port}"):
        connect(f"postgresql://somebody@127.0.0.1:{port}/steadfast")


def test_an_unreadable_url_is_refused_without_repeating_it():
    url = "postgresql:/somebody:hidden-word@host"
    with pytest.raises(ConfigError) as refusal:
        connect(url)
    assert "hidden-word" not in "".join(traceback.format_exception(refusal.value))


def test_a_lock_that_is_held_means_busy(database):
    with database.connect(autocommit=False) as holder, database.connect() as waiter:
        holder.execute("LOCK TABLE config.business_entity")
        waiter.execute("SET lock_timeout = '10ms'")
        with pytest.raises(WarehouseBusy, match="lock"), translate_errors():
            waiter.execute("SELECT 1 FROM config.business_entity")


def test_a_connection_that_the_server_ends_means_busy(database):
    with database.connect() as killer, database.connect() as victim:
        killer.execute("SELECT pg_terminate_backend(%s)", [victim.info.backend_pid])
        with pytest.raises(WarehouseBusy), translate_errors():
            victim.execute("SELECT 1")
        with pytest.raises(WarehouseBusy), translate_errors():
            victim.execute("SELECT 1")


def test_a_full_disk_means_busy(database):
    with database.connect() as connection, pytest.raises(WarehouseBusy, match="No space"), translate_errors():
        connection.execute("DO $$ BEGIN RAISE EXCEPTION 'No space left' USING ERRCODE = 'disk_full'; END $$")


def test_a_wrong_query_stays_what_it_is(database):
    with database.connect() as connection, pytest.raises(psycopg.errors.UndefinedTable), translate_errors():
        connection.execute("SELECT 1 FROM nowhere")
