"""What ops are told about webhooks, and how often."""

from datetime import UTC, datetime, timedelta

import pytest

from steadfast.webhooks.watching.telling import MOST_ALONE, spell_minutes
from steadfast.webhooks.watching.watch import is_failing, watch

from .watched import NOW, World

MINUTE = timedelta(minutes=1)


@pytest.fixture
def world(database):
    with database.connect() as connection:
        yield World(connection)


@pytest.fixture
def look(database, world):
    """A function that watches once, as the pipeline does, and tells how many signals were new."""
    with database.connect_pipeline() as connection:
        yield lambda now=NOW, run_id=None: watch(connection, run_id or world.run_id, now)


def test_a_quiet_warehouse_has_nothing_to_say(world, look):
    assert look() == 0


def test_new_dead_letters_are_told_with_their_reason_and_how_to_look_at_them(world, look):
    world.bury(count=3)
    world.plan_to(10)
    assert look() == 1
    assert world.subjects() == ["bakery/orders: 3 events could not be loaded (missing_field)"]
    assert "The first, number 1 of type order: data.total is missing; valid is an amount." in world.words()
    assert (
        "steadfast webhook search --entity bakery --source orders --state dead --reason missing_field"
        in world.body().splitlines()[-1]
    )


def test_dead_letters_are_told_once_a_source_reason_and_day(world, look):
    world.bury(1, "missing_field", 2)
    world.bury(1, "bad_field")
    world.bury(2, "missing_field")
    world.plan_to(10)
    assert look() == 3
    world.bury(1, "missing_field", 5, NOW + MINUTE)
    world.plan_to(20)
    assert look(NOW + 5 * MINUTE) == 0
    tomorrow = NOW + timedelta(days=1)
    world.bury(1, "missing_field", 5, tomorrow)
    world.plan_to(30)
    assert look(tomorrow, world.open_run("run-2", tomorrow - MINUTE)) == 1


def test_dead_letters_of_earlier_runs_are_no_news(world, look):
    world.bury(failed_at=NOW - timedelta(hours=7))
    world.plan_to(10)
    assert look() == 0


def test_dead_letters_of_a_run_that_ended_before_it_could_tell_are_told_by_the_next(world, look):
    world.bury(failed_at=NOW - timedelta(minutes=10))
    world.plan_to(10)
    assert look() == 1


def test_a_reason_that_hits_many_sources_is_one_mail(world, look):
    for number in range(MOST_ALONE + 1):
        world.bury(world.add_source(f"shop-{number:02}"), "unknown_version")
    world.plan_to(100)
    assert look() == 1
    assert world.subjects() == ["New dead letters: 11 at once"]
    assert "shop-07/orders: 1 event could not be loaded (unknown_version)" in world.words()
    assert "steadfast webhook search --entity shop-00" in world.words()
    assert look(NOW + 5 * MINUTE) == 0


@pytest.mark.parametrize(
    ("refused", "requests", "expected"),
    [(5, 20, True), (4, 20, False), (19, 19, False), (201, 1000, True), (200, 1000, False)],
)
def test_a_source_fails_if_more_than_a_fifth_of_enough_requests_is_refused(refused, requests, expected):
    assert is_failing(refused, requests) is expected


def test_a_failing_source_is_told_once_a_day_with_what_the_status_means(world, look):
    world.hear(1, [NOW - 3 * MINUTE], 401, requests=15)
    world.hear(1, [NOW - 2 * MINUTE], 422, requests=3)
    world.hear(1, [NOW - 2 * MINUTE], 202, requests=20)
    world.hear(2, [NOW - 2 * MINUTE], 202, requests=1000)
    assert look() == 1
    assert world.subjects() == ["bakery/orders: 18 of 38 requests were refused"]
    assert "mostly answered 401. Its key, its address or its clock is wrong." in world.words()
    world.hear(1, [NOW + 2 * MINUTE], 401, requests=50)
    assert look(NOW + 5 * MINUTE) == 0


