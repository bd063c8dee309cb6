"""When a source that says nothing should worry somebody: judged by its own habits, never by a fixed limit.

From the minutes in which a source was heard follow the hours of the week in which it is active and how long
it usually pauses there. Pure: history in, verdict with its reason out; `quiet.py` asks the warehouse.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from itertools import accumulate
from zoneinfo import ZoneInfo

from steadfast.webhooks.watching.telling import spell_minutes

WINDOW = timedelta(days=28)
"""Four weeks: every hour of the week four times, and habits that changed are soon forgotten."""
LEAST_HISTORY_HOURS = 14 * 24
"""Before an hour of the week was seen twice, nobody can say whether it is usually busy."""
LEAST_GAPS = 10
"""Fewer pauses say nothing about the next one."""
PATIENCE = 3
"""How many times its usual pause a source may be quiet."""
SHORTEST_PAUSE = 5
"""Minutes between two that were heard; shorter pauses all lead to the shortest silence."""
LEAST_SILENCE = PATIENCE * SHORTEST_PAUSE
"""Minutes. Counts arrive when a minute is over, and a receiver may restart: shorter is no silence."""
USUAL = 0.95
"""The share of its time that a source spends in usual pauses.

Of its time, not of its pauses: a shop that sells every minute by day and every half hour by night makes
few long pauses and is in one all night; counted by number, each night would be an alarm.
"""
EXPLAINED = 0.8
"""Active hours must hold that share of what was heard; of a source without habits they explain nothing."""
MOST_PAUSES = 1000
"""The latest are enough: they reach back three busy days at least."""
HOURS_A_WEEK = 168
QUARTERS_A_DAY = 96
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class History:
    """When a source was heard, in minutes since 1970 (UTC), over the whole window."""

    time_zone: str
    hours: tuple[int, ...]
    """Hours of its own clock since 1970, in order."""
    first: int
    last: int
    minute_count: int = 0
    pauses: tuple[tuple[int, int], ...] = ()
    """From one minute that was heard to the next, SHORTEST_PAUSE or longer; the latest MOST_PAUSES."""

    @cached_property
    def active_hours(self) -> frozenset[int]:
        """The hours of the week in which it is usually heard; none if that cannot be said."""
        if self.hours[-1] - self.hours[0] < LEAST_HISTORY_HOURS:
            return frozenset()
        heard = Counter(hour % HOURS_A_WEEK for hour in self.hours)
        seen = Counter(hour % HOURS_A_WEEK for hour in range(self.hours[0], self.hours[-1] + 1))
        active = frozenset(hour for hour, count in heard.items() if 2 * count >= seen[hour])
        explained = sum(heard[hour] for hour in active)
        return active if explained >= EXPLAINED * len(self.hours) else frozenset()


@dataclass(frozen=True)
class Cadence:
    """How a source pauses, in minutes of its active hours, or of plain time if it has none."""

    usual: int
    longest: int
    is_active_time: bool

    @property
    def limit(self) -> int:
        """The longest silence that is not worth a word.

        In plain time a night or a weekend is a pause like any other, and is not to be told each time.
        """
        limit = max(PATIENCE * self.usual, LEAST_SILENCE)
        return limit if self.is_active_time else max(limit, self.longest)


@dataclass(frozen=True)
class Verdict:
    """Whether a source is silent, and why."""

    is_silent: bool
    reason: str


class Clock:
    """Counts the active minutes of a source, or all of them while its active hours are unknown."""

    def __init__(self, history: History, now: int) -> None:
        active, zone = history.active_hours, history.time_zone
        first, last = history.first // 1440, now // 1440
        self.is_plain = not active
        self._start = first * QUARTERS_A_DAY
        days = range(first, last + 1) if active else ()
        self._runs = [hour in active for day in days for hour in _hours(zone, day)]
        self._passed = list(accumulate((15 * runs for runs in self._runs), initial=0))

    def span(self, start: int, end: int) -> int:
        """The minutes counted between two."""
        return end - start if self.is_plain else self._read(end) - self._read(start)

    def _read(self, minute: int) -> int:
        quarter = minute // 15 - self._start
        return self._passed[quarter] + minute % 15 * self._runs[quarter]


def is_quiet(history: History, now: datetime) -> bool:
    """Whether the silence is long enough to be judged at all; the pauses need not be known for that."""
    minute = minute_of(now)
    return Clock(history, minute).span(history.last, minute) > LEAST_SILENCE


def judge_silence(history: History, now: datetime) -> Verdict:
    """Decide whether a source has been quiet for longer than it ever usually is."""
    minute = minute_of(now)
    clock = Clock(history, minute)
    silence, gaps = clock.span(history.last, minute), history.minute_count - 1
    if gaps < LEAST_GAPS:
        return Verdict(False, f"Heard with {gaps} pauses; {LEAST_GAPS} are needed to know its pace.")
    cadence = learn_cadence(history, clock)
    return Verdict(silence > cadence.limit, _explain(cadence, silence))


def learn_cadence(history: History, clock: Clock) -> Cadence:
    """Measure how a source pauses; its one longest pause is left out, for once is no habit."""
    longest, *others = sorted((clock.span(*pause) for pause in history.pauses), reverse=True) or [0]
    start = history.pauses[0][0] if len(history.pauses) == MOST_PAUSES else history.first
    rare = (1 - USUAL) * (clock.span(start, history.last) - longest)
    spent = accumulate(others)
    usual = next((length for length in others if next(spent) > rare), SHORTEST_PAUSE)
    return Cadence(max(usual, SHORTEST_PAUSE), longest, not clock.is_plain)


def minute_of(moment: datetime) -> int:
    """The number of the minute since 1970."""
    return (moment - EPOCH) // timedelta(minutes=1)


@lru_cache(maxsize=4096)
def _hours(time_zone: str, day: int) -> tuple[int, ...]:
    """The hour of the week in a zone at each quarter of an hour of a UTC day; zones turn on quarters."""
    zone, midnight = ZoneInfo(time_zone), EPOCH + timedelta(days=day)
    moments = (midnight + timedelta(minutes=15 * number) for number in range(QUARTERS_A_DAY))
    local = (moment.astimezone(zone).replace(tzinfo=UTC) for moment in moments)
    return tuple((moment - EPOCH) // timedelta(hours=1) % HOURS_A_WEEK for moment in local)


def _explain(cadence: Cadence, silence: int) -> str:
    if cadence.is_active_time:
        where, longest = "of its usual hours", ""
    else:
        where = "of plain time (it has no usual hours yet)"
        longest = f", and never longer than {spell_minutes(cadence.longest)}"
    return (
        f"Quiet for {spell_minutes(silence)} {where}. It usually pauses up to "
        f"{spell_minutes(cadence.usual)}{longest}; its limit is {spell_minutes(cadence.limit)}."
    )
