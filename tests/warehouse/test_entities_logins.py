"""Login roles that see one entity: what they may read, and that no other role can be taken over."""

from datetime import UTC, datetime

import psycopg
import pytest

from steadfast.entities.businesses import add_entity
from steadfast.entities.logins import grant_login, list_logins, revoke_login
from steadfast.errors import ConfigError
from steadfast.warehouse.connect import connect

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
BY_ANN = {"actor": "cli:ann", "now": NOW}


@pytest.fixture
def connection(database):
    with database.connect() as connection:
        add_entity(connection, "bakery", name="Bakery", **BY_ANN)
        add_entity(connection, "cafe", name="Café", **BY_ANN)
        yield connection


@pytest.fixture
def role(database, connection):
    """A name that no other test's role has; roles belong to the whole server."""
    name = f"owner_{database.name}"
    yield name
    connection.execute(psycopg.sql.SQL("DROP ROLE IF EXISTS {}").format(psycopg.sql.Identifier(name)))


def log_in(database, role, password):
    return connect(database.server.dsn(role, password, database.name), autocommit=True)


def visible_slugs(connection):
    return [row[0] for row in connection.execute("SELECT slug FROM config.business_entity")]


def test_a_login_sees_its_own_entity_and_no_other_whatever_it_sets(database, connection, role):
    password = grant_login(connection, "bakery", role, **BY_ANN)
    with log_in(database, role, password) as owner:
        assert visible_slugs(owner) == ["bakery"]
        for entity_id in ("1", "2", "0"):
            owner.execute("SELECT set_config('steadfast.entity_id', %s, false)", (entity_id,))
            assert visible_slugs(owner) == ["bakery"]


def test_a_login_may_only_read(database, connection, role):
    password = grant_login(connection, "bakery", role, **BY_ANN)
    with log_in(database, role, password) as owner:
        for attempt in (
            "UPDATE config.business_entity SET name = 'mine'",
            "INSERT INTO config.entity_login VALUES (current_user, 2, now())",
            "CREATE TABLE marts.mine (id integer)",
            "CREATE ROLE friend",
            "SET ROLE steadfast_pipeline",
            "SELECT * FROM landing.ga4_page",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                owner.execute(attempt)


def test_granting_again_gives_a_new_password_and_ends_the_old_one(database, connection, role):
    old = grant_login(connection, "bakery", role, **BY_ANN)
    new = grant_login(connection, "bakery", role, **BY_ANN)
    with pytest.raises(ConfigError, match="password authentication failed"):
        log_in(database, role, old)
    log_in(database, role, new).close()
    assert [login.role_name for login in list_logins(connection, "bakery")] == [role]


def test_a_login_of_another_entity_is_not_taken_over(connection, role):
    grant_login(connection, "bakery", role, **BY_ANN)
    with pytest.raises(ConfigError, match="sees another entity already"):
        grant_login(connection, "cafe", role, **BY_ANN)


def test_a_role_that_we_did_not_make_is_refused(connection, role):
    connection.execute(psycopg.sql.SQL("CREATE ROLE {}").format(psycopg.sql.Identifier(role)))
    with pytest.raises(ConfigError, match="was not made by `steadfast entity grant`"):
        grant_login(connection, "bakery", role, **BY_ANN)
    with pytest.raises(ConfigError, match="nothing to revoke"):
        revoke_login(connection, role, **BY_ANN)
    assert list_logins(connection, "bakery") == []


@pytest.mark.parametrize(
    "name", ["", "1owner", "_owner", "Owner", "own er", "pg_owner", "steadfast_owner", 'x"; DROP', "o" * 64]
)
def test_it_refuses_names_that_are_not_for_logins(connection, name):
    with pytest.raises(ConfigError, match="Role name"):
        grant_login(connection, "bakery", name, **BY_ANN)


def test_a_revoked_login_is_gone_and_its_open_session_sees_nothing(database, connection, role):
    password = grant_login(connection, "bakery", role, **BY_ANN)
    with log_in(database, role, password) as owner:
        assert visible_slugs(owner) == ["bakery"]
        revoke_login(connection, role, **BY_ANN)
        with pytest.raises(psycopg.Error):
            visible_slugs(owner)
    with pytest.raises(ConfigError, match=role):
        log_in(database, role, password)


def test_what_a_login_owns_does_not_keep_it_alive(database, connection, role):
    password = grant_login(connection, "bakery", role, **BY_ANN)
    with log_in(database, role, password) as owner:
        owner.execute("CREATE TEMPORARY TABLE mine (name text)")
        revoke_login(connection, role, **BY_ANN)
    with pytest.raises(ConfigError, match=role):
        log_in(database, role, password)


def test_a_login_may_neither_keep_large_objects_nor_hold_locks_of_the_machinery(database, connection, role):
    password = grant_login(connection, "bakery", role, **BY_ANN)
    with log_in(database, role, password) as owner:
        for call in ("lo_create(0)", "pg_advisory_lock(1)", "pg_try_advisory_xact_lock(1)"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                owner.execute(f"SELECT {call}")


def test_a_login_restored_without_its_role_can_be_granted_again(database, connection, role):
    grant_login(connection, "bakery", role, **BY_ANN)
    connection.execute(psycopg.sql.SQL("DROP ROLE {}").format(psycopg.sql.Identifier(role)))
    password = grant_login(connection, "bakery", role, **BY_ANN)
    with log_in(database, role, password) as owner:
        assert visible_slugs(owner) == ["bakery"]


def test_the_trail_names_the_role_and_never_the_password(connection, role):
    passwords = [grant_login(connection, "bakery", role, **BY_ANN) for _ in range(2)]
    revoke_login(connection, role, **BY_ANN)
    query = "SELECT action, event::text FROM ops.audit_event AS event WHERE object_id = %s ORDER BY event_id"
    trail = connection.execute(query, (role,)).fetchall()
    assert [action for action, _ in trail] == ["grant", "change_password", "revoke"]
    assert not any(password in text for _, text in trail for password in passwords)
