"""Connections to the warehouse, and PostgreSQL's failures in our own words: wait, or change something."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from steadfast.errors import ConfigError, WarehouseBusy

LOCK_SECONDS = 60
_DEFAULTS: dict[str, Any] = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 60_000,
}
_REFUSALS = (
    "password authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "is not permitted to log in",
    "does not exist",
    "permission denied for database",
)
_PASSING_STATES = {
    "25P03": "a transaction stood still for too long",
    "40001": "another transaction changed the same rows",
    "40P01": "two transactions waited for each other",
    "55P03": "a lock was not free in time",
    "57P01": "the server is stopping",
    "57P02": "the server crashed and recovers",
    "57P03": "the server is starting",
}
_PASSING_CLASSES = {"08": "the connection was lost", "53": "the server has run out of something"}


def connect(url: str, *, autocommit: bool = False, application: str = "steadfast") -> psycopg.Connection:
    """Open a connection in UTC whose statements wait at most 60 s for a lock.

    ConfigError if the server refuses us (it names user and host), WarehouseBusy if it is away.
    """
    given = _parse_url(url)
    options = f"-c lock_timeout={LOCK_SECONDS}s {given.get('options') or ''}".strip()
    conninfo = make_conninfo(**{**_DEFAULTS, **given, "options": options, "application_name": application})
    try:
        connection = psycopg.connect(conninfo, autocommit=True)
    except psycopg.OperationalError as error:
        raise _explain_refusal(given, error) from error
    if connection.info.parameter_status("TimeZone") not in ("UTC", "GMT", "Etc/UTC"):
        connection.execute("SET TIME ZONE 'UTC'")
    connection.autocommit = autocommit
    return connection


@contextmanager
def translate_errors() -> Iterator[None]:
    """Turn failures that pass by themselves into WarehouseBusy; everything else stays what it is."""
    try:
        yield
    except psycopg.Error as error:
        reason = _find_passing_reason(error)
        if reason is None:
            raise
        raise WarehouseBusy(f"The warehouse is busy, {reason}: {_first_line(error)}") from error


def _find_passing_reason(error: psycopg.Error) -> str | None:
    state = error.sqlstate or ""
    if state:
        return _PASSING_STATES.get(state) or _PASSING_CLASSES.get(state[:2])
    is_lost = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return _PASSING_CLASSES["08"] if is_lost else None


def _parse_url(url: str) -> dict[str, Any]:
    try:
        given = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        # Without its cause: libpq quotes the text it cannot read, and the password may be in it.
        given = {}
    if not given or _has_torn_password(given):
        raise ConfigError(
            "The URL of the warehouse cannot be read; it looks like postgresql://user:password@host:5432/name."
            " In a password @ is %40, / is %2F and : is %3A."
        )
    return given


def _has_torn_password(given: dict[str, Any]) -> bool:
    # A password with a bare @ or / leaves a piece of itself in the host or the port, which messages name.
    ports = str(given.get("port", "")).split(",")
    return "@" in str(given.get("host", "")) or not all(port.isdecimal() for port in ports if port)


def _explain_refusal(given: dict[str, Any], error: psycopg.OperationalError) -> Exception:
    place = f"{given.get('host', 'localhost')}:{given.get('port', 5432)}"
    who = f"{given.get('user', 'the default user')} at {place}"
    text = _first_line(error)
    if any(refusal in str(error) for refusal in _REFUSALS):
        return ConfigError(f"PostgreSQL refuses {who}, database {given.get('dbname')}: {text}")
    return WarehouseBusy(f"PostgreSQL does not answer {who}: {text}")


def _first_line(error: Exception) -> str:
    return " ".join(str(error).split())
