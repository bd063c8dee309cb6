"""What time alone brings back: days fetched too early, days held back, shards that were cut short."""

import threading
from datetime import UTC, date, datetime, timedelta

import pytest

from steadfast.ga4 import chunks, fetch, sync
from steadfast.ga4.sync import sync_shard
from steadfast.quality.check import check_frame
from steadfast.warehouse.connect import connect

from .conftest import AGRICULTURE, COMMERCE, YESTERDAY

WINDOW = (YESTERDAY - timedelta(days=3), YESTERDAY)


def assert_complete(installation, report="tech"):
    assert installation.published(report, AGRICULTURE) == installation.answered(report, AGRICULTURE, *WINDOW)


def execute(installation, statement, *values):
    with installation.database.connect() as connection:
        connection.execute(statement, values)


def planned_holes(installation, name):
    rows = installation.query(
        "SELECT start_on, end_on FROM ops.sync_item WHERE is_backfill AND run_id = %s",
        installation.runs[name].run_id,
    )
    return {start + timedelta(n) for start, end in rows for n in range((end - start).days + 1)}


def cut_short(table, frame):
    raise ZeroDivisionError


def test_a_day_fetched_too_early_is_read_again_after_an_outage(one_property):
    one_property.sync("friday")
    one_property.clock.now += timedelta(days=10)
    one_property.sync("ten days later", partition_on=YESTERDAY + timedelta(days=10))
    early = one_property.query(
        "SELECT report_date FROM ops.partition_ledger WHERE is_provisional AND report_date <= %s", YESTERDAY
    )
    assert early == []
    rows = [row for row in one_property.published("tech", AGRICULTURE) if row[0] <= f"{YESTERDAY:%Y%m%d}"]
    assert rows == one_property.answered("tech", AGRICULTURE, *WINDOW)


def test_a_day_that_is_final_is_not_a_hole(one_property):
    one_property.sync("friday")
    one_property.clock.now += timedelta(days=1)
    one_property.plan("saturday", partition_on=YESTERDAY + timedelta(days=1))
    assert planned_holes(one_property, "saturday") == set()


@pytest.mark.parametrize(("first", "last", "is_planned"), [(0, 0, True), (5, 1, False), (20, 8, True)])
def test_a_hole_that_stays_held_back_is_asked_for_once_a_week(one_property, first, last, is_planned):
    day, now = date(2026, 11, 2), one_property.clock.now
    execute(one_property, "UPDATE config.sync_setting SET backfill_start_on = %s", day)
    execute(
        one_property,
        "INSERT INTO ops.partition_ledger"
        " (property_id, report, report_date, entity_id, run_id, fetched_at, held_at, held_reason)"
        " VALUES (%s, 'tech', %s, 1, 1, %s, %s, 'collapse')",
        AGRICULTURE,
        day,
        now - timedelta(days=first),
        now - timedelta(days=last),
    )
    one_property.plan("today", reports=("tech",))
    assert (day in planned_holes(one_property, "today")) == is_planned


def test_no_request_begins_before_the_first_day_of_ga4(installation):
    days = (YESTERDAY - date(2015, 8, 14)).days + 1
    reports = ("weekly_users", "monthly_users", "daily_totals")
    installation.add("agriculture", AGRICULTURE, days=days, reports=reports, token_budget=100_000)
    installation.plan()
    assert installation.query("SELECT min(start_on) FROM ops.sync_item") == [(date(2015, 8, 14),)]


def test_keys_that_repeated_in_landed_pages_are_replaced_by_the_pages_of_the_second_fetch(one_property):
    one_property.inject(AGRICULTURE, "repeat_key", report_has="browser", times=1)
    one_property.plan()
    with pytest.raises(ZeroDivisionError):
        one_property.work(check=cut_short)
    one_property.clock.now += timedelta(minutes=5)
    one_property.work()
    assert_complete(one_property)
    landed = one_property.query(
        "SELECT fetched_at, row_count FROM ops.sync_item WHERE report = 'tech' AND state = 'published'"
    )
    assert landed == [(one_property.clock.now, len(one_property.published("tech", AGRICULTURE)))]


