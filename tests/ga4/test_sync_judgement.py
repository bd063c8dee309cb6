"""What is held back and what is let through, and what is told of it to whom."""

from datetime import timedelta

import pytest

from .conftest import AGRICULTURE, COMMERCE, YESTERDAY

WINDOW = (YESTERDAY - timedelta(days=3), YESTERDAY)
OLD_DAYS = (YESTERDAY - timedelta(days=15), YESTERDAY - timedelta(days=10))


def execute(installation, statement, *values):
    with installation.database.connect() as connection:
        connection.execute(statement, values)


@pytest.fixture
def totals_only(installation):
    installation.add("agriculture", AGRICULTURE, days=30, reports=("daily_totals",))
    return installation


def test_rows_without_a_day_in_two_ranges_of_one_report_stop_nobody(totals_only):
    totals_only.sync("monday")
    for day in OLD_DAYS:
        execute(totals_only, "DELETE FROM ops.partition_ledger WHERE report_date = %s", day)
        execute(totals_only, "DELETE FROM facts.fact_daily_totals WHERE report_date = %s", day)
    totals_only.inject(AGRICULTURE, "other_in_date")
    totals_only.plan("tuesday")
    execute(totals_only, "DELETE FROM ops.sync_item WHERE NOT is_backfill AND state = 'planned'")
    totals_only.work("tuesday")
    kept = totals_only.query("SELECT report_date, content ->> 'report_date' FROM quality.quarantine")
    assert sorted(kept) == [(f"{day}/{day}", "(other)") for day in OLD_DAYS]


def test_a_day_whose_only_row_lost_its_date_is_not_published_as_a_day_without_visits(totals_only):
    totals_only.inject(AGRICULTURE, "other_in_date", times=1)
    assert totals_only.sync().held >= 1
    empty = totals_only.query("SELECT report_date FROM ops.partition_ledger WHERE row_count = 0")
    assert empty == []


def test_rows_whose_date_cannot_be_read_hold_back_the_days_they_may_belong_to(installation):
    installation.add("agriculture", AGRICULTURE, reports=("daily_totals",))
    installation.inject(AGRICULTURE, "nul_and_surrogate")
    assert installation.sync("monday").held == 1
    assert installation.published("daily_totals", AGRICULTURE) == []
    installation.emulator.clear()
    assert installation.sync("tuesday").held == 0
    assert len(installation.published("daily_totals", AGRICULTURE)) == 4


@pytest.mark.parametrize(
    ("kind", "own", "foreign"), [("metric_text", "abc", "zebra"), ("negative_metric", "-51", "-7713")]
)
def test_what_is_told_of_one_entity_holds_no_value_of_another(two_properties, kind, own, foreign):
    two_properties.inject(AGRICULTURE, kind, report_has="browser", value=own)
    two_properties.inject(COMMERCE, kind, report_has="browser", value=foreign)
    assert two_properties.sync().held == 2
    told = dict(
        two_properties.query(
            "SELECT property_id, held_reason FROM ops.partition_ledger WHERE held_at IS NOT NULL"
        )
    )
    assert own in told[AGRICULTURE] and foreign not in told[AGRICULTURE]
    assert foreign in told[COMMERCE] and own not in told[COMMERCE]


def test_findings_of_days_that_are_not_checked_again_stay(installation):
    installation.add("agriculture", AGRICULTURE, days=20, reports=("daily_totals", "tech"))
    installation.add("commerce", COMMERCE, reports=("daily_totals", "tech"))
    installation.inject(AGRICULTURE, "negative_metric", report_has="browser")
    installation.sync()
    findings = "SELECT check_name, report_date FROM quality.check_result WHERE property_id = %s ORDER BY 2, 1"
    before = installation.query(findings, AGRICULTURE)
    assert any(WINDOW[0] <= day for _, day in before)
    execute(
        installation,
        "UPDATE ops.sync_item SET state = 'planned'"
        " WHERE (property_id = %s) = is_backfill AND report = 'tech'",
        AGRICULTURE,
    )
    installation.work()
    assert installation.query(findings, AGRICULTURE) == before


def test_a_finding_without_a_day_is_told_once_however_often_it_is_checked(totals_only):
    totals_only.inject(AGRICULTURE, "other_in_date")
    totals_only.sync()
    count = "SELECT count(*) FROM quality.check_result"
    before = totals_only.query(count)
    execute(totals_only, "UPDATE ops.sync_item SET state = 'planned'")
    totals_only.work()
    assert totals_only.query(count) == before


def test_a_report_fetched_hours_after_its_control_totals_may_have_grown(one_property):
    one_property.sync("at night")
    execute(
        one_property,
        "UPDATE facts.fact_daily_totals SET sessions = sessions / 2 WHERE report_date = %s",
        YESTERDAY,
    )
    one_property.clock.now += timedelta(hours=5)
    outcome = one_property.sync("by hand", "manual", reports=("tech",))
    assert (outcome.published, outcome.held) == (1, 0)


def test_control_totals_that_collapse_are_held_back(totals_only):
    totals_only.sync("monday")
    day = WINDOW[0]
    execute(
        totals_only, "UPDATE facts.fact_daily_totals SET sessions = 30 * sessions WHERE report_date = %s", day
    )
    assert totals_only.sync("tuesday").held == 1
    held = totals_only.query(
        "SELECT report_date, held_reason FROM ops.partition_ledger WHERE held_at IS NOT NULL"
    )
    assert held[0][0] == day
    assert held[0][1].startswith("collapse:")


def test_a_handful_of_visits_may_be_restated_to_none(totals_only):
    totals_only.sync("monday")
    execute(
        totals_only,
        "UPDATE facts.fact_daily_totals SET sessions = 2, event_count = 9 WHERE report_date = %s",
        YESTERDAY,
    )
    totals_only.inject(AGRICULTURE, "empty_yesterday")
    assert totals_only.sync("tuesday").held == 0
    rows = totals_only.query("SELECT row_count FROM ops.partition_ledger WHERE report_date = %s", YESTERDAY)
    assert rows == [(0,)]


def test_many_visits_are_not_restated_to_none(totals_only):
    totals_only.sync("monday")
    before = totals_only.published("daily_totals", AGRICULTURE)
    totals_only.inject(AGRICULTURE, "empty_yesterday")
    assert totals_only.sync("tuesday").held == 1
    assert totals_only.published("daily_totals", AGRICULTURE) == before
