"""When to go, slow down or stop asking, and how many requests may run at once."""

from datetime import UTC, datetime, timedelta

import pytest

from steadfast.ga4.quota import (
    Bucket,
    QuotaReading,
    decide_pace,
    enlarge_sizes,
    estimate_tokens,
    refill_at,
)
from steadfast.ga4.reports import REPORTS, Report

NOON = datetime(2026, 3, 10, 12, 30, tzinfo=UTC)
SIZES = {"tokens_per_day": 200_000, "tokens_per_hour": 40_000, "tokens_per_project_per_hour": 14_000}


def reading(**remaining):
    return QuotaReading(**{name: Bucket(5, left) for name, left in remaining.items()})


def test_it_goes_at_once_while_there_is_plenty():
    full = reading(tokens_per_day=150_000, tokens_per_hour=30_000, tokens_per_project_per_hour=9_000)
    pace = decide_pace(full, NOON, SIZES)
    assert (pace.wait_s, pace.park_until) == (0.0, None)


def test_it_spreads_what_is_left_of_an_hour_over_the_rest_of_it():
    pace = decide_pace(reading(tokens_per_project_per_hour=1_400), NOON, SIZES)
    assert pace.park_until is None
    assert pace.wait_s == pytest.approx(30 * 60 / ((1_400 - 700) / 5))
    assert pace.reason == "1400 of about 14000 tokens per project per hour remain"


def test_it_never_waits_longer_than_a_minute_between_requests():
    assert decide_pace(reading(tokens_per_hour=2_001), NOON, SIZES).wait_s == 60.0


def test_it_parks_until_the_next_hour_before_an_hour_is_used_up():
    pace = decide_pace(reading(tokens_per_project_per_hour=699), NOON, SIZES, jitter_s=7)
    assert pace.park_until == datetime(2026, 3, 10, 13, 0, 7, tzinfo=UTC)


def test_a_used_up_day_outweighs_a_used_up_hour():
    pace = decide_pace(reading(tokens_per_hour=0, tokens_per_day=9_999), NOON, SIZES)
    assert pace.park_until == datetime(2026, 3, 11, 7, 5, tzinfo=UTC)
    assert "tokens per day" in pace.reason


def test_an_unknown_size_is_taken_from_the_reading():
    assert decide_pace(reading(tokens_per_hour=300), NOON).park_until is None
    assert decide_pace(reading(tokens_per_hour=0), NOON).park_until is not None


def test_no_quota_in_the_answer_means_no_wait():
    assert decide_pace(QuotaReading(), NOON).wait_s == 0.0


def test_demographic_and_concurrent_requests_do_not_stop_the_property():
    scarce = reading(potentially_thresholded_requests_per_hour=0, concurrent_requests=0)
    sizes = {"potentially_thresholded_requests_per_hour": 120, "concurrent_requests": 10}
    assert decide_pace(scarce, NOON, sizes).park_until is None


def test_the_size_of_a_bucket_is_the_most_that_was_seen_in_it():
    sizes = enlarge_sizes({"tokens_per_day": 200_000}, reading(tokens_per_day=100, tokens_per_hour=39_995))
    assert sizes == {"tokens_per_day": 200_000, "tokens_per_hour": 40_000}


@pytest.mark.parametrize(
    ("now", "refill"),
    [
        ("2026-01-15T12:00", "2026-01-16T08:05"),
        ("2026-07-15T12:00", "2026-07-16T07:05"),
        ("2026-07-15T06:59", "2026-07-15T07:05"),
        ("2026-07-15T07:05", "2026-07-16T07:05"),
        ("2026-03-07T20:00", "2026-03-08T08:05"),
        ("2026-03-08T20:00", "2026-03-09T07:05"),
        ("2026-11-01T12:00", "2026-11-02T08:05"),
    ],
)
def test_days_refill_after_midnight_pacific_in_summer_and_winter(now, refill):
    assert refill_at("day", datetime.fromisoformat(now + "+00:00")) == datetime.fromisoformat(
        refill + "+00:00"
    )


def test_hours_refill_on_the_hour_and_demographic_requests_an_hour_later():
    assert refill_at("hour", NOON) == datetime(2026, 3, 10, 13, tzinfo=UTC)
    assert refill_at("thresholded_hour", NOON) == NOON + timedelta(hours=1)


@pytest.mark.parametrize(
    ("dimensions", "metrics", "days", "tokens"), [(1, 1, 1, 1), (1, 10, 1, 2), (9, 10, 1, 4), (1, 1, 365, 7)]
)
def test_the_estimate_agrees_with_recorded_costs(dimensions, metrics, days, tokens):
    report = Report("r", tuple("d" * n for n in range(1, dimensions)), ("m",) * metrics)
    assert estimate_tokens(report, days) == tokens


def test_most_requests_cost_less_than_ten_tokens():
    assert all(0 < estimate_tokens(r, min(r.days_per_request, 366)) < 10 for r in REPORTS.values())
