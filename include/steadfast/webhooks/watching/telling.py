"""How this package words its signals: who, what is wrong, what to do; many at once become one.

A signal's key says which problem it is, so it is told once however often it is seen.
"""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection

from steadfast.alerts.signals import Severity, Signal, record_signal
from steadfast.warehouse.connect import translate_errors
from steadfast.warehouse.queries import load_queries

PRODUCT = "Steadfast"
WIDTH = 100
MOST_ALONE = 10
"""One change at a sender of many sources must not send as many mails."""
MOST_LINES = 20
QUIET_AFTER_TOLD = timedelta(hours=1)
"""What is good and bad by turns is one problem, and no reason for a mail every ten minutes."""


@dataclass(frozen=True)
class Sender:
    """Which source a signal is about, as commands name it."""

    source_id: int
    entity_id: int
    entity: str
    slug: str

    @property
    def title(self) -> str:
        """`harbor-bakery/orders`."""
        return f"{self.entity}/{self.slug}"


def write_signal(
    kind: str,
    key: str,
    headline: str,
    sections: Mapping[str, str],
    *,
    severity: Severity = Severity.WARNING,
    entity_id: int | None = None,
) -> Signal:
    """A signal whose first line says everything."""
    return Signal(
        dedup_key=f"webhook:{kind}:{key}",
        kind=kind,
        severity=severity,
        subject=f"[{PRODUCT}] {headline}",
        body=write_body(headline, sections),
        entity_id=entity_id,
    )


def write_body(headline: str, sections: Mapping[str, str]) -> str:
    """The text of a mail: the headline, then each section under its title, in lines that fit a screen."""
    written = [f"{title}\n{_indent(text)}" for title, text in sections.items() if text]
    return "\n\n".join([f"{headline}.", *written])


def bundle_signals(signals: Sequence[Signal], what: str, now: datetime) -> list[Signal]:
    """The signals of one kind; more than a few become one a day that lists them."""
    if len(signals) <= MOST_ALONE:
        return list(signals)
    subjects = [signal.subject.removeprefix(f"[{PRODUCT}] ") for signal in signals]
    if len(subjects) > MOST_LINES:
        subjects[MOST_LINES:] = [f"… and {len(subjects) - MOST_LINES} more"]
    sections = {"Which": "\n".join(subjects), "The first of them in full": signals[0].body}
    headline = f"{what}: {len(signals)} at once"
    key, severity = f"many:{now:%Y-%m-%d}", signals[0].severity
    return [write_signal(signals[0].kind, key, headline, sections, severity=severity)]


def record_signals(connection: Connection[Any], signals: Iterable[Signal], now: datetime) -> int:
    """Store what is not known yet; return how many were new."""
    return sum(record_signal(connection, signal, now) for signal in signals)


def list_told(connection: Connection[Any], prefix: str, since: datetime) -> list[str]:
    """The keys of signals that begin so and are not older, the newest first."""
    bound = {"prefix": prefix, "since": since}
    with translate_errors(), connection.transaction():
        rows = connection.execute(load_queries("webhook_watch")["list_told"], bound).fetchall()
    return [key for (key,) in rows]


def key_lasting(problem: str, last_good_at: datetime | None, told_lately: Sequence[str]) -> str:
    """The key of a problem that may last: it stays the same until all was well again.

    `told_lately` are the keys told within `QUIET_AFTER_TOLD`: what comes back so soon is the same problem.
    """
    since = f"{problem}:since "
    last_good = f"{last_good_at:%Y-%m-%dT%H:%M:%S}" if last_good_at else "ever"
    return next((key for key in told_lately if key.startswith(since)), since + last_good)


def spell_minutes(minutes: float) -> str:
    """`45 min`, `2 h 5 min`, `3 days 4 h`."""
    hours, rest = divmod(int(minutes), 60)
    days, hours_of_day = divmod(hours, 24)
    if days > 1:
        return f"{days} days {hours_of_day} h" if hours_of_day else f"{days} days"
    if not hours:
        return f"{rest} min"
    return f"{hours} h {rest} min" if rest else f"{hours} h"


def count_of(number: int, word: str) -> str:
    """`1 event`, `2 events`."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _indent(text: str) -> str:
    # Commands are copied out of mails: a word is never cut, and a line of its own stays one.
    lines = text.splitlines()
    return "\n".join(
        textwrap.fill(
            line,
            WIDTH,
            initial_indent="  ",
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        for line in lines
    )
