"""When a source that says nothing is silent, from nothing but the minutes in which it was heard."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from steadfast.webhooks.watching.silence import (
    MOST_PAUSES,
    SHORTEST_PAUSE,
    WINDOW,
    Clock,
    History,
    is_quiet,
    judge_silence,
    learn_cadence,
    minute_of,
)

MONDAY = datetime(2026, 11, 16, tzinfo=UTC)
NEW_YORK = ZoneInfo("America/New_York")


def history_of(moments: Iterable[datetime], zone: str = "UTC") -> History:
    """The history that the warehouse would give of these moments."""
    minutes = sorted({minute_of(moment) for moment in moments})
    local = [datetime.fromtimestamp(60 * minute, ZoneInfo(zone)).replace(tzinfo=UTC) for minute in minutes]
    hours = sorted({minute_of(moment) // 60 for moment in local})
    pauses = [(before, after) for before, after in pairwise(minutes) if after - before >= SHORTEST_PAUSE]
    return History(zone, tuple(hours), minutes[0], minutes[-1], len(minutes), tuple(pauses[-MOST_PAUSES:]))


def every(
    minutes: int, start: datetime, end: datetime, hours: range = range(24), days: range = range(7)
) -> list[datetime]:
    """A moment each so many minutes, in these hours and on these days of the week of the start's zone."""
    moments, moment = [], start.astimezone(UTC)
    while moment <= end:
        local = moment.astimezone(start.tzinfo)
        if local.hour in hours and local.weekday() in days:
            moments.append(moment)
        moment += timedelta(minutes=minutes)
    return moments


def office(minutes: int, last: datetime, weeks: int = 4) -> list[datetime]:
    """A shop in New York that posts from 9 to 17 on working days, until `last`."""
    start = (last - timedelta(weeks=weeks)).astimezone(NEW_YORK)
    return every(minutes, start, last, range(9, 17), range(5))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=NEW_YORK)


def test_a_source_that_always_posts_is_silent_after_three_times_its_usual_pause():
    heard = every(10, MONDAY - WINDOW, MONDAY)
    assert not judge_silence(history_of(heard), MONDAY + timedelta(minutes=30)).is_silent
    assert judge_silence(history_of(heard), MONDAY + timedelta(minutes=31)).is_silent


def test_nothing_shorter_than_a_quarter_of_an_hour_is_a_silence():
    heard = every(1, MONDAY - WINDOW, MONDAY)
    assert not judge_silence(history_of(heard), MONDAY + timedelta(minutes=15)).is_silent
    assert judge_silence(history_of(heard), MONDAY + timedelta(minutes=16)).is_silent


@pytest.mark.parametrize(
    "now",
    ["2026-11-18T23:30", "2026-11-19T03:00", "2026-11-19T08:59", "2026-11-19T09:20"],
    ids=["late evening", "night", "before opening", "just opened"],
)
def test_a_shop_with_office_hours_is_not_silent_at_night(now):
    history = history_of(office(10, at("2026-11-18T16:50")), "America/New_York")
    assert not judge_silence(history, at(now)).is_silent


@pytest.mark.parametrize("now", ["2026-11-21T12:00", "2026-11-22T15:00", "2026-11-23T08:30"])
def test_a_shop_with_office_hours_is_not_silent_at_the_weekend(now):
    history = history_of(office(10, at("2026-11-20T16:50")), "America/New_York")
    assert not judge_silence(history, at(now)).is_silent


def test_a_shop_with_office_hours_is_silent_if_it_does_not_open():
    history = history_of(office(10, at("2026-11-18T16:50")), "America/New_York")
    verdict = judge_silence(history, at("2026-11-19T09:35"))
    assert verdict.is_silent
    assert verdict.reason == (
        "Quiet for 45 min of its usual hours. It usually pauses up to 10 min; its limit is 30 min."
    )


def test_office_hours_are_those_of_the_source_and_move_with_its_summer_time():
    # New York leaves summer time on 1 November: what was 13:00 UTC in October is 14:00 UTC in November.
    history = history_of(office(5, at("2026-11-03T16:55"), weeks=3), "America/New_York")
    opening = {hour % 24 for hour in history.active_hours}
    assert opening == set(range(9, 17))
    assert not judge_silence(history, at("2026-11-04T09:10")).is_silent
    assert judge_silence(history, at("2026-11-04T09:20")).is_silent


