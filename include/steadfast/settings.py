"""Settings: read once from the environment into one frozen value.

To add a setting, add a field with its meaning; `.env.example` and docs/configuration.md must name it
(a test compares them). A secret may come from a file instead: `NAME_FILE` holds the path.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from steadfast.errors import ConfigError

PREFIX = "STEADFAST_"
PLACEHOLDERS = {"changeme", "change-me", "changethis", "secret", "password", "todo"}


def _setting(meaning: str, default: Any, *, is_secret: bool = False, most: int | None = None) -> Any:
    return field(default=default, metadata={"meaning": meaning, "is_secret": is_secret, "most": most})


@dataclass(frozen=True)
class Settings:
    """What an installation may set; the variable is STEADFAST_ plus the field's name in capitals."""

    state: Path = _setting("directory for everything an installation keeps on disk", Path("state"))
    warehouse_url: str = _setting(
        "URL of an external PostgreSQL 15+ as a role with CREATEROLE; empty: the embedded server",
        "",
        is_secret=True,
    )
    pipeline_password: str = _setting(
        "password of the role steadfast_pipeline; empty: one is made and kept in the state directory",
        "",
        is_secret=True,
    )
    receiver_password: str = _setting(
        "password of the role steadfast_receiver; empty: one is made and kept in the state directory",
        "",
        is_secret=True,
    )
    receiver_url: str = _setting(
        "URL of the warehouse as the role steadfast_receiver, for the receiver; empty: the embedded one",
        "",
        is_secret=True,
    )
    sealing_keys: str = _setting(
        "Fernet keys that seal signing secrets, separated by commas, the newest first; empty: one is made "
        "and kept in the state directory",
        "",
        is_secret=True,
    )
    metrics_token: str = _setting(
        "bearer token that may read the receiver's /metrics; empty: only this machine may",
        "",
        is_secret=True,
    )
    webhook_url: str = _setting(
        "address under which n8n reaches the receiver, for the settings that are printed; empty: that of "
        "the receiver that `make up` started, or http://localhost:8081",
        "",
    )
    n8n_urls: str = _setting(
        "addresses of the n8n servers that may be asked for lost events, separated by commas; empty: none", ""
    )
    webhook_ingest_minutes: int = _setting("minutes between two runs of webhook_ingest, 1 to 5", 5, most=5)
    mail_to: str = _setting("addresses that receive alerts, separated by commas; empty: no mail", "")
    mail_from: str = _setting("sender of alerts", "steadfast@localhost")
    base_url: str = _setting("address of the Airflow web page, for links in mails", "http://localhost:8080")
    properties_per_shard: int = _setting("GA4 properties that one task syncs", 100)
    sync_deadline_minutes: int = _setting("minutes after which an unfinished daily sync mails ops", 15)


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Build the settings from `environ`; ConfigError names the variable that is wrong."""
    _refuse_unknown(environ)
    values = {f.name: _read(f.name, f.type, environ, f.metadata) for f in fields(Settings)}
    return Settings(**{name: value for name, value in values.items() if value is not None})


def load_settings(directory: Path | None = None) -> Settings:
    """Read `.env` of `directory` (default: the working directory), overridden by the environment."""
    path = (directory or Path.cwd()) / ".env"
    from_file = {name: value for name, value in dotenv_values(path).items() if value is not None}
    return read_settings({**from_file, **os.environ})


def _refuse_unknown(environ: Mapping[str, str]) -> None:
    known = {variable_name(f.name) for f in fields(Settings)}
    known |= {f"{name}_FILE" for name in known} | {PREFIX + "HOME"}
    unknown = sorted(name for name in environ if name.startswith(PREFIX) and name not in known)
    if unknown:
        raise ConfigError(f"Unknown setting {', '.join(unknown)}; known are {', '.join(sorted(known))}.")


def variable_name(field_name: str) -> str:
    """`state` is read from STEADFAST_STATE."""
    return PREFIX + field_name.upper()


def _read(name: str, kind: Any, environ: Mapping[str, str], rules: Mapping[str, Any]) -> Any:
    variable = variable_name(name)
    text = environ.get(variable) or _read_file(variable, environ.get(f"{variable}_FILE"))
    if not text:
        return None
    if rules["is_secret"] and text.lower() in PLACEHOLDERS:
        raise ConfigError(f"{variable} still holds a placeholder; set a real value.")
    if kind is int:
        return _read_number(variable, text, rules["most"])
    return Path(text) if kind is Path else text


def _read_number(variable: str, text: str, most: int | None) -> int:
    if not text.isdecimal() or int(text) < 1 or (most is not None and int(text) > most):
        allowed = "above 0" if most is None else f"from 1 to {most}"
        raise ConfigError(f"{variable} is {text!r}; a whole number {allowed} is needed.")
    return int(text)


def _read_file(variable: str, path: str | None) -> str | None:
    if not path:
        return None
    try:
        return Path(path).read_text("utf-8").strip()
    except OSError as error:
        raise ConfigError(f"{variable}_FILE names {path}, which cannot be read: {error.strerror}.") from error
