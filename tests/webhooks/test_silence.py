"""Silent sources in a real warehouse: told once, not at night, and as one problem if nobody is heard."""

from datetime import UTC, datetime, timedelta

import pytest

from steadfast.webhooks.watching.watch import watch

from .watched import World, every

NOW = datetime(2026, 11, 24, 12, 3, 20, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


@pytest.fixture
def world(database):
    with database.connect() as connection:
        yield World(connection)


@pytest.fixture
def look(database, world):
    with database.connect_pipeline() as connection:
        yield lambda now=NOW: watch(connection, world.run_id, now)


def test_a_source_that_stopped_is_told_once_a_silence(world, look):
    world.hear(1, every(10, NOW - 40 * MINUTE, 27))
    world.hear(2, every(10, NOW - MINUTE, 27))
    assert look() == 1
    assert world.subjects() == ["bakery/orders has sent nothing since 2026-11-24 11:23 UTC"]
    assert "It usually pauses up to 10 min; its limit is 30 min." in world.words()
    assert look(NOW + 10 * MINUTE) == 0


def test_a_source_that_is_heard_again_and_stops_again_is_told_again(world, look):
    world.hear(1, every(10, NOW - 40 * MINUTE, 27))
    world.hear(2, every(10, NOW + 2 * HOUR, 27))
    assert look() == 1
    world.hear(1, [NOW + 20 * MINUTE])
    assert look(NOW + 30 * MINUTE) == 0
    assert look(NOW + 2 * HOUR) == 1


def test_whoever_posts_in_office_hours_is_not_told_at_night(world, look):
    shop = world.add_source("boutique", zone="America/New_York")
    # 9 to 17 in New York is 14 to 22 in UTC.
    heard = [
        moment for moment in every(5, NOW - 12 * HOUR, 27) if 14 <= moment.hour < 22 and moment.weekday() < 5
    ]
    world.hear(shop, heard)
    world.hear(2, every(10, NOW + 3 * HOUR, 27))
    assert look() == 0
    assert look(NOW + 2 * HOUR + 5 * MINUTE) == 0
    assert look(NOW + 2 * HOUR + 20 * MINUTE) == 1
    assert world.subjects() == ["boutique/orders has sent nothing since 2026-11-23 21:58 UTC"]


@pytest.mark.parametrize("disable", [World.disable_source, World.disable_entity])
def test_what_is_switched_off_is_never_silent(world, look, disable):
    world.hear(1, every(10, NOW - 5 * HOUR, 27))
    world.hear(2, every(10, NOW - MINUTE, 27))
    disable(world)
    assert look() == 0


def test_a_source_that_was_just_switched_on_again_is_given_time(world, look):
    world.hear(1, every(10, NOW - 100 * HOUR, 20))
    world.hear(2, every(10, NOW + HOUR, 27))
    world.connection.execute(
        "UPDATE config.webhook_source SET updated_at = %s WHERE source_id = 1", (NOW - MINUTE,)
    )
    assert look() == 0
    assert look(NOW + HOUR) == 1


def test_a_source_with_too_little_history_is_never_silent(world, look):
    world.hear(1, every(10, NOW - 5 * HOUR, 1)[:10])
    assert look() == 0


def test_a_source_that_asks_in_vain_is_told_what_it_is_answered(world, look):
    world.hear(1, every(10, NOW - 40 * MINUTE, 27))
    world.hear(1, every(10, NOW - MINUTE, 27)[:4], status=422)
    world.hear(2, every(10, NOW - MINUTE, 27))
    assert look() == 1
    assert "It asked 4 times since, and was mostly answered 422." in world.words()
    assert "steadfast source show bakery orders" in world.words()


def test_if_nobody_is_heard_any_more_that_is_one_problem(world, look):
    for source_id in (1, 2, 3):
        world.hear(source_id, every(10, NOW - (40 + source_id) * MINUTE, 27))
    assert look() == 1
    assert world.subjects() == ["No webhook source has been heard since 2026-11-24 11:22 UTC"]
    assert "3 sources should have sent by now: bakery/orders, cafe/orders, florist/orders." in world.words()
    assert "/readyz" in world.words()
    assert look(NOW + HOUR) == 0


def test_sources_that_join_a_common_silence_later_are_part_of_it(world, look):
    world.hear(1, every(5, NOW - 20 * MINUTE, 27))
    world.hear(2, every(15, NOW - 20 * MINUTE, 27))
    world.hear(3, every(60, NOW - 20 * MINUTE, 27))
    assert look() == 1
    assert look(NOW + 40 * MINUTE) == 1
    assert look(NOW + 4 * HOUR) == 0
    assert world.subjects() == [
        "bakery/orders has sent nothing since 2026-11-24 11:43 UTC",
        "No webhook source has been heard since 2026-11-24 11:43 UTC",
    ]


def test_who_stays_silent_after_a_common_silence_is_told_by_name(world, look):
    for source_id in (1, 2, 3):
        world.hear(source_id, every(10, NOW - 40 * MINUTE, 27))
    assert look() == 1
    for source_id in (2, 3):
        world.hear(source_id, [NOW + 5 * MINUTE])
    assert look(NOW + 10 * MINUTE) == 1
    assert world.subjects()[1] == "bakery/orders has sent nothing since 2026-11-24 11:23 UTC"


def test_old_silences_do_not_turn_a_pause_into_an_outage(world, look):
    world.hear(1, every(10, NOW - 100 * HOUR, 20))
    world.hear(2, every(10, NOW - 50 * HOUR, 20))
    world.hear(3, every(60, NOW - 30 * MINUTE, 27))
    assert look() == 2
    assert all("has sent nothing since" in subject for subject in world.subjects())


def test_many_sources_that_fall_silent_while_others_go_on_are_one_mail(world, look):
    for number in range(11):
        world.hear(world.add_source(f"shop-{number:02}"), every(10, NOW - 40 * MINUTE, 10))
    world.hear(1, every(10, NOW - MINUTE, 27))
    assert look() == 1
    assert world.subjects() == ["Webhook sources fell silent: 11 at once"]