def test_a_zone_that_is_half_an_hour_off_has_its_own_hours():
    kolkata = ZoneInfo("Asia/Kolkata")
    last = datetime(2026, 11, 18, 16, 55, tzinfo=kolkata)
    heard = every(5, last - timedelta(weeks=3), last, range(9, 17))
    history = history_of(heard, "Asia/Kolkata")
    assert {hour % 24 for hour in history.active_hours} == set(range(9, 17))
    clock = Clock(history, minute_of(last + timedelta(days=1)))
    day = [minute_of(datetime(2026, 11, 19, hour, tzinfo=kolkata)) for hour in (0, 9, 17)]
    assert (clock.span(day[0], day[1]), clock.span(day[1], day[2])) == (0, 480)


def test_a_shop_that_sells_little_at_night_is_not_silent_every_night():
    start = MONDAY - WINDOW
    busy = every(1, start, MONDAY, range(8, 24))
    calm = every(30, start, MONDAY, range(8))
    history = history_of([*busy, *calm])
    assert not judge_silence(history, MONDAY + timedelta(minutes=89)).is_silent
    assert judge_silence(history, MONDAY + timedelta(minutes=91)).is_silent


def test_a_nightly_export_that_posts_many_minutes_in_a_row_is_awaited_the_next_night():
    heard = [
        MONDAY - timedelta(days=day) + timedelta(hours=2, minutes=minute)
        for day in range(28)
        for minute in range(40)
    ]
    history = history_of(heard)
    assert not judge_silence(history, MONDAY + timedelta(hours=20)).is_silent
    assert not judge_silence(history, MONDAY + timedelta(days=1, hours=2, minutes=10)).is_silent
    assert judge_silence(history, MONDAY + timedelta(days=1, hours=2, minutes=50)).is_silent


def test_one_outage_does_not_make_the_next_one_usual():
    heard = every(10, MONDAY - WINDOW, MONDAY)
    outage = [
        moment for moment in heard if not MONDAY - timedelta(hours=72) < moment < MONDAY - timedelta(hours=1)
    ]
    assert judge_silence(history_of(outage), MONDAY + timedelta(minutes=31)).is_silent


def test_with_less_than_two_weeks_of_history_plain_time_counts():
    heard = every(10, MONDAY - timedelta(days=13), MONDAY)
    history = history_of(heard)
    assert history.active_hours == frozenset()
    verdict = judge_silence(history, MONDAY + timedelta(minutes=31))
    assert verdict.is_silent
    assert "no usual hours yet" in verdict.reason


def test_a_new_shop_is_not_silent_each_night_until_its_hours_are_known():
    last = at("2026-11-18T16:50")
    history = history_of(office(10, last, weeks=1), "America/New_York")
    assert not judge_silence(history, at("2026-11-19T08:00")).is_silent


def test_a_source_without_habits_is_judged_by_plain_time():
    # Every 29 hours: no hour of the week comes up in half of the weeks.
    heard = [MONDAY - timedelta(hours=29 * number) for number in range(22)]
    history = history_of(heard)
    assert history.active_hours == frozenset()
    assert not judge_silence(history, MONDAY + timedelta(hours=80)).is_silent
    assert judge_silence(history, MONDAY + timedelta(hours=88)).is_silent


def test_too_few_pauses_give_no_verdict_and_say_so():
    heard = [MONDAY - timedelta(hours=number) for number in range(10)]
    verdict = judge_silence(history_of(heard), MONDAY + timedelta(days=3))
    assert is_quiet(history_of(heard), MONDAY + timedelta(days=3))
    assert not verdict.is_silent
    assert verdict.reason == "Heard with 9 pauses; 10 are needed to know its pace."


def test_eleven_minutes_are_enough_for_a_verdict():
    heard = [MONDAY - timedelta(hours=number) for number in range(11)]
    assert judge_silence(history_of(heard), MONDAY + timedelta(hours=4)).is_silent


def test_of_very_many_pauses_only_the_latest_count():
    heard = every(5, MONDAY - WINDOW, MONDAY)
    history = history_of(heard)
    assert len(history.pauses) == MOST_PAUSES
    cadence = learn_cadence(history, Clock(history, minute_of(MONDAY)))
    assert (cadence.usual, cadence.limit) == (5, 15)
