"""Roles and databases of a new server."""

import psycopg
import pytest

from steadfast.errors import ConfigError
from steadfast.warehouse.bootstrap import bootstrap
from steadfast.warehouse.connect import connect
from steadfast.warehouse.migrate import migrate
from steadfast.webhooks.events import EVENT_TABLES


def ask(url, query):
    with connect(url) as connection:
        return connection.execute(query).fetchone()


def test_it_gives_the_same_answer_twice(postgres_server, logins):
    assert bootstrap(postgres_server) == logins


def test_the_owner_makes_roles_but_is_no_superuser(logins):
    rights = ask(
        logins.owner_url,
        "SELECT rolcreaterole, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user",
    )
    assert rights == (True, False, False)


def test_airflow_owns_its_database_and_sees_no_other(postgres_server, logins):
    assert ask(logins.airflow_url, "SELECT current_user::text, current_database()::text") == (
        "airflow",
        "airflow",
    )
    password = (postgres_server.state / "secrets" / "airflow").read_text()
    with pytest.raises(ConfigError, match="permission denied for database"):
        connect(postgres_server.dsn("airflow", password, "steadfast"))


def test_the_pipeline_gets_in_once_migrated(logins, fact_tables, today):
    migrate(
        logins.owner_url, passwords=logins.passwords, reports=fact_tables, events=EVENT_TABLES, today=today
    )
    assert ask(logins.pipeline_url, "SELECT current_user::text") == ("steadfast_pipeline",)


def test_the_owner_may_hand_out_the_role_that_reads_everything(postgres_server, logins):
    with psycopg.connect(logins.owner_url) as connection:
        connection.execute("CREATE ROLE night_guard IN ROLE steadfast_backup")
        bypasses = connection.execute("SELECT rolbypassrls FROM pg_roles WHERE rolname = 'steadfast_backup'")
        assert bypasses.fetchone() == (True,)
        connection.rollback()


def test_passwords_do_not_show_in_logs_or_representations(postgres_server, logins):
    assert logins.passwords.pipeline not in repr(logins)
    assert postgres_server.cluster.password not in repr(postgres_server)