def test_a_problem_from_before_midnight_is_not_told_again_after_it(world, look):
    midnight = datetime(2026, 11, 25, tzinfo=UTC)
    world.hear(1, [midnight - 5 * MINUTE], 401, requests=50)
    assert look(midnight - MINUTE) == 1
    assert look(midnight + 10 * MINUTE) == 0


def test_refusals_older_than_an_hour_are_no_news(world, look):
    world.hear(1, [NOW - 70 * MINUTE], 401, requests=50)
    assert look() == 0


def test_a_source_over_its_limit_is_told_once_a_day(world, look):
    world.hear(1, [NOW - 3 * MINUTE], 429, requests=100)
    world.hear(1, [NOW - 3 * MINUTE], 202, requests=10)
    assert look() == 1
    assert world.subjects() == ["bakery/orders: 100 requests over its limit"]
    assert "steadfast source edit bakery orders --rate N --burst N" in world.words()
    assert look(NOW + 5 * MINUTE) == 0


@pytest.mark.parametrize("disable", [World.disable_source, World.disable_entity])
def test_what_is_switched_off_is_not_told_of(world, look, disable):
    world.hear(1, [NOW - 3 * MINUTE], 401, requests=100)
    world.hear(1, [NOW - 3 * MINUTE], 429, requests=100)
    disable(world)
    assert look() == 0


def test_requests_of_nobody_we_know_are_not_told_of(world, look):
    world.hear(None, [NOW - 3 * MINUTE], 401, requests=5000)
    assert look() == 0


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("reject", ["bakery/orders: 2 events came under a used id with another body"]),
        ("keep_first", ["bakery/orders: 2 events came under a used id with another body"]),
        ("new_version", []),
    ],
)
def test_a_used_id_with_another_body_is_told_unless_that_is_agreed(world, look, policy, expected):
    for number in range(2):
        world.connection.execute(
            "INSERT INTO landing.webhook_conflict (entity_id, source_id, event_id, first_inbox_id,"
            " received_at, policy, body) VALUES (1, 1, 'order-17', 1, %s, %s, '{}')",
            (NOW - number * MINUTE, policy),
        )
    look()
    look(NOW + 5 * MINUTE)
    assert world.subjects() == expected


def test_events_that_wait_for_more_than_ten_minutes_are_told_once_a_day(world, look):
    world.add_chunk(0, 40, NOW - 12 * MINUTE)
    world.plan_to(40)
    for _ in range(2):
        world.connection.execute("SELECT nextval('landing.webhook_inbox_id')")
    assert look(NOW - 3 * MINUTE) == 0
    assert look() == 1
    assert world.subjects() == ["Webhook events wait for 12 min"]
    assert (
        "40 events safe in the inbox and in no table yet, the oldest since 2026-11-24 11:51 UTC."
        in world.words()
    )
    assert look(NOW + timedelta(hours=2)) == 0


def test_events_that_no_run_has_planned_wait_too(world, look):
    world.add_event(1, NOW - 11 * MINUTE)
    world.add_event(2, NOW - 5 * MINUTE)
    assert look() == 1
    assert "2 events safe in the inbox" in world.words()


def test_a_chunk_that_failed_five_times_is_told_once_with_its_error(world, look):
    world.plan_to(40)
    world.add_chunk(0, 40, NOW - 3 * MINUTE, attempt=4, error="The warehouse lacks facts.fact_order.")
    assert look() == 0
    world.connection.execute("UPDATE ops.webhook_chunk SET attempt = 5")
    assert look() == 1
    world.connection.execute("UPDATE ops.webhook_chunk SET attempt = 6")
    assert look(NOW + 5 * MINUTE) == 0
    assert world.subjects() == ["40 webhook events cannot be applied, after 5 tries"]
    assert "Why The warehouse lacks facts.fact_order." in world.words()


@pytest.mark.parametrize(
    ("minutes", "words"),
    [(0.5, "0 min"), (45, "45 min"), (60, "1 h"), (125, "2 h 5 min"), (1500, "25 h"), (4560, "3 days 4 h")],
)
def test_durations_are_spelled_as_people_say_them(minutes, words):
    assert spell_minutes(minutes) == words
