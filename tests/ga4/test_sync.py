"""A sync as its users know it: what is in the tables afterwards, and what a second run changes."""

from datetime import date, timedelta

import pytest

from steadfast.entities.properties import enable_property
from steadfast.errors import ConfigError
from steadfast.ga4.guard import Replay
from steadfast.ga4.replay import replay_pages
from steadfast.ga4.reports import DEFAULT_REPORTS, REPORTS
from steadfast.ga4.windows import DateRange
from steadfast.quality.check import check_frame
from steadfast.warehouse.connect import connect

from .conftest import AGRICULTURE, COMMERCE, YESTERDAY

WINDOW = (YESTERDAY - timedelta(days=3), YESTERDAY)


def test_the_first_run_publishes_what_the_api_answers(one_property):
    outcome = one_property.sync()
    assert (outcome.failed, outcome.held, outcome.parked) == (0, 0, 0)
    for report in ("daily_totals", "traffic_acquisition", "tech"):
        assert one_property.published(report, AGRICULTURE) == one_property.answered(
            report, AGRICULTURE, *WINDOW
        )


def test_every_default_report_of_a_property_arrives(installation):
    installation.add("agriculture", AGRICULTURE, days=40)
    installation.sync()
    counts = installation.query("SELECT report, sum(row_count) FROM ops.partition_ledger GROUP BY report")
    assert {report for report, rows in counts if rows > 0} == set(DEFAULT_REPORTS)


def test_a_second_run_changes_nothing_that_ga4_did_not_change(one_property):
    one_property.sync("monday")
    before = one_property.query("SELECT dim_key, run_id FROM facts.fact_tech ORDER BY dim_key, report_date")
    one_property.sync("again")
    assert (
        one_property.query("SELECT dim_key, run_id FROM facts.fact_tech ORDER BY dim_key, report_date")
        == before
    )


def test_a_restated_day_ends_up_as_the_api_now_tells_it(one_property):
    one_property.sync("monday")
    day = YESTERDAY - timedelta(days=2)
    before = one_property.published("tech", AGRICULTURE)
    one_property.emulator.restate(str(AGRICULTURE), day, change=0.10, drop=0.05)
    one_property.sync("tuesday")
    after = one_property.published("tech", AGRICULTURE)
    assert after == one_property.answered("tech", AGRICULTURE, *WINDOW)
    assert after != before
    assert len(after) < len(before)


def test_days_are_provisional_until_they_cannot_change_any_more(one_property):
    one_property.sync()
    days = one_property.query(
        "SELECT report_date, bool_or(is_provisional) FROM facts.fact_tech GROUP BY 1 ORDER BY 1"
    )
    assert [is_provisional for _, is_provisional in days] == [False, True, True, True]


def test_a_hole_in_the_ledger_is_filled_by_the_next_run(installation):
    installation.add("agriculture", AGRICULTURE, days=30, reports=("daily_totals",))
    installation.sync("monday")
    hole = date(2026, 11, 2)
    with installation.database.connect() as connection:
        connection.execute("DELETE FROM ops.partition_ledger WHERE report_date = %s", [hole])
        connection.execute("DELETE FROM facts.fact_daily_totals WHERE report_date = %s", [hole])
    installation.sync("tuesday")
    planned = installation.query(
        "SELECT start_on, end_on FROM ops.sync_item WHERE is_backfill AND run_id = %s",
        installation.runs["tuesday"].run_id,
    )
    assert planned == [(hole, hole)]
    assert len(installation.published("daily_totals", AGRICULTURE)) == 30


def test_a_new_report_backfills_by_itself(installation):
    installation.add("agriculture", AGRICULTURE, days=30, reports=("daily_totals",))
    installation.sync("monday")
    with installation.database.connect() as connection:
        connection.execute("UPDATE config.sync_setting SET reports = '{daily_totals,events}'")
    installation.sync("tuesday")
    assert len({row[0] for row in installation.published("events", AGRICULTURE)}) == 30


