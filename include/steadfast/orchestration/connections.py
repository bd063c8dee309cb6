"""Airflow Connections as plain values: the warehouse, GA4 credentials, n8n servers, the mail server.

Any secrets backend works. A message names the Connection and the field that is wrong, never the secret.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowNotFoundException

from steadfast.errors import ConfigError

if TYPE_CHECKING:
    from steadfast.alerts.mail import MailServer
    from steadfast.ga4.client import ClientConfig
    from steadfast.webhooks.n8n.answers import N8nServer

WAREHOUSE = "steadfast_warehouse"
SMTP = "steadfast_smtp"


def warehouse_url() -> str:
    """The URL of the warehouse for the pipeline's role."""
    connection = _find(WAREHOUSE)
    if (connection.conn_type or "").replace("postgresql", "postgres") != "postgres":
        raise ConfigError(
            f"Connection {WAREHOUSE} has the type {connection.conn_type!r}; postgres is needed."
        )
    for field in ("host", "login", "schema"):
        if not getattr(connection, field):
            raise ConfigError(f"Connection {WAREHOUSE} lacks the field {field}.")
    who = quote(connection.login, safe="")
    if connection.password:
        who += ":" + quote(connection.password, safe="")
    options = {name: str(value) for name, value in _read_extra(connection).items()}
    query = f"?{urlencode(options, quote_via=quote)}" if options else ""
    host = quote(connection.host, safe=":[]")
    return f"postgresql://{who}@{host}:{connection.port or 5432}/{quote(connection.schema, safe='')}{query}"


def ga4_client_config(connection_id: str) -> "ClientConfig":
    """How to reach GA4: extra `keyfile_dict` or `keyfile` (a path), `endpoint`, `is_plaintext`."""
    from steadfast.ga4.client import ClientConfig

    connection = _find(connection_id)
    extra = _read_extra(connection)
    return ClientConfig(
        keyfile=_read_keyfile(connection_id, extra),
        endpoint=_read_text(connection_id, extra, "endpoint"),
        is_plaintext=_read_flag(connection_id, extra, "is_plaintext"),
    )


def n8n_server(connection_id: str) -> "N8nServer":
    """An n8n and its API key (the password), in a Connection of the type http.

    The key opens the whole n8n, so the address must be one that STEADFAST_N8N_URLS allows.
    """
    from steadfast.settings import load_settings
    from steadfast.webhooks.n8n.answers import N8nServer

    connection = _find(connection_id)
    if (connection.conn_type or "").lower() not in ("http", "https"):
        raise ConfigError(
            f"Connection {connection_id} has the type {connection.conn_type!r}; http is needed."
        )
    for field in ("host", "password"):
        if not getattr(connection, field):
            raise ConfigError(f"Connection {connection_id} lacks the field {field}.")
    url = _read_base_url(connection)
    allowed = [one.strip() for one in load_settings().n8n_urls.split(",") if one.strip()]
    if url not in map(_normalise_url, allowed):
        raise ConfigError(
            f"Connection {connection_id} leads to {url}, which STEADFAST_N8N_URLS does not allow; "
            f"it allows {', '.join(allowed) or 'nothing'}."
        )
    return N8nServer(
        url,
        connection.password,
        _read_seconds(connection_id, _read_extra(connection), "timeout", default=20),
    )


def mail_server() -> "MailServer":
    """The mail server, with the extras of Airflow's smtp Connections: disable_ssl, disable_tls, timeout."""
    from steadfast.alerts.mail import MailServer, Security

    connection = _find(SMTP)
    extra = _read_extra(connection)
    if not connection.host:
        raise ConfigError(f"Connection {SMTP} lacks the field host.")
    is_implicit = not _read_flag(SMTP, extra, "disable_ssl")
    is_upgraded = not _read_flag(SMTP, extra, "disable_tls")
    security = Security.TLS if is_implicit else Security.STARTTLS if is_upgraded else Security.NONE
    return MailServer(
        host=connection.host,
        port=connection.port or security.default_port,
        security=security,
        login=connection.login or "",
        password=connection.password or "",
        timeout_s=_read_seconds(SMTP, extra, "timeout", default=30),
    )


