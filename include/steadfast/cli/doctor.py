"""`steadfast doctor`: whether this installation can do its work, and what to fix if not.

To add a check, write a function that returns Findings and add it to CHECKS or WAREHOUSE_CHECKS.
"""

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer
from psycopg import Connection
from psycopg.errors import InvalidSchemaName, UndefinedTable
from psycopg.rows import dict_row

from steadfast.cli.airflow_connection import is_airflow_reachable, read_client_config
from steadfast.cli.terminal import AsJson, current_time, print_json, print_step
from steadfast.cli.warehouse_url import owner_url
from steadfast.entities.sealing import find_sealing_keys
from steadfast.entities.source_checks import knows_zone
from steadfast.entities.webhook_keys import check_secrets
from steadfast.errors import SteadfastError
from steadfast.settings import Settings, load_settings
from steadfast.warehouse.bootstrap import PIPELINE, RECEIVER
from steadfast.warehouse.connect import connect, translate_errors
from steadfast.warehouse.locations import sql_directory
from steadfast.warehouse.marts import read_marts
from steadfast.warehouse.queries import load_queries
from steadfast.webhooks.events import EVENT_TABLES

OLDEST_PYTHON, FIRST_UNTRIED_PYTHON = (3, 11), (3, 14)
OLDEST_SERVER = 15
LEAST_FREE_GIB = 2
SAMPLE_ZONES = ("America/New_York", "America/Los_Angeles", "Europe/London", "Asia/Tokyo")
ROLES_THAT_LOG_IN = (PIPELINE, RECEIVER)
GROUP_ROLES = ("steadfast_dashboard", "steadfast_backend", "steadfast_backup")
MIGRATE = "run `steadfast migrate`"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `fix` is empty if it is good."""

    title: str
    fix: str = ""

    @property
    def is_ok(self) -> bool:
        """Whether nothing needs to be done."""
        return not self.fix


def examine_installation(as_json: AsJson = False) -> None:
    """Check the whole installation and say what to fix; exit 1 if anything is wrong."""
    findings = _collect_findings()
    if as_json:
        print_json([{"title": f.title, "is_ok": f.is_ok, "fix": f.fix} for f in findings])
    else:
        for finding in findings:
            print_step(finding.is_ok, finding.title, finding.fix)
    if not all(finding.is_ok for finding in findings):
        raise typer.Exit(1)


def check_python(version: tuple[int, int]) -> Finding:
    """3.11 to 3.13, as pyproject.toml says."""
    title = f"Python {version[0]}.{version[1]}"
    if OLDEST_PYTHON <= version < FIRST_UNTRIED_PYTHON:
        return Finding(title)
    return Finding(title, "use Python 3.11, 3.12 or 3.13; remove .venv and run make again")


def check_zones(zones: Sequence[str]) -> Finding:
    """Python finds the zones that GA4 properties live in."""
    for zone in zones:
        try:
            ZoneInfo(zone)
        except ZoneInfoNotFoundError:
            return Finding(f"time zone {zone} is unknown to Python", "install the package tzdata: uv sync")
    return Finding("time zones known to Python")


def check_mail(settings: Settings) -> Finding:
    """Alerts reach somebody."""
    if settings.mail_to:
        return Finding(f"alerts are mailed to {settings.mail_to}")
    return Finding("alerts are mailed to nobody", "set STEADFAST_MAIL_TO to the addresses that get them")


def check_disk(state: Path) -> Finding:
    """There is room where the installation keeps its files."""
    present = next(path for path in (state.resolve(), *state.resolve().parents) if path.exists())
    free = shutil.disk_usage(present).free / 2**30
    title = f"{free:.1f} GiB free in {present}"
    if free >= LEAST_FREE_GIB:
        return Finding(title)
    return Finding(title, f"free at least {LEAST_FREE_GIB} GiB, or point STEADFAST_STATE to a larger disk")


def check_server(connection: Connection[Any]) -> Finding:
    """PostgreSQL is recent enough."""
    version = connection.info.server_version // 10_000
    fix = "" if version >= OLDEST_SERVER else f"upgrade the server to PostgreSQL {OLDEST_SERVER} or newer"
    return Finding(f"PostgreSQL {version} answers at {connection.info.host}:{connection.info.port}", fix)


def check_server_zones(connection: Connection[Any]) -> Finding:
    """PostgreSQL computes in zones too, and the embedded one reads them from the host."""
    for zone in SAMPLE_ZONES:
        if not knows_zone(connection, zone):
            fix = "install the package tzdata on its host and restart it"
            return Finding(f"time zone {zone} is unknown to PostgreSQL", fix)
    return Finding("time zones known to PostgreSQL")


def check_schema(connection: Connection[Any]) -> Finding:
    """The schema and the marts are those of this version."""
    newest = newest_revision()
    try:
        revision = _fetch_value(connection, "schema_revision")
        applied = dict(connection.execute(load_queries("warehouse")["list_mart_checksums"]).fetchall())
    except (UndefinedTable, InvalidSchemaName):
        connection.rollback()
        return Finding("the warehouse is empty", MIGRATE)
    if revision != newest:
        return Finding(f"the warehouse is at revision {revision}, this version needs {newest}", MIGRATE)
    marts = read_marts(sql_directory() / "marts", EVENT_TABLES)
    if applied != {mart.name: mart.checksum for mart in marts.values()}:
        return Finding("the marts are not those of this version", MIGRATE)
    return Finding(f"migrations up to date, revision {revision}")


def check_roles(connection: Connection[Any]) -> Finding:
    """Every role of the pipeline is there."""
    names = [*ROLES_THAT_LOG_IN, *GROUP_ROLES]
    present = dict(connection.execute(load_queries("cli")["present_roles"], {"roles": names}).fetchall())
    missing = [name for name in names if name not in present]
    closed = [name for name in ROLES_THAT_LOG_IN if not present.get(name, True)]
    if missing or closed:
        return Finding(f"roles missing or unable to log in: {', '.join(missing + closed)}", MIGRATE)
    return Finding("roles present")


def check_sealing(connection: Connection[Any], settings: Settings) -> Finding:
    """The sealing keys open every signing secret that is in use."""
    try:
        count = check_secrets(
            connection, find_sealing_keys(settings.sealing_keys, settings.state), current_time()
        )
    except (UndefinedTable, InvalidSchemaName):
        connection.rollback()
        return Finding("signing secrets not checked, there is no table of them", MIGRATE)
    except SteadfastError as error:
        return Finding("signing secrets cannot be opened", str(error))
    return Finding(f"the sealing keys open all {count} signing secrets" if count else "no signing secret yet")


def check_receiver(settings: Settings) -> list[Finding]:
    """The receiver reaches an inbox that it may write to, where it has a URL of its own."""
    if not settings.receiver_url:
        return []
    try:
        with (
            translate_errors(),
            connect(settings.receiver_url, application="steadfast doctor") as connection,
            connection.cursor(row_factory=dict_row) as cursor,
        ):
            found = cursor.execute(load_queries("cli")["receiver_rights"]).fetchone() or {}
    except SteadfastError as error:
        fix = f"correct STEADFAST_RECEIVER_URL: {error}"
        return [Finding("the receiver cannot log in to the warehouse", fix)]
    return [_judge_receiver(found)]


def check_ga4_connections(connection: Connection[Any], settings: Settings) -> list[Finding]:
    """Each Airflow Connection that a property asks for can be read."""
    try:
        used = [row[0] for row in connection.execute(load_queries("cli")["used_connections"])]
    except (UndefinedTable, InvalidSchemaName):
        connection.rollback()
        return []
    if not used:
        return [Finding("no GA4 property yet, so no connection to check")]
    if not is_airflow_reachable(settings):
        return [Finding(f"GA4 connections not checked, no Airflow is configured here: {', '.join(used)}")]
    return [_check_ga4_connection(name, settings) for name in used]


CHECKS: tuple[Callable[[Settings], Finding], ...] = (
    lambda _: check_python(sys.version_info[:2]),
    lambda _: check_zones(SAMPLE_ZONES),
    check_mail,
    lambda settings: check_disk(settings.state),
)
WAREHOUSE_CHECKS: tuple[Callable[[Connection[Any]], Finding], ...] = (
    check_server,
    check_server_zones,
    check_schema,
    check_roles,
)


def _collect_findings() -> list[Finding]:
    try:
        settings = load_settings()
    except SteadfastError as error:
        return [Finding("the settings cannot be read", str(error))]
    return [
        *(check(settings) for check in CHECKS),
        *_examine_warehouse(settings),
        *check_receiver(settings),
    ]


def _examine_warehouse(settings: Settings) -> list[Finding]:
    try:
        with translate_errors(), connect(owner_url(settings), application="steadfast doctor") as connection:
            found = [check(connection) for check in WAREHOUSE_CHECKS]
            found.append(check_sealing(connection, settings))
            return [*found, *check_ga4_connections(connection, settings)]
    except SteadfastError as error:
        return [Finding("PostgreSQL cannot be reached", str(error))]


def _judge_receiver(found: Mapping[str, Any]) -> Finding:
    role = found["role"]
    if found["is_read_only"]:
        fix = "point STEADFAST_RECEIVER_URL at the primary server"
        return Finding("the receiver's server takes no writes", fix)
    if not found["has_inbox"]:
        fix = f"{MIGRATE}, or correct the database in STEADFAST_RECEIVER_URL"
        return Finding(f"the receiver has no inbox in {found['database']}", fix)
    if not found["may_store"]:
        fix = f"name {RECEIVER} in STEADFAST_RECEIVER_URL, or {MIGRATE}"
        return Finding(f"the receiver may not store events as {role}", fix)
    return Finding(f"the receiver can store events as {role}")


def _check_ga4_connection(connection_id: str, settings: Settings) -> Finding:
    try:
        read_client_config(connection_id, settings)
    except SteadfastError as error:
        return Finding(f"GA4 connection {connection_id} is not usable", str(error))
    return Finding(f"GA4 connection {connection_id} is usable")


def newest_revision() -> str | None:
    """The revision that this version of Steadfast needs."""
    from alembic.script import ScriptDirectory

    return ScriptDirectory(str(sql_directory() / "migrations")).get_current_head()


def _fetch_value(connection: Connection[Any], query: str, **values: Any) -> Any:
    row = connection.execute(load_queries("cli")[query], values).fetchone()
    return row[0] if row else None
