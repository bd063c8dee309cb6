from datetime import UTC, datetime, timedelta

import pytest
from airflow.sdk import RetryAction

from steadfast.errors import (
    AccessDenied,
    BreakerOpen,
    ConfigError,
    QuotaExhausted,
    SourceUnavailable,
    WarehouseBusy,
)
from steadfast.orchestration.retry import SteadfastRetryPolicy, decide_retry

NOW = datetime(2026, 11, 23, 2, 5, tzinfo=UTC)


@pytest.mark.parametrize("error", [AccessDenied("no access"), ConfigError("wrong")])
def test_a_permanent_error_fails_at_once_and_says_why(error):
    decision = decide_retry(error, 1, NOW, 0.5)
    assert decision.action is RetryAction.FAIL
    assert str(error) in decision.reason


@pytest.mark.parametrize("kind", [QuotaExhausted, BreakerOpen])
def test_a_quota_waits_until_it_refills_and_a_little_longer(kind):
    until = NOW + timedelta(minutes=55)
    decision = decide_retry(kind("Used up.", until), 1, NOW, 1.0)
    assert decision.action is RetryAction.RETRY
    assert timedelta(minutes=55) < decision.retry_delay <= timedelta(minutes=57)


def test_a_quota_that_has_refilled_meanwhile_is_tried_soon():
    decision = decide_retry(QuotaExhausted("Used up.", NOW - timedelta(hours=1)), 1, NOW, 0.0)
    assert decision.retry_delay <= timedelta(seconds=5)


def test_a_quota_that_refills_in_more_than_two_hours_is_left_to_the_next_run():
    decision = decide_retry(QuotaExhausted("Used up.", NOW + timedelta(hours=2, seconds=1)), 1, NOW, 0.5)
    assert decision.action is RetryAction.FAIL
    assert "next run" in decision.reason


@pytest.mark.parametrize(
    ("try_number", "shortest", "longest"),
    [(1, 60, 120), (2, 120, 240), (3, 240, 480), (4, 300, 600), (500, 300, 600)],
)
@pytest.mark.parametrize("error", [SourceUnavailable("500"), WarehouseBusy("away"), KeyError("a bug")])
def test_everything_else_backs_off_and_never_in_step(error, try_number, shortest, longest):
    delays = [decide_retry(error, try_number, NOW, spread).retry_delay for spread in (0.0, 1.0)]
    assert delays == [timedelta(seconds=shortest), timedelta(seconds=longest)]


def test_the_policy_survives_serialisation_and_decides_by_the_clock():
    policy = SteadfastRetryPolicy.deserialize(SteadfastRetryPolicy().serialize())
    assert policy.evaluate(AccessDenied("no"), 1, 4).action is RetryAction.FAIL
    until = datetime.now(UTC) + timedelta(hours=1)
    assert policy.evaluate(QuotaExhausted("Used up.", until), 1, 4).retry_delay > timedelta(minutes=59)
