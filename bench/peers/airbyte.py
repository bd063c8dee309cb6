"""Airbyte's source-google-analytics-data-api 2.8.2, the last one in Python, reading to a file.

No destination: what it reads is counted. Settings are those of a connection that leaves the optional
fields empty, so all days come in one slice; it asks for 100,000 rows and reads the next page from a
field that GA4 never sends, so what is beyond is lost without a word. With slices of few days it is complete.
"""

import json
from pathlib import Path

from rig.emulator import Emulator
from rig.measure import Usage, run_measured
from rig.wide_report import PROPERTY_ID, REPORT, Content, Days, all_fields

from peers.install import ensure_peer

NAME = "airbyte"
SOURCE = ("airbyte-source-google-analytics-data-api", "2.8.2")
VERSIONS = "airbyte-source-google-analytics-data-api 2.8.2, to a file"
RECORDS = "airbyte.jsonl"

LAUNCHER = """
import json
import sys
import requests

target, send = sys.argv.pop(1), requests.Session.send

def redirect(session, request, **named):
    if "oauth2" in request.url:
        answer = requests.Response()
        answer.status_code, answer.request, answer.url = 200, request, request.url
        answer._content = json.dumps({"access_token": "none", "expires_in": 3600}).encode()
        return answer
    request.url = request.url.replace("https://analyticsdata.googleapis.com", target)
    return send(session, request, **named)

requests.Session.send = redirect
from source_google_analytics_data_api.run import run
run()
"""


def install() -> None:
    """Install the source if it is missing."""
    ensure_peer(*SOURCE)


def load(emulator: Emulator, url: str, days: Days, scratch: Path) -> Usage:
    """Read the days into a file of JSON lines."""
    first, last = days.names
    config = {
        "credentials": {"auth_type": "Client", "client_id": "n", "client_secret": "n", "refresh_token": "n"},
        "property_ids": [str(PROPERTY_ID)],
        "date_ranges_start_date": first,
        "date_ranges_end_date": last,
        "custom_reports_array": [
            {"name": REPORT.name, "dimensions": list(all_fields()), "metrics": list(REPORT.metrics)}
        ],
    }
    stream = {"name": REPORT.name, "json_schema": {}, "supported_sync_modes": ["full_refresh", "incremental"]}
    chosen = {"stream": stream, "sync_mode": "full_refresh", "destination_sync_mode": "append"}
    (scratch / "airbyte.py").write_text(LAUNCHER)
    (scratch / "config.json").write_text(json.dumps(config))
    (scratch / "streams.json").write_text(json.dumps({"streams": [chosen]}))
    python = str(ensure_peer(*SOURCE) / "bin" / "python")
    command = [python, str(scratch / "airbyte.py"), f"http://127.0.0.1:{emulator.http}", "read"]
    command += ["--config", str(scratch / "config.json"), "--catalog", str(scratch / "streams.json")]
    return run_measured([command], scratch / "airbyte.log", scratch / RECORDS)


def read_content(url: str, scratch: Path) -> Content:
    """What was read into the file."""
    rows = events = 0
    with (scratch / RECORDS).open("rb") as lines:
        for line in lines:
            if b'"RECORD"' in line:
                rows += 1
                events += int(json.loads(line)["record"]["data"]["eventCount"])
    return Content(rows, events)
