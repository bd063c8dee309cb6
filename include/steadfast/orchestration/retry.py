"""When a failed task tries again: never for a permanent error, at the refill for a quota, else backing off.

Airflow asks the policy in the worker, with the exception at hand; a policy can shorten the task's
`retries` but never exceed them. To treat another error differently, sort it in steadfast.errors.
"""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import RetryDecision, RetryPolicy

from steadfast.errors import PermanentError, WaitUntil

LONGEST_WAIT = timedelta(hours=2)
"""A run that waits longer only blocks the next one, which finds the same work to do."""
FIRST_PAUSE_S = 120
"""Long enough for healthy shards to have a slot first: a retry that comes sooner takes theirs."""
LONGEST_PAUSE_S = 600
LONGEST_JITTER_S = 60
_DOUBLINGS = 10


def decide_retry(error: BaseException, try_number: int, now: datetime, spread: float) -> RetryDecision:
    """Decide from the error alone; `spread` (0 to 1) keeps tasks that failed together apart."""
    if isinstance(error, PermanentError):
        return RetryDecision.fail(f"A retry cannot help: {error}")
    if isinstance(error, WaitUntil):
        return _wait_until(error, now, spread)
    pause = min(FIRST_PAUSE_S * 2 ** min(try_number - 1, _DOUBLINGS), LONGEST_PAUSE_S)
    reason = f"It may pass by itself: {type(error).__name__}: {error}"
    return RetryDecision.retry(timedelta(seconds=pause * (0.5 + spread / 2)), reason)


def _wait_until(error: WaitUntil, now: datetime, spread: float) -> RetryDecision:
    wait = max(error.until - now, timedelta(0))
    if wait > LONGEST_WAIT:
        return RetryDecision.fail(f"Too long to wait, the next run continues: {error}")
    return RetryDecision.retry(wait + timedelta(seconds=1 + spread * LONGEST_JITTER_S), str(error))


class SteadfastRetryPolicy(RetryPolicy):
    """The policy of every task; it has no state, so that it survives Airflow's serialisation."""

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Any = None
    ) -> RetryDecision:
        """Apply `decide_retry` at this moment."""
        return decide_retry(exception, try_number, datetime.now(UTC), random.random())

    def serialize(self) -> dict[str, Any]:
        """Nothing but the type: there is nothing to configure."""
        return {"__type": f"{type(self).__module__}.{type(self).__qualname__}"}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> "SteadfastRetryPolicy":
        """The reverse of `serialize`."""
        return cls()
