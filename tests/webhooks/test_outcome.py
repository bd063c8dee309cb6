"""What a run did, as the asset and the report tell it: by who applied a chunk, whatever any clock said."""

from datetime import datetime, timedelta

import pytest

from steadfast.warehouse.queries import load_queries
from steadfast.webhooks.applying.outcome import (
    close_ended_runs,
    close_run,
    find_last_good_run,
    list_days,
    mark_announced,
    read_news,
    summarise_ingest,
)
from steadfast.webhooks.applying.plan import open_run, plan_chunks

from .conftest import NOON, order

DAG = "webhook_ingest"
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@pytest.fixture
def open_named(inbox):
    """A function that opens the run of an Airflow run; opened again it keeps its number."""
    return lambda name: open_run(inbox.pipeline, DAG, name, "scheduled", inbox.now)


def add_orders(inbox, *received):
    for number, moment in enumerate(received):
        inbox.add(order(order_id=f"{moment:%d%H}-{number}"), received_at=moment)


def plan(inbox, run_id):
    return plan_chunks(inbox.pipeline, run_id=run_id, now=inbox.now)


def apply_orders(inbox, run_id, *received):
    """Let a run plan and apply an order a moment."""
    add_orders(inbox, *received)
    plan(inbox, run_id)
    inbox.work(run_id=run_id)


def told(inbox, run_id):
    """How many events a run says it applied, and the days on which came what it has to publish."""
    return summarise_ingest(inbox.pipeline, run_id).applied_count, publish(inbox, run_id)


def publish(inbox, run_id, is_marked=True):
    """The days that the run publishes; `is_marked` if it lives to note that."""
    news = read_news(inbox.pipeline, run_id)
    if is_marked:
        mark_announced(inbox.pipeline, run_id, news.chunk_ids)
    return [f"{day:%d}" for day in news.received_on]


@pytest.mark.parametrize("wrong_by", [-3 * HOUR, 3 * HOUR], ids=["slow", "fast"])
def test_a_worker_with_a_wrong_clock_neither_hides_nor_doubles_what_it_applied(inbox, open_named, wrong_by):
    first = open_named("first")
    add_orders(inbox, NOON - DAY, NOON)
    plan(inbox, first)
    inbox.work(run_id=first, clock=lambda: NOON + wrong_by)
    close_run(inbox.pipeline, first, is_good=True, now=inbox.now)
    inbox.now += 3 * HOUR
    second = open_named("second")
    assert told(inbox, first) == (2, ["23", "24"])
    assert told(inbox, second) == (0, [])


def test_of_two_runs_at_once_each_tells_what_it_applied(inbox, open_named):
    first, second = open_named("first"), open_named("second")
    add_orders(inbox, NOON - DAY)
    plan(inbox, first)
    add_orders(inbox, NOON)
    plan(inbox, second)
    is_time_over = iter((False, True)).__next__
    inbox.work(run_id=second, is_time_over=is_time_over)
    assert told(inbox, second) == (1, ["23"])
    inbox.work(run_id=first)
    assert told(inbox, first) == (1, ["24"])


def test_a_chunk_that_one_run_planned_and_another_one_applied_counts_in_the_other_one(inbox, open_named):
    first = open_named("first")
    add_orders(inbox, NOON)
    plan(inbox, first)
    second = open_named("second")
    inbox.work(run_id=second)
    assert (told(inbox, second), told(inbox, first)) == ((1, ["24"]), (0, []))


def test_a_run_that_is_tried_again_still_tells_what_the_killed_try_applied(inbox, open_named):
    killed = open_named("first")
    apply_orders(inbox, killed, NOON - DAY)
    inbox.now += HOUR
    retried = open_named("first")
    apply_orders(inbox, retried, NOON)
    assert told(inbox, retried) == (2, ["23", "24"])


def test_a_chunk_that_was_not_applied_counts_nowhere(inbox, open_named):
    run_id = open_named("first")
    add_orders(inbox, NOON)
    plan(inbox, run_id)
    inbox.execute("ALTER TABLE facts.fact_order RENAME TO fact_mislaid")
    assert inbox.work(run_id=run_id).failures
    assert told(inbox, run_id) == (0, [])


def test_a_run_is_good_once_it_is_closed_and_stays_so_when_it_is_opened_again(inbox, open_named):
    run_id = open_named("first")
    assert find_last_good_run(inbox.pipeline, DAG) is None
    close_run(inbox.pipeline, run_id, is_good=True, now=inbox.now)
    inbox.now += HOUR
    assert open_named("first") == run_id
    close_run(inbox.pipeline, run_id, is_good=False, now=inbox.now)
    assert find_last_good_run(inbox.pipeline, DAG) == NOON


