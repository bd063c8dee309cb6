"""Login roles that see one entity and no other: what a business owner's dashboard connects with."""

import secrets
from datetime import datetime
from typing import Any

from psycopg import Connection, sql
from psycopg.errors import DependentObjectsStillExist, InsufficientPrivilege
from psycopg.rows import class_row

from steadfast.entities.audit import record_audit
from steadfast.entities.businesses import show_entity
from steadfast.entities.input_checks import check_role_name
from steadfast.entities.records import EntityLogin
from steadfast.errors import ConfigError
from steadfast.warehouse.bootstrap import scramble
from steadfast.warehouse.queries import load_queries

QUERIES = load_queries("entities")
PASSWORD_BYTES = 24


def grant_login(connection: Connection[Any], slug: str, role_name: str, *, now: datetime, actor: str) -> str:
    """Make a login role for an entity, or give its own one a new password; return the password.

    ConfigError if the role exists and is not that entity's. The password is kept nowhere.
    """
    check_role_name(role_name)
    password = secrets.token_urlsafe(PASSWORD_BYTES)
    with connection.transaction():
        entity_id = show_entity(connection, slug).entity_id
        values = {"role_name": role_name, "entity_id": entity_id, "now": now}
        with connection.cursor(row_factory=class_row(EntityLogin)) as cursor:
            login = cursor.execute(QUERIES["insert_login"], values).fetchone()
        if login is None:
            _change_password(connection, entity_id, role_name, password, actor=actor, now=now)
        else:
            _create_role(connection, role_name, password)
            record_audit(connection, "grant", role_name, after=login, actor=actor, now=now)
    return password


def revoke_login(connection: Connection[Any], role_name: str, *, now: datetime, actor: str) -> EntityLogin:
    """Remove a login role made by `grant_login`; open sessions of it see nothing from now on.

    The login is shut out first and by itself: what it may own elsewhere must not keep it alive.
    """
    role = sql.Identifier(role_name)
    with connection.transaction():
        login = _find(connection, role_name)
        connection.execute(QUERIES["delete_login"], {"role_name": role_name})
        connection.execute(QUERIES["shut_login_role"].format(role=role))
        record_audit(connection, "revoke", role_name, before=login, actor=actor, now=now)
    try:
        with connection.transaction():
            connection.execute(QUERIES["drop_owned_objects"].format(role=role))
            connection.execute(QUERIES["drop_login_role"].format(role=role))
    except (DependentObjectsStillExist, InsufficientPrivilege) as error:
        raise ConfigError(
            f"Role {role_name} can no longer log in, but it owns objects elsewhere and stays: "
            f"{error.diag.message_detail or error.diag.message_primary}. Drop both as a superuser."
        ) from error
    return login


def list_logins(connection: Connection[Any], slug: str) -> list[EntityLogin]:
    """Return the login roles of an entity."""
    entity_id = show_entity(connection, slug).entity_id
    with connection.cursor(row_factory=class_row(EntityLogin)) as cursor:
        return cursor.execute(QUERIES["list_logins"], {"entity_id": entity_id}).fetchall()


def _create_role(connection: Connection[Any], role_name: str, password: str) -> None:
    if _role_exists(connection, role_name):
        raise ConfigError(
            f"Role {role_name} exists on the server and was not made by `steadfast entity grant`; "
            "choose another name."
        )
    _set_password(connection, "create_login_role", role_name, password)
    connection.execute(QUERIES["grant_dashboard"].format(role=sql.Identifier(role_name)))


def _change_password(
    connection: Connection[Any], entity_id: int, role_name: str, password: str, *, actor: str, now: datetime
) -> None:
    login = _find(connection, role_name)
    if login.entity_id != entity_id:
        raise ConfigError(f"Role {role_name} sees another entity already; choose another name or revoke it.")
    if _role_exists(connection, role_name):
        _set_password(connection, "change_role_password", role_name, password)
    else:
        # A restore brings the row but not the role, which belongs to the server.
        _create_role(connection, role_name, password)
    record_audit(connection, "change_password", role_name, after=login, actor=actor, now=now)


def _role_exists(connection: Connection[Any], role_name: str) -> bool:
    found = connection.execute(QUERIES["role_exists"], {"role_name": role_name}).fetchone()
    return bool(found and found[0])


def _set_password(connection: Connection[Any], query: str, role_name: str, password: str) -> None:
    verifier = scramble(connection, role_name, password)
    connection.execute(QUERIES[query].format(role=sql.Identifier(role_name), verifier=verifier))


def _find(connection: Connection[Any], role_name: str) -> EntityLogin:
    with connection.cursor(row_factory=class_row(EntityLogin)) as cursor:
        login = cursor.execute(QUERIES["find_login"], {"role_name": role_name}).fetchone()
    if login is None:
        raise ConfigError(f"Role {role_name!r} was not made by `steadfast entity grant`; nothing to revoke.")
    return login
