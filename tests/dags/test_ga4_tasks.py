from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from steadfast.errors import QuotaExhausted, SourceUnavailable
from steadfast.orchestration.ga4_tasks import raise_if_worth_a_retry

NOW = datetime(2026, 11, 23, 2, 5, tzinfo=UTC)


def outcome(**changes) -> SimpleNamespace:
    nothing = {"parked": 0, "failed": 0, "retryable": 0, "retry_at": None, "problems": ("shop: why",)}
    return SimpleNamespace(**{**nothing, **changes})


@pytest.mark.parametrize(
    "done",
    [
        outcome(),
        outcome(failed=3),
        outcome(parked=1, retry_at=NOW + timedelta(hours=2, seconds=1)),
    ],
    ids=["nothing wrong", "permanent failures", "quota refills too late"],
)
def test_a_shard_that_a_retry_cannot_help_is_done(done):
    assert raise_if_worth_a_retry(done, NOW) is None


def test_passing_failures_are_tried_again_soon_with_their_reasons():
    later = NOW + timedelta(minutes=50)
    with pytest.raises(SourceUnavailable, match=r"2 requests failed .* shop: why"):
        raise_if_worth_a_retry(outcome(failed=3, retryable=2, parked=1, retry_at=later), NOW)


def test_parked_requests_wait_for_their_quota():
    later = NOW + timedelta(minutes=50)
    with pytest.raises(QuotaExhausted) as raised:
        raise_if_worth_a_retry(outcome(parked=4, retry_at=later), NOW)
    assert raised.value.until == later
