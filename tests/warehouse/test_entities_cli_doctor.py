"""`steadfast doctor`: it finds what is broken and says how to mend it."""

import json
from datetime import UTC, datetime

import psycopg
import pytest
from cryptography.fernet import Fernet
from typer.testing import CliRunner

from steadfast.cli import app
from steadfast.entities.businesses import add_entity
from steadfast.entities.sealing import Sealer
from steadfast.entities.webhook_keys import issue_key
from steadfast.entities.webhook_sources import add_source


@pytest.fixture
def doctor(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STEADFAST_MAIL_TO", "ops@example.org")
    monkeypatch.delenv("AIRFLOW_HOME", raising=False)

    def examine(url="", *arguments):
        monkeypatch.setenv("STEADFAST_WAREHOUSE_URL", url)
        return CliRunner().invoke(app, ["doctor", *arguments])

    return examine


def test_a_sound_installation_is_all_ticks(doctor, database):
    found = doctor(database.owner_url)
    assert found.exit_code == 0, found.output
    assert "✗" not in found.stdout
    assert "PostgreSQL 17 answers" in found.stdout
    assert "migrations up to date" in found.stdout
    assert "ops@example.org" in found.stdout


def test_a_missing_server_is_found_and_the_rest_is_still_checked(doctor):
    found = doctor()
    assert found.exit_code == 1
    assert "✗ PostgreSQL cannot be reached" in found.stdout
    assert "make demo" in found.stdout
    assert "✓ time zones known to Python" in found.stdout


def test_a_wrong_password_is_found_and_not_shown(doctor, database):
    found = doctor(database.server.dsn("steadfast_owner", "wrong-one", database.name))
    assert found.exit_code == 1
    assert "password authentication failed" in found.stdout
    assert "wrong-one" not in found.output


def test_an_empty_or_outdated_warehouse_is_sent_to_migrate(doctor, empty_database, database):
    assert "the warehouse is empty\n  → run `steadfast migrate`" in doctor(empty_database.owner_url).stdout
    with database.connect() as connection:
        connection.execute("UPDATE ops.alembic_version SET version_num = '0000'")
    outdated = doctor(database.owner_url)
    assert outdated.exit_code == 1
    assert "✗ the warehouse is at revision 0000" in outdated.stdout


def test_marts_of_another_version_are_found(doctor, database):
    with database.connect() as connection:
        connection.execute("INSERT INTO ops.mart_definition VALUES ('old_mart', 'x', now())")
    assert "✗ the marts are not those of this version" in doctor(database.owner_url).stdout


@pytest.fixture
def sealed_with(database):
    """A function that gives the warehouse a source with a secret sealed by a key."""
    by_test = {"actor": "test", "now": datetime(2026, 11, 20, tzinfo=UTC)}

    def seal(key):
        with database.connect() as connection:
            add_entity(connection, "bakery", name="Bakery", **by_test)
            source = add_source(connection, "bakery", "shop", name="Shop", **by_test)
            issue_key(connection, source, Sealer(key), **by_test)

    return seal


def test_sealing_keys_that_open_every_secret_are_a_tick(doctor, database, sealed_with, monkeypatch):
    assert "✓ no signing secret yet" in doctor(database.owner_url).stdout
    old, new = (Fernet.generate_key().decode() for _ in range(2))
    sealed_with(old)
    monkeypatch.setenv("STEADFAST_SEALING_KEYS", f"{new},{old}")
    assert "✓ the sealing keys open all 1 signing secrets" in doctor(database.owner_url).stdout


def test_a_secret_that_no_sealing_key_opens_is_found(doctor, database, sealed_with, monkeypatch):
    sealed_with(Fernet.generate_key().decode())
    monkeypatch.setenv("STEADFAST_SEALING_KEYS", Fernet.generate_key().decode())
    found = doctor(database.owner_url)
    assert found.exit_code == 1
    assert "✗ signing secrets cannot be opened" in found.stdout
    assert "No key of STEADFAST_SEALING_KEYS opens the secret of bakery/shop (key 1)" in found.stdout


def test_a_sealing_key_that_is_none_is_found_before_it_is_needed(doctor, database, monkeypatch):
    monkeypatch.setenv("STEADFAST_SEALING_KEYS", "abc")
    assert "Key number 1 of STEADFAST_SEALING_KEYS" in doctor(database.owner_url).stdout


def test_a_missing_sealing_key_is_found_and_none_is_made(doctor, database, sealed_with, tmp_path):
    sealed_with(Fernet.generate_key().decode())
    assert "set STEADFAST_SEALING_KEYS" in doctor(database.owner_url).stdout
    assert not (tmp_path / "state").exists()


def test_a_receiver_that_cannot_log_in_is_found(doctor, database):
    with psycopg.connect(database.server.superuser_dsn(), autocommit=True) as superuser:
        superuser.execute("ALTER ROLE steadfast_receiver NOLOGIN")
        try:
            found = doctor(database.owner_url)
        finally:
            superuser.execute("ALTER ROLE steadfast_receiver LOGIN")
    assert found.exit_code == 1
    assert "unable to log in: steadfast_receiver" in found.stdout


@pytest.fixture
def receive_by(monkeypatch, database):
    """A function that sets by which URL the receiver reaches the warehouse."""
    with psycopg.connect(database.server.superuser_dsn(), autocommit=True) as superuser:
        # Roles are the whole server's, and a test of another file may have given this one another password.
        superuser.execute(
            psycopg.sql.SQL("ALTER ROLE steadfast_receiver PASSWORD {}").format(
                psycopg.sql.Literal(database.passwords.receiver)
            )
        )
    return lambda url: monkeypatch.setenv("STEADFAST_RECEIVER_URL", url)


def test_a_receiver_that_can_store_is_a_tick(doctor, database, receive_by):
    assert "the receiver" not in doctor(database.owner_url).stdout
    receive_by(database.receiver_url)
    found = doctor(database.owner_url)
    assert found.exit_code == 0
    assert "✓ the receiver can store events as steadfast_receiver" in found.stdout


def test_a_receiver_whose_url_opens_nothing_is_found_and_its_password_is_not_shown(
    doctor, database, receive_by
):
    receive_by(database.server.dsn("steadfast_receiver", "wrong-one", database.name))
    found = doctor(database.owner_url)
    assert found.exit_code == 1
    assert "✗ the receiver cannot log in to the warehouse" in found.stdout
    assert "STEADFAST_RECEIVER_URL" in found.stdout
    assert "password authentication failed" in found.stdout
    assert "wrong-one" not in found.output


def test_a_receiver_that_is_sent_to_a_database_without_an_inbox_is_found(
    doctor, database, empty_database, receive_by
):
    receive_by(empty_database.owner_url)
    found = doctor(database.owner_url)
    assert f"✗ the receiver has no inbox in {empty_database.name}" in found.stdout
    assert "run `steadfast migrate`" in found.stdout


def test_a_receiver_with_the_role_of_somebody_else_is_found(doctor, database, receive_by):
    with psycopg.connect(database.server.superuser_dsn(), autocommit=True) as superuser:
        superuser.execute("DROP ROLE IF EXISTS somebody")
        superuser.execute("CREATE ROLE somebody LOGIN PASSWORD 'sesame-9'")
        superuser.execute(
            psycopg.sql.SQL("GRANT CONNECT ON DATABASE {} TO somebody").format(
                psycopg.sql.Identifier(database.name)
            )
        )
    receive_by(database.server.dsn("somebody", "sesame-9", database.name))
    found = doctor(database.owner_url).stdout
    with psycopg.connect(database.server.superuser_dsn(), autocommit=True) as superuser:
        superuser.execute(
            psycopg.sql.SQL("REVOKE CONNECT ON DATABASE {} FROM somebody").format(
                psycopg.sql.Identifier(database.name)
            )
        )
        superuser.execute("DROP ROLE somebody")
    assert "✗ the receiver may not store events as somebody" in found
    assert "name steadfast_receiver in STEADFAST_RECEIVER_URL" in found


def test_a_receiver_on_a_server_that_only_reads_is_found(doctor, database, receive_by):
    receive_by(f"{database.receiver_url}?options=-c%20default_transaction_read_only%3Don")
    found = doctor(database.owner_url)
    assert found.exit_code == 1
    assert "✗ the receiver's server takes no writes" in found.stdout


def test_alerts_that_reach_nobody_are_found(doctor, database, monkeypatch):
    monkeypatch.delenv("STEADFAST_MAIL_TO")
    found = doctor(database.owner_url)
    assert found.exit_code == 1
    assert "set STEADFAST_MAIL_TO" in found.stdout


def test_a_misspelt_setting_is_found(doctor, monkeypatch):
    monkeypatch.setenv("STEADFAST_MAIL", "ops@example.org")
    found = doctor()
    assert found.exit_code == 1
    assert "Unknown setting STEADFAST_MAIL" in found.stdout


def test_connections_without_an_airflow_are_named_as_not_checked(doctor, database):
    with database.connect() as connection:
        connection.execute(
            """
            WITH entity AS (
                INSERT INTO config.business_entity (slug, name, created_at, updated_at)
                VALUES ('bakery', 'Bakery', now(), now()) RETURNING entity_id
            )
            INSERT INTO config.ga4_property
            SELECT 7, entity_id, 'Shop', 'bakery_ga4', 'UTC', 'USD', true, now(), now() FROM entity
            """
        )
    assert "not checked, no Airflow is configured here: bakery_ga4" in doctor(database.owner_url).stdout


def test_a_program_gets_the_findings_as_json(doctor, database):
    findings = json.loads(doctor(database.owner_url, "--json").stdout)
    assert all(finding["is_ok"] for finding in findings)