def test_backfill_goes_newest_first_and_stops_at_the_token_budget(installation):
    installation.add("agriculture", AGRICULTURE, days=300, reports=("daily_totals", "pages"), token_budget=10)
    installation.plan()
    planned = installation.query(
        "SELECT start_on, end_on, report FROM ops.sync_item WHERE is_backfill ORDER BY 2 DESC"
    )
    assert 0 < len(planned) < 8
    assert planned[0][1] == date(2026, 11, 15)


def test_a_backfill_run_reads_just_its_partition(one_property):
    one_property.sync("backfill", "backfill", partition_on=date(2026, 11, 10))
    assert one_property.query("SELECT DISTINCT report_date FROM ops.partition_ledger") == [
        (date(2026, 11, 10),)
    ]


def test_a_manual_run_takes_the_entity_dates_and_reports_it_is_given(two_properties):
    days = {"start_on": date(2026, 11, 1), "end_on": date(2026, 11, 3)}
    two_properties.sync("form", "manual", entities=("commerce",), reports=("tech",), **days)
    places = two_properties.query("SELECT DISTINCT property_id, report FROM ops.partition_ledger")
    assert places == [(COMMERCE, "tech")]
    assert two_properties.published("tech", COMMERCE) == two_properties.answered(
        "tech", COMMERCE, *days.values()
    )


def test_a_planned_run_that_is_planned_again_keeps_its_items(one_property):
    first = one_property.plan()
    assert one_property.plan() == first
    assert one_property.query("SELECT count(*) FROM ops.sync_item") == [(3,)]


def test_a_run_done_twice_asks_ga4_once(one_property):
    one_property.sync()
    asked = one_property.requests()
    one_property.work()
    assert one_property.requests() == asked


def test_landed_pages_are_published_again_without_asking_ga4(one_property):
    one_property.sync()
    truth = one_property.published("tech", AGRICULTURE)
    with one_property.database.connect() as connection:
        connection.execute("DELETE FROM facts.fact_tech")
    asked = one_property.requests()
    with connect(one_property.database.pipeline_url) as connection:
        replay_pages(
            connection,
            AGRICULTURE,
            ["tech"],
            DateRange(*WINDOW),
            replay=Replay(),
            check=check_frame,
            now=one_property.clock(),
        )
    assert one_property.published("tech", AGRICULTURE) == truth
    assert one_property.requests() == asked


def test_a_run_tells_what_it_did_in_numbers(one_property):
    one_property.sync()
    summary = one_property.close()
    assert summary.properties == 1
    assert summary.items == {"published": 3}
    assert summary.partitions == 12
    assert summary.rows == sum(
        len(one_property.published(name, AGRICULTURE))
        for name in REPORTS
        if name in ("daily_totals", "traffic_acquisition", "tech")
    )
    assert summary.problems == ()


def test_a_run_that_somebody_clears_reads_its_days_again(one_property):
    one_property.sync()
    one_property.close()
    day = YESTERDAY - timedelta(days=2)
    one_property.emulator.restate(str(AGRICULTURE), day)
    one_property.sync()
    assert one_property.published("tech", AGRICULTURE) == one_property.answered("tech", AGRICULTURE, *WINDOW)


def test_a_run_by_hand_that_has_nothing_to_do_says_why(one_property):
    tomorrow = YESTERDAY + timedelta(days=2)
    with pytest.raises(ConfigError, match="Nothing to sync"):
        one_property.plan("form", "manual", start_on=tomorrow, end_on=tomorrow)


def test_enabling_a_property_asks_again_at_once(one_property):
    one_property.inject(AGRICULTURE, "no_access")
    one_property.sync("monday")
    one_property.emulator.clear()
    with one_property.database.connect() as connection:
        enable_property(connection, AGRICULTURE, actor="test", now=one_property.clock())
    assert one_property.sync("again").published == 3
