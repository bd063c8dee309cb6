"""A replay that is tried again, as Airflow tries a killed task: the request goes on, nothing comes twice."""

import signal
import subprocess
import sys
import threading
from datetime import timedelta

import pytest

from steadfast.errors import ConfigError
from steadfast.webhooks.replaying import replay_batch
from steadfast.webhooks.replaying.replay import replay_events
from steadfast.webhooks.replaying.search import EventFilter

from .replay_events import (
    NOW,
    add_dead,
    add_event,
    add_shops,
    bury,
    copies,
    finish_chunks,
    inbox_rows,
    letter_states,
    order_body,
)

RUN = "manual__2026-11-24"
LATER = NOW + timedelta(minutes=10)

KILLED_BETWEEN_BATCHES = """
import os, signal, sys
from datetime import datetime
from steadfast.warehouse.connect import connect
from steadfast.webhooks.replaying import replay_batch
from steadfast.webhooks.replaying.replay import replay_events
from steadfast.webhooks.replaying.search import EventFilter

url, state, run, now = sys.argv[1:]
replay_batch.BATCH_EVENTS = 2
replay_events(
    connect(url, autocommit=True), EventFilter(state=state, entity="bakery"), patch=None, is_dry_run=False,
    actor="test:ada", now=datetime.fromisoformat(now), airflow_run_id=run,
    on_progress=lambda seen, _: seen < 4 or os.kill(os.getpid(), signal.SIGKILL),
)
"""


@pytest.fixture
def owner(database):
    with database.connect() as connection:
        add_shops(connection)
        yield connection


@pytest.fixture
def replay(database, owner):
    """A function that replays as a task does, in the run of that id."""

    def ask(state="dead", *, now=NOW, run=RUN, patch=None, **more):
        wanted = EventFilter(state=state, entity=more.pop("entity", "bakery"))
        options = {"patch": patch, "is_dry_run": False, "actor": "test:ada", "airflow_run_id": run} | more
        with database.connect_pipeline() as connection:
            return replay_events(connection, wanted, now=now, **options)

    return ask


@pytest.fixture
def kill_between_batches(database, owner):
    """A function that replays in a process of its own, which is killed after four events."""

    def run(state):
        arguments = [database.pipeline_url, state, RUN, NOW.isoformat()]
        killed = subprocess.run([sys.executable, "-c", KILLED_BETWEEN_BATCHES, *arguments], check=False)
        assert killed.returncode == -signal.SIGKILL

    return run


def add_events(owner, state, count=5):
    if state == "dead":
        return [add_dead(owner) for _ in range(count)]
    events = [add_event(owner) for _ in range(count)]
    finish_chunks(owner)
    return events


def requests(owner):
    return owner.execute(
        "SELECT requested_at, matched_count, replayed_count, refused_count FROM ops.webhook_replay"
        " ORDER BY request_id"
    ).fetchall()


def count_audits(owner):
    return owner.execute("SELECT count(*) FROM ops.audit_event").fetchone()[0]


def how_often(owner):
    return {event: len(found) for event, found in copies(owner).items()}


def settle_copies(owner, state):
    """What becomes of copies while nobody replays: they are in the state that is asked for again."""
    finish_chunks(owner)
    for inbox_id, replay_of, *_ in inbox_rows(owner):
        if replay_of and state == "dead" and inbox_id not in letter_states(owner):
            bury(owner, inbox_id)


@pytest.mark.parametrize("state", ["dead", "applied"])
def test_a_killed_replay_goes_on_where_it_was_as_the_same_request(owner, replay, kill_between_batches, state):
    events = add_events(owner, state)
    kill_between_batches(state)
    assert sorted(copies(owner)) == events[:4]
    settle_copies(owner, state)
    report = replay(state, now=LATER)
    assert how_often(owner) == dict.fromkeys(events, 1)
    assert (report.matched_count, report.replayed_count, list(report.refused)) == (5, 5, [])
    assert requests(owner) == [(NOW, 5, 5, 0)]
    assert count_audits(owner) == 1


@pytest.mark.parametrize("state", ["dead", "applied"])
def test_a_run_that_is_cleared_after_its_end_replays_nothing_again(owner, replay, state):
    events = add_events(owner, state)
    replay(state)
    for tries in range(1, 4):
        settle_copies(owner, state)
        assert replay(state, now=NOW + tries * timedelta(hours=1)).replayed_count == 5
    assert how_often(owner) == dict.fromkeys(events, 1)
    assert (requests(owner), count_audits(owner)) == ([(NOW, 5, 5, 0)], 1)


def test_copies_of_a_worker_whose_clock_is_slow_are_not_replayed_by_the_next_try(
    owner, replay, kill_between_batches
):
    events = add_events(owner, "applied")
    kill_between_batches("applied")
    replay("applied", now=NOW - timedelta(minutes=30))
    settle_copies(owner, "applied")
    replay("applied", now=LATER)
    assert how_often(owner) == dict.fromkeys(events, 1)


def test_what_the_patch_did_not_fit_counts_once_however_often_it_is_tried(owner, replay):
    add_dead(owner, body=order_body())
    bad = add_dead(owner, body=b'{"type": "order", "data": {}}')
    usd = [{"op": "replace", "path": "/data/currency", "value": "USD"}]
    for number in range(3):
        report = replay(patch=usd, now=NOW + number * timedelta(minutes=5))
        assert [refused.inbox_id for refused in report.refused] == [bad]
        assert (report.matched_count, report.replayed_count) == (2, 1)
    assert requests(owner) == [(NOW, 2, 1, 1)]


def test_a_dry_run_that_is_tried_again_is_on_record_once(owner, replay):
    add_events(owner, "dead")
    for _ in range(2):
        assert replay(is_dry_run=True).replayed_count == 5
    assert (requests(owner), count_audits(owner)) == ([(NOW, 5, 5, 0)], 0)


def test_another_run_is_another_request_and_so_is_each_command(owner, replay):
    add_events(owner, "dead", 1)
    for run in ("manual__1", "manual__2", None, None):
        replay(run=run)
    assert len(requests(owner)) == 4


def test_a_run_that_asks_for_something_else_under_a_used_id_is_refused(owner, replay):
    replay()
    with pytest.raises(ConfigError, match=f"{RUN} is on record with another filter"):
        replay("applied")
    with pytest.raises(ConfigError, match="Start a run of another name"):
        replay(patch=[{"op": "remove", "path": "/data/tax"}])


@pytest.mark.parametrize("runs", [(RUN, RUN), (None, None)], ids=["one run", "two commands"])
def test_two_who_replay_applied_events_at_once_copy_each_once(owner, replay, monkeypatch, runs):
    monkeypatch.setattr(replay_batch, "BATCH_EVENTS", 3)
    events = add_events(owner, "applied", 40)
    barrier = threading.Barrier(2)

    def work(run):
        barrier.wait()
        replay("applied", run=run)

    threads = [threading.Thread(target=work, args=(run,)) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert how_often(owner) == dict.fromkeys(events, 1)
