"""The inbox keeps its partitions ahead and forgets what is over, never what is still needed."""

from datetime import UTC, datetime, timedelta

import pytest

from steadfast.webhooks.applying import upkeep
from steadfast.webhooks.applying.upkeep import keep_up

from .watched import NOW, World

DAY = timedelta(days=1)


@pytest.fixture
def world(database):
    with database.connect() as connection:
        yield World(connection)


@pytest.fixture
def keep(database, world):
    with database.connect_pipeline() as connection:
        yield lambda now=NOW: keep_up(connection, now)


def add_keys(world, source_id, age, count=1, first_inbox_id=1):
    world.connection.execute(
        "INSERT INTO landing.webhook_event_key (source_id, dedup_key, body_hash, inbox_id, received_at)"
        " SELECT %s, gen_random_uuid(), gen_random_uuid(), number, %s"
        " FROM generate_series(%s::bigint, %s) AS number",
        (source_id, NOW - age, first_inbox_id, first_inbox_id + count - 1),
    )


def count_keys(world, source_id=1):
    query = "SELECT count(*) FROM landing.webhook_event_key WHERE source_id = %s"
    return world.connection.execute(query, (source_id,)).fetchone()[0]


def test_partitions_of_the_next_week_are_made_once(world, keep):
    now = datetime(2026, 12, 1, 9, tzinfo=UTC)
    assert keep(now).made_partitions == tuple(f"webhook_inbox_2026_12_0{day}" for day in range(5, 9))
    assert keep(now).made_partitions == ()
    world.add_event(1, now + 7 * DAY)


def test_ids_are_forgotten_after_the_window_of_their_source(world, keep):
    world.connection.execute("UPDATE config.webhook_source SET dedup_days = 3 WHERE source_id = 2")
    world.plan_to(1000)
    for source_id in (1, 2):
        for days in (1, 4, 29, 31):
            add_keys(world, source_id, days * DAY)
    assert keep().forgotten_key_count == 4
    assert (count_keys(world, 1), count_keys(world, 2)) == (3, 1)


def test_an_id_stays_as_long_as_a_request_dated_ahead_could_come_again(world, keep):
    world.plan_to(1000)
    add_keys(world, 1, 30 * DAY + timedelta(minutes=4))
    assert keep().forgotten_key_count == 0
    assert keep(NOW + timedelta(minutes=2)).forgotten_key_count == 1


@pytest.mark.parametrize("inbox_id", [11, 30, 31])
def test_an_id_stays_while_its_event_waits(world, keep, inbox_id):
    world.add_chunk(0, 10, state="done", finished_at=NOW)
    world.add_chunk(10, 20)
    world.add_chunk(20, 30)
    world.plan_to(30)
    add_keys(world, 1, 40 * DAY, first_inbox_id=10)
    add_keys(world, 1, 40 * DAY, first_inbox_id=inbox_id)
    assert keep().forgotten_key_count == 1
    assert count_keys(world) == 1


def test_a_run_forgets_a_bounded_number_and_the_next_one_goes_on(world, keep, monkeypatch):
    monkeypatch.setattr(upkeep, "ROWS_A_STEP", 10)
    monkeypatch.setattr(upkeep, "MOST_STEPS", 2)
    world.plan_to(1000)
    add_keys(world, 1, 40 * DAY, count=15)
    add_keys(world, 2, 40 * DAY, count=15)
    assert [keep().forgotten_key_count for _ in range(3)] == [20, 10, 0]


def test_counts_are_kept_for_five_weeks(world, keep):
    for days in (1, 28, 34, 36, 50):
        world.hear(1, [NOW - days * DAY])
        world.hear(None, [NOW - days * DAY])
    assert keep().forgotten_traffic_count == 4
    assert world.connection.execute("SELECT count(*) FROM ops.webhook_traffic").fetchone() == (6,)
