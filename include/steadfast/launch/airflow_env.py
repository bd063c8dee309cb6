"""The environment that Airflow's processes get: where things are, and secrets made on the first start.

airflow.cfg says how Airflow behaves; only what differs between two launches is here. To hand a
connection to tasks, add it to the sources of the launch (`Sources.connections`).
"""

import base64
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from steadfast.errors import ConfigError
from steadfast.settings import PREFIX, Settings, variable_name
from steadfast.warehouse.secret_files import keep_secret, write_private

ADMIN = "admin"
OWN_DATABASE = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
NEVER_PASSED_ON = frozenset(
    variable_name(setting.name) + form
    for setting in fields(Settings)
    if setting.metadata["is_secret"]
    for form in ("", "_FILE")
)
"""The launcher's own secrets: tasks get Connections of lesser roles instead."""
KEPT_PREFIXES = ("AIRFLOW", PREFIX)


@dataclass(frozen=True)
class AirflowPlace:
    """Where one Airflow lives and what it may reach."""

    home: Path
    """The checkout, with dags/, plugins/ and airflow.cfg."""
    state: Path
    port: int
    database_url: str = field(repr=False)
    warehouse_url: str = field(repr=False)

    @property
    def directory(self) -> Path:
        """AIRFLOW_HOME."""
        return self.state / "airflow"

    @property
    def url(self) -> str:
        """The address of the web page."""
        return f"http://localhost:{self.port}"

    @property
    def password(self) -> str:
        """The password of the user `admin`."""
        return keep_secret(self.state / "secrets", "airflow_admin")


MEMORY = {"MALLOC_ARENA_MAX": "2", "ARROW_DEFAULT_MEMORY_POOL": "system"}
"""Allocators that give large pages back to the system; a day of a million rows takes 60 MB less with them."""


def airflow_environment(
    place: AirflowPlace, connections: Mapping[str, Mapping[str, Any]], inherited: Mapping[str, str]
) -> dict[str, str]:
    """Build the environment; what the user set for Airflow wins over what we would choose."""
    kept = {name: value for name, value in inherited.items() if name not in NEVER_PASSED_ON}
    warehouse = {"steadfast_warehouse": describe_postgres(place.warehouse_url), **connections}
    chosen = {
        **_paths(place),
        **_secrets(place.state / "secrets"),
        **_web(place),
        **{connection_variable(name): json.dumps(value) for name, value in warehouse.items()},
        OWN_DATABASE: place.database_url.replace("postgresql://", "postgresql+psycopg2://", 1),
        "STEADFAST_STATE": str(place.state),
        "STEADFAST_BASE_URL": place.url,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{inherited.get('PATH', os.defpath)}",
        # Airflow's children write lines as they come, not when a buffer is full.
        "PYTHONUNBUFFERED": "1",
        **MEMORY,
    }
    for name in ("NO_PROXY", "no_proxy"):
        chosen[name] = ",".join(filter(None, [inherited.get(name, ""), "localhost", "127.0.0.1"]))
    ours = {"STEADFAST_STATE", "PATH", "NO_PROXY", "no_proxy"}
    return chosen | {name: value for name, value in kept.items() if name not in ours}


def connection_variable(connection_id: str) -> str:
    """The variable in which Airflow looks for the connection `connection_id`."""
    return f"AIRFLOW_CONN_{connection_id.upper()}"


def describe_postgres(url: str) -> dict[str, Any]:
    """Turn a PostgreSQL URL into the fields of an Airflow Connection; its query becomes the extra."""
    parts = urlsplit(url)
    # In a form + is a space, in a PostgreSQL URL it is a plus.
    query = parts.query.replace("+", "%2B")
    return {
        "conn_type": "postgres",
        "host": parts.hostname or "localhost",
        "port": parts.port or 5432,
        "login": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        "schema": unquote(parts.path.lstrip("/")),
        "extra": dict(parse_qsl(query)),
    }


def write_passwords(place: AirflowPlace) -> None:
    """Store the password of `admin` where Airflow's built-in auth manager reads it."""
    place.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_private(place.directory / "passwords.json", json.dumps({ADMIN: place.password}) + "\n")


def keep_environment(state: Path, environment: Mapping[str, str], inherited: Mapping[str, str]) -> None:
    """Store what another terminal lacks, for commands that need this Airflow; it holds secrets.

    That is what differs from the caller's environment, and what the caller set for Airflow and for us.
    """
    kept = {
        name: value
        for name, value in environment.items()
        if inherited.get(name) != value or name.startswith(KEPT_PREFIXES)
    }
    write_private(state / "secrets" / "airflow_environment.json", json.dumps(kept, indent=2))


def read_environment(state: Path) -> dict[str, str]:
    """Return what `keep_environment` stored, or nothing; ConfigError if another user stored it."""
    path = state / "secrets" / "airflow_environment.json"
    try:
        return dict(json.loads(path.read_text("ascii")))
    except FileNotFoundError:
        return {}
    except PermissionError as error:
        raise ConfigError(f"{path} cannot be read: run this as the user who started Steadfast.") from error


def _paths(place: AirflowPlace) -> dict[str, str]:
    return {
        "AIRFLOW_HOME": str(place.directory),
        "AIRFLOW_CONFIG": str(place.home / "airflow.cfg"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(place.home / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(place.home / "plugins"),
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(place.directory / "logs"),
    }


def _secrets(directory: Path) -> dict[str, str]:
    return {
        "AIRFLOW__CORE__FERNET_KEY": _keep_key(directory, "airflow_fernet", 32),
        "AIRFLOW__API__SECRET_KEY": _keep_key(directory, "airflow_api", 32),
        # HS512 wants a key of 64 characters.
        "AIRFLOW__API_AUTH__JWT_SECRET": _keep_key(directory, "airflow_jwt", 48),
    }


def _keep_key(directory: Path, name: str, size: int) -> str:
    path = directory / name
    if not path.exists():
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(path, base64.urlsafe_b64encode(os.urandom(size)).decode())
    return path.read_text("ascii").strip()


def _web(place: AirflowPlace) -> dict[str, str]:
    return {
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(place.port),
        "AIRFLOW__API__BASE_URL": place.url,
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{place.port}/execution/",
        "AIRFLOW__CORE__AUTH_MANAGER": (
            "airflow.api_fastapi.auth.managers.simple.simple_auth_manager.SimpleAuthManager"
        ),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{ADMIN}:ADMIN",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(place.directory / "passwords.json"),
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
    }
