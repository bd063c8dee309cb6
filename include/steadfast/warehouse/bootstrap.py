"""What only a superuser can make, once per server: the login roles and databases of Steadfast and Airflow.

On an external server an administrator does the same by hand; docs/configuration.md lists the commands.
"""

from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from steadfast.warehouse.embedded import EmbeddedServer
from steadfast.warehouse.queries import load_queries
from steadfast.warehouse.secret_files import keep_secret

OWNER = "steadfast_owner"
PIPELINE = "steadfast_pipeline"
RECEIVER = "steadfast_receiver"
BACKUP = "steadfast_backup"
AIRFLOW = "airflow"
WAREHOUSE_DATABASE = "steadfast"


@dataclass(frozen=True)
class RolePasswords:
    """The passwords that `migrate` gives to the roles that log in."""

    pipeline: str = field(repr=False)
    receiver: str = field(repr=False)

    def by_role(self) -> dict[str, str]:
        """Role -> password."""
        return {PIPELINE: self.pipeline, RECEIVER: self.receiver}


@dataclass(frozen=True)
class Databases:
    """Where the two databases are, as each role reaches them."""

    owner_url: str = field(repr=False)
    airflow_url: str = field(repr=False)
    pipeline_url: str = field(repr=False)
    receiver_url: str = field(repr=False)
    passwords: RolePasswords = field(repr=False)


def bootstrap(server: EmbeddedServer) -> Databases:
    """Make the roles and databases that are missing; passwords are kept in the state directory."""
    secrets = server.state / "secrets"
    passwords = {role: keep_secret(secrets, role) for role in (OWNER, AIRFLOW, PIPELINE, RECEIVER)}
    with psycopg.connect(server.superuser_dsn(), autocommit=True) as connection:
        _ensure_login(connection, OWNER, passwords[OWNER])
        _ensure_login(connection, AIRFLOW, passwords[AIRFLOW])
        for step in ("let_owner_create_roles", "create_backup_role", "let_owner_grant_backup_role"):
            connection.execute(load_queries("bootstrap")[step])
        _ensure_database(connection, WAREHOUSE_DATABASE, OWNER)
        _ensure_database(connection, AIRFLOW, AIRFLOW)
    close_functions(server.superuser_dsn(WAREHOUSE_DATABASE))
    return Databases(
        owner_url=server.dsn(OWNER, passwords[OWNER], WAREHOUSE_DATABASE),
        airflow_url=server.dsn(AIRFLOW, passwords[AIRFLOW], AIRFLOW),
        pipeline_url=server.dsn(PIPELINE, passwords[PIPELINE], WAREHOUSE_DATABASE),
        receiver_url=server.dsn(RECEIVER, passwords[RECEIVER], WAREHOUSE_DATABASE),
        passwords=RolePasswords(passwords[PIPELINE], passwords[RECEIVER]),
    )


def close_functions(superuser_url: str) -> None:
    """Leave to the owner the functions with which a reader could get in the machinery's way."""
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute(load_queries("bootstrap")["close_functions"])


def scramble(connection: psycopg.Connection, role: str, password: str) -> sql.Literal:
    """The SCRAM verifier of `password`, so that the password itself never reaches a server log."""
    verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256")
    return sql.Literal(verifier.decode())


def _ensure_login(connection: psycopg.Connection, role: str, password: str) -> None:
    queries = load_queries("bootstrap")
    name = "create_login" if _is_missing(connection, "find_role", role) else "set_password"
    verifier = scramble(connection, role, password)
    connection.execute(queries[name].format(role=sql.Identifier(role), verifier=verifier))


def _ensure_database(connection: psycopg.Connection, database: str, owner: str) -> None:
    if _is_missing(connection, "find_database", database):
        names = {"database": sql.Identifier(database), "owner": sql.Identifier(owner)}
        connection.execute(load_queries("bootstrap")["create_database"].format(**names))
        connection.execute(load_queries("bootstrap")["close_database"].format(**names))


def _is_missing(connection: psycopg.Connection, query: str, name: str) -> bool:
    return connection.execute(load_queries("bootstrap")[query], {"name": name}).fetchone() is None