@pytest.mark.parametrize(
    "damage", ["DELETE FROM landing.ga4_page", "UPDATE landing.ga4_page SET body = substr(body, 1, 40)"]
)
def test_landed_pages_that_are_gone_or_damaged_are_fetched_again(one_property, damage):
    one_property.plan()
    with pytest.raises(ZeroDivisionError):
        one_property.work(check=cut_short)
    execute(one_property, damage)
    one_property.clock.now += timedelta(minutes=5)
    assert one_property.work().failed == 0
    assert_complete(one_property)


def test_pages_that_vanish_between_judging_and_copying_are_never_published_as_a_loss(
    one_property, monkeypatch
):
    for module in (fetch, sync):
        monkeypatch.setattr(module, "PAGE_ROWS", 40)
    monkeypatch.setattr(chunks, "CHUNK_ROWS", 40)
    one_property.plan()

    def lose_pages(table, frame):
        if table.name == "fact_tech" and not one_property.pauses:
            one_property.pauses.append(0.0)
            one_property.clock.now += timedelta(minutes=5)
            execute(one_property, "DELETE FROM landing.ga4_page WHERE report = 'tech'")
        return check_frame(table, frame)

    assert one_property.work(check=lose_pages).failed == 0
    assert_complete(one_property)


def test_a_report_that_is_no_longer_known_stops_nobody(one_property):
    one_property.plan()
    execute(one_property, "UPDATE ops.sync_item SET report = 'dropped' WHERE report = 'traffic_acquisition'")
    one_property.work()
    assert_complete(one_property)


def test_rows_follow_a_property_to_its_new_entity(two_properties):
    two_properties.sync("monday")
    execute(
        two_properties,
        "UPDATE config.ga4_property SET entity_id = (SELECT entity_id FROM config.ga4_property"
        " WHERE property_id = %s) WHERE property_id = %s",
        COMMERCE,
        AGRICULTURE,
    )
    two_properties.sync("tuesday")
    owners = two_properties.query(
        "SELECT DISTINCT fact.entity_id = ledger.entity_id FROM facts.fact_tech AS fact"
        " JOIN ops.partition_ledger AS ledger USING (property_id, report_date) WHERE report = 'tech'"
    )
    assert owners == [(True,)]


def test_a_shard_that_works_past_midnight_can_still_land_its_pages(one_property):
    one_property.clock.now = datetime(2027, 1, 10, 23, 59, 59, tzinfo=UTC)
    run = one_property.plan("late")

    def open_at_midnight(connection_id):
        one_property.clock.now = datetime(2027, 1, 11, 0, 0, 5, tzinfo=UTC)
        return one_property.client

    outcome = sync_shard(
        run.run_id,
        0,
        connect=lambda: connect(one_property.database.pipeline_url),
        open_client=open_at_midnight,
        check=check_frame,
        clock=one_property.clock,
        pause=one_property.pauses.append,
    )
    assert (outcome.failed, outcome.parked, outcome.retryable) == (0, 0, 0)
    assert one_property.query("SELECT DISTINCT fetched_at::date FROM landing.ga4_page") == [
        (date(2027, 1, 11),)
    ]


def test_one_client_serves_a_whole_shard(one_property):
    run, opened = one_property.plan(), []

    def open_client(connection_id):
        opened.append(connection_id)
        return one_property.client

    sync_shard(
        run.run_id,
        0,
        connect=lambda: connect(one_property.database.pipeline_url),
        open_client=open_client,
        check=check_frame,
        clock=one_property.clock,
    )
    assert opened == ["ga4"]


def test_what_another_worker_did_while_we_waited_for_our_turn_is_not_done_again(one_property):
    one_property.plan()
    with connect(one_property.database.pipeline_url, autocommit=True) as other:
        key = [AGRICULTURE]
        other.execute("SELECT pg_advisory_lock(hashtextextended('ga4 turn', %s))", key)
        asked = one_property.requests()
        waiting = threading.Thread(target=one_property.work)
        waiting.start()
        while waiting.is_alive() and not one_property.query(
            "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database ="
            " (SELECT oid FROM pg_database WHERE datname = current_database())"
        ):
            waiting.join(0.05)
        execute(one_property, "UPDATE ops.sync_item SET state = 'published'")
        other.execute("SELECT pg_advisory_unlock(hashtextextended('ga4 turn', %s))", key)
    waiting.join()
    assert one_property.requests() == asked
