"""`steadfast property add` as a person runs it: the real program, Airflow's connection, GA4 over the wire."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from steadfast.demo.ga4.emulator import EmulatorOptions, run_emulator
from steadfast.demo.ga4.faults import Fault
from steadfast.entities.businesses import add_entity
from steadfast.entities.properties import list_properties

NOW = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
PROPERTY = "900000001"


@pytest.fixture(scope="module")
def emulator():
    with run_emulator(EmulatorOptions(synthetic=1)) as running:
        yield running


@pytest.fixture
def connection(database):
    with database.connect() as connection:
        add_entity(connection, "bakery", name="Bakery", actor="test", now=NOW)
        yield connection


@pytest.fixture
def add_property(emulator, database, connection, tmp_path):
    """Run the command in a process of its own: Airflow reads its environment once."""
    emulator.clear()
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    extra = {"endpoint": emulator.grpc_target, "is_plaintext": True}
    environment = {
        **kept,
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW_CONN_STEADFAST_GA4": json.dumps({"conn_type": "generic", "extra": extra}),
        "STEADFAST_WAREHOUSE_URL": database.owner_url,
    }

    def run(*arguments):
        program = "from steadfast.cli import main; main()"
        command = [sys.executable, "-c", program, "property", "add", *arguments, "--entity", "bakery"]
        return subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
        )

    return run


def test_a_property_that_passes_is_added_with_the_zone_that_ga4_says(add_property, connection):
    done = add_property(PROPERTY, "--name", "Web shop")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("✓ access")
    assert lines[1] == "✓ time zone America/New_York, currency USD"
    assert lines[-1].startswith(f"Added property {PROPERTY} to bakery")
    (added,) = list_properties(connection, "bakery")
    assert (added.display_name, added.time_zone, added.connection_id) == (
        "Web shop",
        "America/New_York",
        "steadfast_ga4",
    )
    query = "SELECT action FROM ops.audit_event WHERE object_kind = 'ga4_property'"
    assert connection.execute(query).fetchall() == [("add",)]
    again = add_property(PROPERTY)
    assert again.returncode == 1
    assert "belongs to entity bakery already, as 'Web shop'" in again.stderr


def test_a_refused_report_saves_nothing_and_gives_the_command_that_leaves_it_out(
    add_property, emulator, connection
):
    emulator.inject(Fault(PROPERTY, "incompatible_field", report_has="landingPage"))
    failed = add_property(PROPERTY)
    assert failed.returncode == 1
    assert "✗ report landing_pages: landingPage cannot be combined" in failed.stdout
    assert "✓ report monthly_users" in failed.stdout
    (way_out,) = [line for line in failed.stdout.splitlines() if "steadfast setting edit bakery" in line]
    assert "landing_pages" not in way_out.partition("--reports")[2]
    assert "Nothing was saved" in failed.stdout
    assert list_properties(connection) == []


def test_a_property_that_cannot_be_read_is_not_saved(add_property, emulator, connection):
    emulator.inject(Fault(PROPERTY, "no_access"))
    failed = add_property(PROPERTY, "--json")
    assert failed.returncode == 1
    answer = json.loads(failed.stdout)
    assert answer["property"] is None
    assert "with the role Viewer" in answer["access"]["steps"][-1]["problem"]
    assert list_properties(connection) == []


def test_an_unknown_property_is_not_saved(add_property, connection):
    failed = add_property("123")
    assert failed.returncode == 1
    assert "✗" in failed.stdout
    assert list_properties(connection) == []


def test_an_unknown_connection_is_named(add_property, connection):
    failed = add_property(PROPERTY, "--connection", "bakery_ga4")
    assert failed.returncode == 1
    assert failed.stderr.strip().startswith("Airflow has no Connection bakery_ga4")
    assert list_properties(connection) == []
