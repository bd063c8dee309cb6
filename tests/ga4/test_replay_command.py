"""`steadfast sync replay`: a held day is released by a person, and the trail says who."""

from datetime import timedelta

import pytest
from typer.testing import CliRunner

from steadfast.cli import app

from .conftest import AGRICULTURE, YESTERDAY

DAY = YESTERDAY - timedelta(days=2)


@pytest.fixture
def replay(one_property, monkeypatch):
    monkeypatch.setenv("STEADFAST_WAREHOUSE_URL", one_property.database.owner_url)

    def run(*options):
        days = ("--from", str(DAY), "--to", str(DAY), "--report", "tech")
        return CliRunner().invoke(app, ["sync", "replay", str(AGRICULTURE), *days, *options])

    return run


@pytest.fixture
def held_day(one_property):
    one_property.sync("monday")
    one_property.inject(AGRICULTURE, "collapse", date=DAY.isoformat(), report_has="browser")
    one_property.sync("tuesday")
    return one_property


def rows_of_the_day(installation):
    return len([row for row in installation.published("tech", AGRICULTURE) if row[0] == f"{DAY:%Y%m%d}"])


def test_a_held_day_stays_held_until_somebody_accepts_it(held_day, replay):
    before = rows_of_the_day(held_day)
    assert replay().exit_code != 0
    assert rows_of_the_day(held_day) == before
    assert replay("--accept").exit_code == 0
    assert rows_of_the_day(held_day) < before
    trail = held_day.query("SELECT action FROM ops.audit_event WHERE action LIKE 'accept%%'")
    assert trail == [(f"accept {DAY} to {DAY}: tech",)]


def test_days_that_were_never_landed_say_how_to_fetch_them(one_property, replay):
    answer = replay()
    assert answer.exit_code != 0
    assert "airflow backfill create" in answer.stderr
