from dataclasses import dataclass
from datetime import UTC, date, datetime
from enum import StrEnum

import pytest

from steadfast.errors import ConfigError
from steadfast.orchestration.windows import run_request


class RunType(StrEnum):
    SCHEDULED = "scheduled"
    BACKFILL = "backfill"
    MANUAL = "manual"
    MATERIALIZED = "asset_materialization"


@dataclass
class FakeRun:
    run_type: RunType
    partition_key: str | None = None
    dag_id: str = "ga4_sync"
    run_id: str = "the-run"
    run_after: datetime = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)


EMPTY_FORM = {"entity": None, "start_date": None, "end_date": None, "reports": None}


def test_the_scheduled_run_asks_for_its_partition_and_everything_usual():
    request = run_request(FakeRun(RunType.SCHEDULED, "2026-11-22"), EMPTY_FORM)
    assert (request.dag_id, request.airflow_run_id, request.kind) == ("ga4_sync", "the-run", "scheduled")
    assert (request.partition_on, request.start_on, request.end_on) == (date(2026, 11, 22), None, None)
    assert (request.entities, request.reports) == ((), ())


def test_a_backfill_run_asks_for_its_partition():
    request = run_request(FakeRun(RunType.BACKFILL, "2026-10-01"), EMPTY_FORM)
    assert (request.kind, request.partition_on, request.start_on) == ("backfill", date(2026, 10, 1), None)


@pytest.mark.parametrize("run_type", [RunType.MANUAL, RunType.MATERIALIZED])
def test_a_run_by_hand_without_dates_stands_for_the_day_before_and_takes_the_usual_days(run_type):
    request = run_request(FakeRun(run_type), EMPTY_FORM)
    assert (request.kind, request.partition_on) == ("manual", date(2026, 11, 22))
    assert (request.start_on, request.end_on) == (None, None)


def test_the_form_narrows_the_run():
    form = {
        "entity": " bakery ",
        "start_date": "2026-11-01",
        "end_date": "2026-11-07",
        "reports": ["pages", "events"],
    }
    request = run_request(FakeRun(RunType.MANUAL), form)
    assert (request.entities, request.reports) == (("bakery",), ("pages", "events"))
    assert (request.start_on, request.end_on) == (date(2026, 11, 1), date(2026, 11, 7))
    assert request.partition_on == date(2026, 11, 7)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("2026-11-20", None, (date(2026, 11, 20), date(2026, 11, 23))),
        (None, "2026-11-20", (date(2026, 11, 20), date(2026, 11, 20))),
    ],
)
def test_one_date_is_enough(start, end, expected):
    request = run_request(FakeRun(RunType.MANUAL), {"start_date": start, "end_date": end})
    assert (request.start_on, request.end_on) == expected


def test_a_run_by_hand_for_a_partition_takes_that_day():
    request = run_request(FakeRun(RunType.MANUAL, "2026-11-03"), EMPTY_FORM)
    assert (request.kind, request.partition_on) == ("manual", date(2026, 11, 3))
    assert (request.start_on, request.end_on) == (date(2026, 11, 3), date(2026, 11, 3))


@pytest.mark.parametrize(
    ("key", "form", "words"),
    [
        ("last week", {}, "partition key 'last week'"),
        (None, {"start_date": "1.11.2026"}, "start_date is '1.11.2026'"),
        (None, {"start_date": "2026-11-07", "end_date": "2026-11-01"}, "after the end date"),
        (None, {"start_date": "2027-01-01", "end_date": "2027-01-02"}, "in the future"),
    ],
)
def test_what_cannot_be_understood_is_refused_with_the_value(key, form, words):
    with pytest.raises(ConfigError, match=words):
        run_request(FakeRun(RunType.MANUAL, key), form)
