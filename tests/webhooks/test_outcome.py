"""What a run did, as the asset and the report tell it: by who applied a chunk, whatever any clock said."""

from datetime import timedelta

import pytest

from steadfast.webhooks.applying.outcome import (
    close_run,
    find_last_good_run,
    list_received_days,
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


def told(inbox, run_id):
    """How many events a run says it applied, and the days on which they came."""
    summary = summarise_ingest(inbox.pipeline, run_id)
    return summary.applied_count, [f"{day:%d}" for day in list_received_days(inbox.pipeline, run_id)]


@pytest.mark.parametrize("wrong_by", [-3 * HOUR, 3 * HOUR], ids=["slow", "fast"])
def test_a_worker_with_a_wrong_clock_neither_hides_nor_doubles_what_it_applied(inbox, open_named, wrong_by):
    first = open_named("first")
    add_orders(inbox, NOON - DAY, NOON)
    plan(inbox, first)
    inbox.work(run_id=first, clock=lambda: NOON + wrong_by)
    close_run(inbox.pipeline, first, inbox.now)
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
    inbox.work(run_id=first)
    assert told(inbox, second) == (1, ["23"])
    assert told(inbox, first) == (1, ["24"])


def test_a_chunk_that_one_run_planned_and_another_one_applied_counts_in_the_other_one(inbox, open_named):
    first = open_named("first")
    add_orders(inbox, NOON)
    plan(inbox, first)
    second = open_named("second")
    inbox.work(run_id=second)
    assert (told(inbox, first), told(inbox, second)) == ((0, []), (1, ["24"]))


def test_a_run_that_is_tried_again_still_tells_what_the_killed_try_applied(inbox, open_named):
    killed = open_named("first")
    add_orders(inbox, NOON - DAY)
    plan(inbox, killed)
    inbox.work(run_id=killed)
    inbox.now += HOUR
    retried = open_named("first")
    add_orders(inbox, NOON)
    plan(inbox, retried)
    inbox.work(run_id=retried)
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
    close_run(inbox.pipeline, run_id, inbox.now)
    inbox.now += HOUR
    assert open_named("first") == run_id
    assert find_last_good_run(inbox.pipeline, DAG) == NOON
