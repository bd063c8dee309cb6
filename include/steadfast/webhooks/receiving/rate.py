"""How fast a source may send: a token bucket that lets through what n8n sends at once.

n8n posts all items of a node together and gives up after some 20 seconds, so a full bucket holds at
least 20 seconds of the rate. Pure: the clock's seconds are handed in.
"""

from dataclasses import dataclass
from math import ceil


@dataclass(slots=True)
class Bucket:
    """The tokens of one source in one process; one token an event."""

    rate_per_second: float
    burst: float
    tokens: float
    filled_at: float

    def take(self, count: int, seconds: float) -> int:
        """Take `count` tokens: 0, or the whole seconds after which there are enough."""
        # A clock that was set back refills nothing.
        passed = max(0.0, seconds - self.filled_at)
        self.tokens = min(self.burst, self.tokens + passed * self.rate_per_second)
        self.filled_at = seconds
        # A batch larger than the bucket passes when the bucket is full; it then owes the rest.
        needed = min(count, self.burst)
        if self.tokens >= needed:
            self.tokens -= count
            return 0
        return max(1, ceil((needed - self.tokens) / self.rate_per_second))


def full_bucket(rate_per_second: int, burst: int, seconds: float) -> Bucket:
    """The bucket of a source that has not sent anything yet."""
    return Bucket(rate_per_second, burst, burst, seconds)
