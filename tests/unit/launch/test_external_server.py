"""An external PostgreSQL whose role may make databases: Airflow's own database there, and what is refused."""

import tempfile
from pathlib import Path

import psycopg
import pytest

from steadfast.errors import ConfigError
from steadfast.launch.databases import open_databases
from steadfast.settings import Settings
from steadfast.warehouse.connect import connect
from steadfast.warehouse.embedded import start_server


@pytest.fixture(scope="module")
def server():
    with tempfile.TemporaryDirectory(prefix="steadfast-external-") as directory:
        state = Path(directory)
        # PostgreSQL runs as another user when the tests run as root.
        state.chmod(0o755)
        with start_server(state, durable=False) as server:
            with psycopg.connect(server.superuser_dsn(), autocommit=True) as connection:
                connection.execute("CREATE ROLE steadfast_owner LOGIN CREATEROLE CREATEDB PASSWORD 'o'")
                connection.execute("CREATE ROLE visitor LOGIN PASSWORD 'v'")
                connection.execute("CREATE DATABASE steadfast OWNER steadfast_owner")
            yield server


@pytest.fixture
def settings(server):
    yield Settings(warehouse_url=server.dsn("steadfast_owner", "o", "steadfast"))
    with psycopg.connect(server.superuser_dsn(), autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS airflow")
        connection.execute("DROP ROLE IF EXISTS airflow")


def make_role(server, password: str) -> None:
    with psycopg.connect(server.superuser_dsn(), autocommit=True) as connection:
        connection.execute(f"CREATE ROLE airflow LOGIN PASSWORD '{password}'")
        connection.execute("GRANT airflow TO steadfast_owner WITH ADMIN OPTION")


def test_airflow_s_database_is_made_and_closed_to_everybody_else(server, settings, tmp_path):
    with open_databases(tmp_path, settings) as opened, connect(opened.databases.airflow_url) as connection:
        assert connection.info.dbname == "airflow"
    with pytest.raises(ConfigError, match="permission denied for database"):
        connect(server.dsn("visitor", "v", "airflow"))


def test_a_role_that_was_made_before_a_crash_is_taken_up_again(server, settings, tmp_path):
    with open_databases(tmp_path, settings):
        pass
    with psycopg.connect(server.superuser_dsn(), autocommit=True) as connection:
        connection.execute("DROP DATABASE airflow")
    with open_databases(tmp_path, settings) as opened:
        connect(opened.databases.airflow_url).close()


def test_another_airflow_s_role_keeps_its_password(server, settings, tmp_path):
    make_role(server, "theirs")
    for _ in range(2):
        with (
            pytest.raises(ConfigError, match=r"role airflow that this .* did not make.*secrets/airflow"),
            open_databases(tmp_path, settings),
        ):
            pass
    connect(server.dsn("airflow", "theirs", "postgres")).close()


def test_a_role_whose_password_an_administrator_left_us_is_used(server, settings, tmp_path):
    make_role(server, "given")
    (tmp_path / "secrets").mkdir(mode=0o700)
    (tmp_path / "secrets" / "airflow").write_text("given\n", "ascii")
    with open_databases(tmp_path, settings) as opened:
        connect(opened.databases.airflow_url).close()