def _read_base_url(connection: Any) -> str:
    # As Airflow's own HTTP hook reads it: the host may be a whole address, the schema is the protocol.
    host = (
        connection.host if "://" in connection.host else f"{connection.schema or 'http'}://{connection.host}"
    )
    url = _normalise_url(host + (f":{connection.port}" if connection.port else ""))
    if url is None:
        raise ConfigError(
            f"Connection {connection.conn_id} does not hold an address like https://n8n.example.com."
        )
    return url


def _normalise_url(text: str) -> str | None:
    """The address in one spelling; None if it is none or carries more than host, port and path."""
    try:
        parts = urlsplit(text.strip())
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return None
    if not parts.hostname or not port or parts.username or parts.password or parts.query or parts.fragment:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{port}{parts.path.rstrip('/')}"


def _find(connection_id: str) -> Any:
    try:
        return Connection.get(connection_id)
    except AirflowNotFoundException as error:
        stored = _find_in_metadata(connection_id)
        if stored is None:
            raise ConfigError(
                f"Airflow has no Connection {connection_id}. Add it under Admin, Connections, "
                f"or set AIRFLOW_CONN_{connection_id.upper()}."
            ) from error
        return stored


def _find_in_metadata(connection_id: str) -> Any:
    # A command line runs outside any task, where the SDK knows the environment only. Inside one this asks
    # the SDK once more, which refuses again.
    from airflow.models.connection import Connection as StoredConnection

    try:
        return StoredConnection.get_connection_from_secrets(connection_id)
    except AirflowNotFoundException:
        return None


def _read_extra(connection: Any) -> dict[str, Any]:
    if not connection.extra:
        return {}
    return _parse_object(connection.extra, f"The extra of Connection {connection.conn_id}")


def _read_keyfile(connection_id: str, extra: dict[str, Any]) -> dict[str, Any] | None:
    given = extra.get("keyfile_dict")
    if isinstance(given, dict):
        return given
    if given:
        return _parse_object(str(given), f"keyfile_dict of Connection {connection_id}")
    path = _read_text(connection_id, extra, "keyfile") or _read_text(connection_id, extra, "key_path")
    if path is None:
        return None
    what = f"The key file {path} of Connection {connection_id}"
    try:
        return _parse_object(Path(path).read_text("utf-8"), what)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{what} cannot be read: {type(error).__name__}.") from error


def _parse_object(text: str, what: str) -> dict[str, Any]:
    try:
        parsed = json.loads(text)
    except ValueError as error:
        # Without its cause: the parser keeps the whole text, which holds the secret.
        raise ConfigError(f"{what} is not JSON{_where(error)}; a JSON object is needed.") from None
    if not isinstance(parsed, dict):
        raise ConfigError(f"{what} is a JSON {type(parsed).__name__}; a JSON object is needed.")
    return parsed


def _where(error: ValueError) -> str:
    return f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""


def _read_text(connection_id: str, extra: dict[str, Any], name: str) -> str | None:
    value = extra.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise ConfigError(f"Extra {name} of Connection {connection_id} must be a text.")
    return value


def _read_flag(connection_id: str, extra: dict[str, Any], name: str) -> bool:
    text = str(extra.get(name, False)).strip().lower()
    if text in ("true", "1", "yes"):
        return True
    if text in ("false", "0", "no", "", "none"):
        return False
    raise ConfigError(f"Extra {name} of Connection {connection_id} must be true or false.")


def _read_seconds(connection_id: str, extra: dict[str, Any], name: str, *, default: float) -> float:
    try:
        seconds = float(extra.get(name) or default)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"Extra {name} of Connection {connection_id} must be seconds.") from error
    if not 0 < seconds <= 600:
        raise ConfigError(f"Extra {name} of Connection {connection_id} must be seconds from 1 to 600.")
    return seconds
