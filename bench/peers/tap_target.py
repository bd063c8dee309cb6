"""Singer: tap-ga4 piped into meltanolabs-target-postgres, both with their default settings.

The tap asks for seven days at a time, hashes the dimensions into a key, and the target upserts by it.
Days are read once; the tap's catalogue is written here because discovery would cost minutes more.
"""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
from rig.emulator import Emulator
from rig.measure import Usage, run_measured
from rig.wide_report import PROPERTY_ID, REPORT, Content, Days, all_fields

from peers.install import ensure_peer
from steadfast.ga4.reports import column_name

NAME = "tap_target"
TAP = ("tap-ga4", "0.4.0")
TARGET = ("meltanolabs-target-postgres", "0.8.1")
VERSIONS = "tap-ga4 0.4.0 | meltanolabs-target-postgres 0.8.1"
DAYS_A_REQUEST = 7

LAUNCHER = """
import sys
import grpc
from google.analytics import data_v1beta
from google.analytics.data_v1beta.services.beta_analytics_data import transports

target, real = sys.argv.pop(1), data_v1beta.BetaAnalyticsDataClient
options = [("grpc.max_receive_message_length", -1)]

def connect(credentials=None):
    channel = grpc.insecure_channel(target, options=options)
    return real(transport=transports.BetaAnalyticsDataGrpcTransport(channel=channel))

data_v1beta.BetaAnalyticsDataClient = connect
import tap_ga4
tap_ga4.main()
"""


def install() -> None:
    """Install both programs if they are missing."""
    ensure_peer(*TAP)
    ensure_peer(*TARGET)


def load(emulator: Emulator, url: str, days: Days, scratch: Path) -> Usage:
    """Read the days and upsert them into schema singer of the database."""
    (scratch / "tap.py").write_text(LAUNCHER)
    tap = {
        "start_date": f"{days.first}T00:00:00Z",
        "end_date": f"{days.last}T00:00:00Z",
        "oauth_client_id": "none",
        "oauth_client_secret": "none",
        "refresh_token": "none",
        "property_id": str(PROPERTY_ID),
        "account_id": "1",
    }
    (scratch / "tap.json").write_text(json.dumps(tap))
    (scratch / "catalog.json").write_text(json.dumps({"streams": [describe_stream()]}))
    (scratch / "target.json").write_text(json.dumps(_configure_target(url)))
    python = str(ensure_peer(*TAP) / "bin" / "python")
    read = [python, str(scratch / "tap.py"), emulator.target, "--config", str(scratch / "tap.json")]
    write = [str(ensure_peer(*TARGET) / "bin" / "target-postgres"), "--config", str(scratch / "target.json")]
    commands = [[*read, "--catalog", str(scratch / "catalog.json")], write]
    return run_measured(commands, scratch / "tap_target.log", scratch / "state.jsonl")


def read_content(url: str, scratch: Path) -> Content:
    """What stands in the target's table."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*), sum(event_count) FROM singer.bench_wide").fetchone()
    return Content(int(row[0]), int(row[1])) if row else Content(0, 0)


def describe_stream() -> dict[str, Any]:
    """The stream as the tap's own discovery writes it."""
    fixed = ("_sdc_record_hash", "property_id", "account_id")
    properties: dict[str, Any] = {name: {"type": "string"} for name in fixed}
    fields = [([], {"table-key-properties": ["_sdc_record_hash"], "selected": True})]
    fields += [(["properties", name], {"inclusion": "automatic"}) for name in fixed]
    for name in (*all_fields(), *REPORT.metrics):
        column = column_name(name)
        behaviour = "METRIC" if name in REPORT.metrics else "DIMENSION"
        properties[column] = _describe_type(name, behaviour)
        marks = {"behavior": behaviour, "tap-ga4.api-field-names": name, "selected": True}
        fields.append((["properties", column], marks))
    return {
        "tap_stream_id": REPORT.name,
        "stream": REPORT.name,
        "key_properties": ["_sdc_record_hash"],
        "schema": {"type": "object", "properties": properties},
        "metadata": [{"breadcrumb": place, "metadata": marks} for place, marks in fields],
    }


def _describe_type(name: str, behaviour: str) -> dict[str, Any]:
    if name == "date":
        dated = {"type": ["string", "null"], "format": "date-time"}
        return {"anyOf": [dated, {"type": ["string", "null"]}]}
    if behaviour == "DIMENSION":
        return {"type": ["string", "null"]}
    whole = dict(REPORT.measures)[column_name(name)] == "bigint"
    return {"type": ["integer", "number", "null"] if whole else ["number", "null"]}


def _configure_target(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    return {
        "host": parts.hostname,
        "port": parts.port,
        "user": parts.username,
        "password": parts.password,
        "database": parts.path.lstrip("/"),
        "default_target_schema": "singer",
    }
