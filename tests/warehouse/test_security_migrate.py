"""What `migrate` leaves open on a server that others use too: older roles, the database, new marts."""

import traceback

import psycopg
import pytest
from psycopg import sql

from steadfast.errors import ConfigError
from steadfast.warehouse.bootstrap import RolePasswords
from steadfast.warehouse.connect import connect
from steadfast.warehouse.locations import sql_directory
from steadfast.warehouse.marts import Mart, apply_marts
from steadfast.warehouse.migrate import migrate
from steadfast.warehouse.queries import load_queries
from steadfast.webhooks.events import EVENT_TABLES


@pytest.fixture
def migrate_it(fact_tables, today):
    def run(database):
        passwords = database.passwords
        return migrate(
            database.owner_url, passwords=passwords, reports=fact_tables, events=EVENT_TABLES, today=today
        )

    return run


@pytest.fixture
def superuser(database):
    with psycopg.connect(database.server.superuser_dsn(database.name), autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize(
    ("give", "take", "complaint"),
    [
        (
            "ALTER ROLE steadfast_dashboard BYPASSRLS",
            "ALTER ROLE steadfast_dashboard NOBYPASSRLS",
            "steadfast_dashboard has BYPASSRLS",
        ),
        (
            "ALTER ROLE steadfast_receiver SUPERUSER",
            "ALTER ROLE steadfast_receiver NOSUPERUSER",
            "steadfast_receiver has SUPERUSER",
        ),
        (
            "GRANT pg_read_all_data TO steadfast_dashboard",
            "REVOKE pg_read_all_data FROM steadfast_dashboard",
            "steadfast_dashboard has the rights of pg_read_all_data",
        ),
    ],
)
def test_a_role_of_our_name_that_may_more_than_ours_stops_the_migration(
    database, superuser, migrate_it, give, take, complaint
):
    superuser.execute(give)
    try:
        with pytest.raises(ConfigError, match=complaint):
            migrate_it(database)
    finally:
        superuser.execute(take)
    assert not migrate_it(database).has_changed


def test_a_migrated_database_is_closed_to_roles_that_are_not_ours(database, superuser, migrate_it):
    migrate_it(database)
    stranger = sql.Identifier(f"stranger_{database.name}")
    superuser.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'a-password'").format(stranger))
    try:
        url = database.server.dsn(f"stranger_{database.name}", "a-password", database.name)
        with pytest.raises(ConfigError, match="permission denied for database"):
            connect(url)
    finally:
        superuser.execute(sql.SQL("DROP ROLE {}").format(stranger))


def test_another_owner_is_told_why_it_cannot_migrate_a_second_warehouse(
    empty_database, superuser, fact_tables, today
):
    owner, database = f"owner_{empty_database.name}", sql.Identifier(empty_database.name)
    role = sql.Identifier(owner)
    superuser.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEROLE PASSWORD 'a-password'").format(role))
    superuser.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(database, role))
    url = empty_database.server.dsn(owner, "a-password", empty_database.name)
    try:
        with pytest.raises(ConfigError, match="one role migrates every warehouse of a server"):
            migrate(
                url,
                passwords=RolePasswords("another", "another"),
                reports=fact_tables,
                events=EVENT_TABLES,
                today=today,
            )
        empty_database.connect_pipeline().close()
    finally:
        superuser.execute(sql.SQL("ALTER DATABASE {} OWNER TO steadfast_owner").format(database))
        with psycopg.connect(empty_database.server.superuser_dsn(empty_database.name)) as inside:
            inside.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(role))
        superuser.execute(sql.SQL("DROP ROLE {}").format(role))


def test_two_warehouses_of_one_server_migrate_one_after_the_other(database, empty_databases, migrate_it):
    other = empty_databases()
    try:
        assert migrate_it(other).has_changed
        assert not migrate_it(database).has_changed
        assert not migrate_it(other).has_changed
    finally:
        with psycopg.connect(database.server.superuser_dsn(), autocommit=True) as connection:
            drop = sql.SQL("DROP DATABASE {} WITH (FORCE)")
            connection.execute(drop.format(sql.Identifier(other.name)))


@pytest.mark.parametrize("options", ["", "WITH (security_invoker = false)", "WITH (security_barrier)"])
def test_a_mart_that_would_show_every_entity_to_every_reader_is_refused(database, options):
    view = "CREATE VIEW marts.leak OPTIONS AS SELECT entity_id FROM facts.fact_events;\n"
    mart = Mart("leak", view.replace("OPTIONS", options))
    with database.connect() as owner:
        with pytest.raises(ConfigError, match=r"marts\.leak would show every entity"):
            apply_marts(owner, {"leak": mart})
        assert owner.execute("SELECT to_regclass('marts.leak'), to_regclass('marts.events')").fetchone() == (
            None,
            "marts.events",
        )


def test_what_is_materialised_is_not_for_readers(database, superuser):
    text = "CREATE MATERIALIZED VIEW marts.stored AS SELECT entity_id FROM facts.fact_events;\n"
    with database.connect() as owner:
        apply_marts(owner, {"stored": Mart("stored", text)})
    superuser.execute("SET ROLE steadfast_dashboard")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        superuser.execute("SELECT * FROM marts.stored")


@pytest.mark.parametrize("password", ["xyzzy@plugh", "xyzzy/plugh", "xyzzy:plugh/xyzzy"])
def test_a_password_that_the_url_tears_apart_is_not_repeated(database, password):
    url = f"postgresql://somebody:{password}@127.0.0.1:{database.server.port}/x"
    with pytest.raises(ConfigError, match="%40") as refusal:
        connect(url)
    told = "".join(traceback.format_exception(refusal.value))
    assert not [piece for piece in ("xyzzy", "plugh") if piece in told]


def test_the_server_log_which_quotes_rows_is_for_its_owner_only(postgres_server):
    assert (postgres_server.state / "postgres.log").stat().st_mode & 0o777 == 0o600


def test_the_server_of_docker_compose_closes_the_same_functions_as_the_embedded_one():
    script = (sql_directory().parent / "deploy" / "init-databases.sh").read_text("utf-8")
    shipped = load_queries("bootstrap")["close_functions"].as_string(None)
    assert " ".join(shipped.split()) in " ".join(script.split())
