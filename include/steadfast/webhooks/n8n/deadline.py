"""How long looking at n8n may take: what is left is shared evenly, so that no server takes it all."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Deadline:
    """A moment of a clock that only counts seconds."""

    ends_at: float
    clock: Callable[[], float] = time.monotonic

    @property
    def left(self) -> float:
        """Seconds; negative when it is over."""
        return self.ends_at - self.clock()

    def is_over(self) -> bool:
        """Whether nothing new may be begun."""
        return self.left <= 0

    def share(self, among: int) -> "Deadline":
        """The deadline of the next one of so many that are still to come."""
        now = self.clock()
        return Deadline(now + (self.ends_at - now) / among, self.clock)


def end_after(seconds: float, clock: Callable[[], float] = time.monotonic) -> Deadline:
    """The deadline so many seconds from now."""
    return Deadline(clock() + seconds, clock)
