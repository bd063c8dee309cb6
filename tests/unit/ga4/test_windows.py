"""Which dates are fetched, in whose time zone, and when they are final."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steadfast.errors import ConfigError
from steadfast.ga4.reports import Grain
from steadfast.ga4.windows import (
    DateRange,
    covered_periods,
    halve_range,
    is_settled,
    missing_ranges,
    newest_full_day,
    period_end,
    sync_window,
)

NEWEST = date(2026, 3, 10)
DATES = st.dates(date(2015, 8, 14), date(2040, 1, 1))


@pytest.mark.parametrize(
    ("zone", "newest"),
    [
        ("America/New_York", date(2026, 3, 9)),
        ("Pacific/Honolulu", date(2026, 3, 9)),
        ("UTC", date(2026, 3, 10)),
        ("Asia/Tokyo", date(2026, 3, 10)),
        ("Pacific/Kiritimati", date(2026, 3, 10)),
    ],
)
def test_yesterday_is_another_day_in_another_zone(zone, newest):
    assert newest_full_day(datetime(2026, 3, 11, 2, tzinfo=UTC), zone) == newest


@pytest.mark.parametrize(
    ("now", "newest"),
    [
        ("2026-03-08T04:59", date(2026, 3, 6)),
        ("2026-03-08T05:00", date(2026, 3, 7)),
        ("2026-03-09T03:59", date(2026, 3, 7)),
        ("2026-03-09T04:00", date(2026, 3, 8)),
        ("2026-11-02T04:59", date(2026, 10, 31)),
        ("2026-11-02T05:00", date(2026, 11, 1)),
    ],
)
def test_the_day_ends_at_local_midnight_when_clocks_change(now, newest):
    assert newest_full_day(datetime.fromisoformat(now + "+00:00"), "America/New_York") == newest


@pytest.mark.parametrize("zone", ["", "Mars/Olympus", "../etc/passwd", "America", "a\0b"])
def test_an_unknown_zone_is_named(zone):
    with pytest.raises(ConfigError, match="Unknown time zone"):
        newest_full_day(datetime(2026, 3, 11, tzinfo=UTC), zone)


@pytest.mark.parametrize(
    ("run_on", "days"),
    [
        (date(2026, 3, 11), 4),
        (date(2026, 3, 15), 14),
        (date(2026, 4, 1), 35),
        (date(2026, 3, 1), 35),
    ],
    ids=["a Wednesday", "a Sunday", "the first", "the first on a Sunday"],
)
def test_the_window_is_longer_on_sundays_and_on_the_first(run_on, days):
    window = sync_window("scheduled", date(2026, 3, 10), NEWEST, 4, run_on)
    assert window == DateRange(NEWEST - timedelta(days=days - 1), NEWEST)


def test_a_wider_window_of_the_entity_stays():
    window = sync_window("scheduled", NEWEST, NEWEST, 90, date(2026, 3, 1))
    assert window is not None
    assert window.day_count == 90


def test_a_backfill_takes_its_partition_only():
    day = date(2026, 2, 1)
    assert sync_window("backfill", day, NEWEST, 4, date(2026, 3, 1)) == DateRange(day, day)
    assert sync_window("backfill", date(2026, 3, 11), NEWEST, 4, date(2026, 3, 12)) is None


def test_dates_that_were_asked_for_end_with_the_newest_full_day():
    asked = DateRange(date(2026, 3, 1), date(2026, 3, 31))
    assert sync_window("manual", None, NEWEST, 4, NEWEST, asked) == DateRange(date(2026, 3, 1), NEWEST)
    future = DateRange(date(2026, 4, 1), date(2026, 4, 2))
    assert sync_window("manual", None, NEWEST, 4, NEWEST, future) is None


def test_a_range_that_ends_before_it_starts_is_refused():
    with pytest.raises(ConfigError, match="starts on 2026-03-02, after its end on 2026-03-01"):
        DateRange(date(2026, 3, 2), date(2026, 3, 1))


@pytest.mark.parametrize(
    ("grain", "start", "end", "newest", "periods"),
    [
        (Grain.DAY, (3, 8), (3, 10), (3, 9), [date(2026, 3, 8), date(2026, 3, 9)]),
        (Grain.WEEK, (3, 7), (3, 10), (3, 10), [date(2026, 3, 2)]),
        (Grain.WEEK, (3, 7), (3, 10), (3, 15), [date(2026, 3, 2), date(2026, 3, 9)]),
        (Grain.WEEK, (1, 1), (1, 1), (3, 1), [date(2025, 12, 29)]),
        (Grain.WEEK, (3, 9), (3, 10), (3, 14), []),
        (Grain.MONTH, (1, 31), (3, 10), (3, 10), [date(2026, 1, 1), date(2026, 2, 1)]),
        (Grain.MONTH, (3, 31), (3, 31), (3, 31), [date(2026, 3, 1)]),
    ],
)
def test_only_periods_that_have_ended_are_covered(grain, start, end, newest, periods):
    dates = DateRange(date(2026, *start), date(2026, *end))
    assert covered_periods(grain, dates, date(2026, *newest)) == periods


@pytest.mark.parametrize(
    ("month", "last"),
    [((2024, 2), 29), ((2026, 2), 28), ((2026, 4), 30), ((2026, 12), 31)],
)
def test_a_month_ends_on_its_last_day(month, last):
    assert period_end(Grain.MONTH, date(*month, 1)) == date(*month, last)


@given(DATES, st.integers(0, 200), st.sampled_from(Grain))
def test_covered_periods_touch_each_other_and_hold_the_range(start, length, grain):
    dates = DateRange(start, start + timedelta(days=length))
    periods = covered_periods(grain, dates, dates.end + timedelta(days=40))
    assert periods[0] <= dates.start
    assert period_end(grain, periods[-1]) >= dates.end
    for before, after in pairwise(periods):
        assert period_end(grain, before) + timedelta(days=1) == after


@pytest.mark.parametrize(
    ("zone", "day", "settled_at"),
    [
        ("UTC", date(2026, 3, 1), "2026-03-05T00:00"),
        ("America/New_York", date(2026, 3, 1), "2026-03-05T05:00"),
        ("America/New_York", date(2026, 3, 7), "2026-03-11T05:00"),
        ("America/New_York", date(2026, 3, 8), "2026-03-12T04:00"),
        ("America/New_York", date(2026, 11, 1), "2026-11-05T05:00"),
        ("Asia/Beirut", date(2026, 3, 28), "2026-03-31T22:00"),
    ],
)
def test_a_day_is_settled_72_hours_after_its_end(zone, day, settled_at):
    moment = datetime.fromisoformat(settled_at + "+00:00")
    assert is_settled(Grain.DAY, day, zone, moment)
    assert not is_settled(Grain.DAY, day, zone, moment - timedelta(seconds=1))
    assert is_settled(Grain.DAY, day, zone, moment.astimezone(ZoneInfo("Asia/Tokyo")))


def test_a_week_and_a_month_settle_after_their_last_day():
    fetched = datetime(2026, 3, 4, 23, 59, tzinfo=UTC)
    assert not is_settled(Grain.WEEK, date(2026, 2, 23), "UTC", fetched)
    assert is_settled(Grain.WEEK, date(2026, 2, 16), "UTC", fetched)
    assert not is_settled(Grain.MONTH, date(2026, 3, 1), "UTC", fetched)
    assert is_settled(Grain.MONTH, date(2026, 1, 1), "UTC", fetched)


def test_holes_are_filled_newest_first():
    expected = {date(2026, 3, day) for day in range(1, 11)}
    present = {date(2026, 3, 4), date(2026, 3, 9)}
    assert missing_ranges(expected, present, 3) == [
        DateRange(date(2026, 3, 10), date(2026, 3, 10)),
        DateRange(date(2026, 3, 6), date(2026, 3, 8)),
        DateRange(date(2026, 3, 5), date(2026, 3, 5)),
        DateRange(date(2026, 3, 1), date(2026, 3, 3)),
    ]
    assert missing_ranges(expected, expected, 3) == []


def test_a_month_is_never_cut():
    expected = {date(2026, month, 1) for month in range(1, 5)}
    assert missing_ranges(expected, set(), 60, Grain.MONTH) == [
        DateRange(date(2026, 4, 1), date(2026, 4, 30)),
        DateRange(date(2026, 2, 1), date(2026, 3, 31)),
        DateRange(date(2026, 1, 1), date(2026, 1, 31)),
    ]
    assert missing_ranges({date(2026, 1, 1)}, set(), 7, Grain.MONTH) == [
        DateRange(date(2026, 1, 1), date(2026, 1, 31))
    ]


@given(st.sets(DATES, max_size=40), st.sets(DATES, max_size=40), st.integers(1, 40))
def test_the_ranges_hold_each_missing_day_once(expected, present, days):
    ranges = missing_ranges(expected, present, days)
    assert sorted(day for one in ranges for day in one) == sorted(expected - present)
    assert all(one.day_count <= days for one in ranges)
    assert ranges == sorted(ranges, reverse=True)


@given(DATES, st.integers(0, 100))
def test_a_halved_range_loses_no_day(start, length):
    dates = DateRange(start, start + timedelta(days=length))
    halves = halve_range(dates)
    assert [day for half in halves for day in half] == list(dates)
    assert len(halves) == (1 if length == 0 else 2)
