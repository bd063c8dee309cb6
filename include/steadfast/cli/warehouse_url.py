"""Where the commands find the warehouse: the one of the settings, else the embedded one if it runs."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from psycopg import Connection
from psycopg.errors import InsufficientPrivilege, InvalidSchemaName, UndefinedColumn, UndefinedTable

from steadfast.errors import ConfigError
from steadfast.settings import Settings, load_settings
from steadfast.warehouse.bootstrap import OWNER, WAREHOUSE_DATABASE
from steadfast.warehouse.connect import connect, translate_errors

HOW_TO_START = "start it with `make up` or `make demo`, or set STEADFAST_WAREHOUSE_URL"


def owner_url(settings: Settings) -> str:
    """The URL of the role that migrates and administers; ConfigError if there is no warehouse to reach."""
    return settings.warehouse_url or find_running(settings.state)


def find_running(state: Path) -> str:
    """The owner's URL of the embedded server of a state directory; ConfigError if it does not run."""
    port_file, password_file = state / "postgres.port", state / "secrets" / OWNER
    try:
        port, password = int(port_file.read_text("ascii")), password_file.read_text("ascii").strip()
    except FileNotFoundError as error:
        hint = f"set STEADFAST_STATE={state / 'demo'} for the demo's, " if (state / "demo").is_dir() else ""
        place = f"There is no embedded warehouse in {state.resolve()}"
        raise ConfigError(f"{place}: {hint}{HOW_TO_START}.") from error
    except PermissionError as error:
        raise ConfigError(
            f"{error.filename} cannot be read: run this as the user who started the warehouse."
        ) from error
    try:
        socket.create_connection(("127.0.0.1", port), timeout=2).close()
    except OSError as error:
        raise ConfigError(f"The warehouse of {state.resolve()} does not run: {HOW_TO_START}.") from error
    return f"postgresql://{OWNER}:{quote(password)}@127.0.0.1:{port}/{WAREHOUSE_DATABASE}"


@contextmanager
def open_warehouse() -> Iterator[Connection[Any]]:
    """Yield an owner's connection; what was done is committed at the end, or nothing after an error."""
    with translate_errors(), connect(owner_url(load_settings()), application="steadfast cli") as connection:
        try:
            yield connection
        except (UndefinedTable, UndefinedColumn, InvalidSchemaName) as error:
            raise ConfigError("The warehouse is not up to date: run `steadfast migrate` first.") from error
        except InsufficientPrivilege as error:
            raise ConfigError(
                f"The role {connection.info.user} may not do this: {error.diag.message_primary}. "
                "STEADFAST_WAREHOUSE_URL must name the role that ran `steadfast migrate`."
            ) from error