def test_what_a_run_applied_and_never_published_is_published_by_the_next_one(inbox, open_named):
    ended = open_named("first")
    apply_orders(inbox, ended, NOON - DAY)
    following = open_named("second")
    assert told(inbox, following) == (0, ["23"])
    assert publish(inbox, open_named("third")) == []


def test_what_was_published_and_not_noted_is_published_again(inbox, open_named):
    first = open_named("first")
    apply_orders(inbox, first, NOON)
    assert publish(inbox, first, is_marked=False) == ["24"]
    assert publish(inbox, open_named("second")) == ["24"]
    assert publish(inbox, open_named("third")) == []


def test_what_is_applied_while_a_run_publishes_is_left_to_the_next_one(inbox, open_named):
    first = open_named("first")
    apply_orders(inbox, first, NOON)
    news = read_news(inbox.pipeline, first)
    apply_orders(inbox, first, NOON - DAY)
    mark_announced(inbox.pipeline, first, news.chunk_ids)
    assert publish(inbox, open_named("second")) == ["23"]


def test_a_run_that_is_cleared_publishes_what_it_applied_again(inbox, open_named):
    first = open_named("first")
    apply_orders(inbox, first, NOON)
    assert [publish(inbox, first), publish(inbox, open_named("first"))] == [["24"], ["24"]]


def test_events_that_all_died_are_no_news(inbox, open_named):
    first = open_named("first")
    inbox.add(order(total="a lot"))
    plan(inbox, first)
    inbox.work(run_id=first)
    assert publish(inbox, first) == []


def test_more_chunks_than_a_run_tells_of_are_told_by_the_next_ones(inbox, open_named, monkeypatch):
    monkeypatch.setattr("steadfast.webhooks.applying.outcome.MOST_NEWS", 1)
    ended = open_named("first")
    for moment in (NOON - DAY, NOON, NOON + DAY):
        add_orders(inbox, moment)
        plan(inbox, ended)
    inbox.work(run_id=ended)
    assert [publish(inbox, open_named(f"next-{n}")) for n in range(4)] == [["23"], ["24"], ["25"], []]


def test_news_is_found_without_reading_the_chunks_that_are_told(inbox):
    inbox.execute(
        "INSERT INTO ops.webhook_chunk (run_id, entity_ids, from_id, to_id, first_received_at,"
        " last_received_at, event_count, state, applied_count, dead_count, planned_at, finished_by,"
        " announced_by) SELECT n, '{1}', n, n + 1, %s, %s, 1, 'done', n %% 10, 1, %s, n,"
        " CASE WHEN n %% 10 > 0 AND n < 19990 THEN n END FROM generate_series(1, 20000) AS n",
        *(NOON, NOON, NOON),
    )
    inbox.execute("ANALYZE ops.webhook_chunk")
    bound = {"run_id": 20_001, "most": 10_000}
    query = load_queries("webhook_watch")["list_news"].as_string()
    plan = inbox.pipeline.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {query}", bound).fetchone()
    read = plan[0][0]["Plan"]
    assert read["Actual Rows"] == 9
    assert read["Shared Hit Blocks"] + read["Shared Read Blocks"] < 20


@pytest.mark.parametrize(
    ("first", "last", "days"),
    [
        ("2026-11-23T23:59:59+00:00", "2026-11-24T00:00:00+00:00", ["23", "24"]),
        ("2026-11-24T20:00:00-05:00", "2026-11-24T20:00:00-05:00", ["25"]),
        ("2026-11-23T00:00:00+00:00", "2026-11-25T00:00:00+00:00", ["23", "24", "25"]),
    ],
)
def test_every_utc_day_on_which_an_event_may_have_come_is_named_once(first, last, days):
    span = datetime.fromisoformat(first), datetime.fromisoformat(last)
    assert [f"{day:%d}" for day in list_days([span, span])] == days


def test_a_run_that_was_ended_from_outside_does_not_stay_open(inbox, open_named):
    ended, good = open_named("ended"), open_named("good")
    inbox.now += HOUR
    close_ended_runs(inbox.pipeline, good, inbox.now)
    states = dict(inbox.query("SELECT run_id, finished_at FROM ops.sync_run"))
    assert states == {ended: inbox.now, good: None}
    assert find_last_good_run(inbox.pipeline, DAG) is None
