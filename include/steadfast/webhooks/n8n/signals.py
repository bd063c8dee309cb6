"""Tells people what was found at an n8n: events that were lost on the way, those that stay lost, and silence.

A lost event is recovered by itself, but why it was lost is for a person to see.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from psycopg import Connection

from steadfast.alerts.signals import Severity, Signal, record_signal

if TYPE_CHECKING:
    from steadfast.webhooks.n8n.look import Reconciled

RECOVERED = "webhook_events_recovered"
UNREADABLE = "webhook_events_unreadable"
UNREACHABLE = "n8n_unreachable"
MOST_LINES = 20
LONGEST_LINE = 300


def record_findings(connection: Connection[Any], reconciled: "Reconciled", now: datetime) -> None:
    """Record a signal for each thing that somebody should know."""
    for signal in build_signals(reconciled, now):
        record_signal(connection, signal, now)


def build_signals(reconciled: "Reconciled", now: datetime) -> Iterator[Signal]:
    """What is worth telling; the same trouble is told once an hour, an n8n out of reach once a day."""
    where = reconciled.connection_id
    if reconciled.recovered_count:
        yield Signal(
            f"{RECOVERED}:{where}:{now:%Y-%m-%dT%H}",
            RECOVERED,
            Severity.WARNING,
            f"{_count_events(reconciled.recovered_count)} from n8n had been lost and came in late",
            f"{_list(reconciled.recovered)}.\n\n"
            f"n8n (Connection {where}) could not deliver them, and Steadfast has read them from its failed "
            f"executions. They are in the inbox and are processed like all others; nothing has to be sent "
            f"again. To see why they were lost, open execution {reconciled.last_execution} in n8n and read "
            f"the error of the node that posts, then check that the receiver was up at that time.",
        )
    if lost_count := sum(reconciled.unreadable.values()):
        yield Signal(
            f"{UNREADABLE}:{where}:{now:%Y-%m-%dT%H}",
            UNREADABLE,
            Severity.CRITICAL,
            f"{_count_events(lost_count)} from n8n cannot be recovered",
            f"{_list(reconciled.unreadable)}.\n\n"
            f"They stand in failed executions of n8n (Connection {where}) but cannot be read from there. "
            f"Open execution {reconciled.last_execution} in n8n, correct what the node before the posting "
            f"one prepares (an id and a body as text), and run the workflow again for what is missing.",
        )
    if reconciled.given_up:
        yield _describe_given_up(where, reconciled.given_up, now)
    if reconciled.error:
        yield Signal(
            f"{UNREACHABLE}:{where}:{now:%Y-%m-%d}",
            UNREACHABLE,
            Severity.WARNING,
            f"n8n (Connection {where}) could not be searched for all lost events",
            f"{reconciled.error}\n\n"
            f"Events still arrive as n8n posts them; only those that it fails to deliver are not looked for. "
            f"{_describe_left(reconciled.left_count)}The next run asks again and misses nothing.",
        )


def _describe_given_up(where: str, given_up: Mapping[int, str], now: datetime) -> Signal:
    # An execution is given up once, unless n8n gets another database and numbers anew.
    one = len(given_up) == 1
    reasons = [f"execution {number}: {given_up[number]}" for number in sorted(given_up)]
    return Signal(
        f"{UNREADABLE}:{where}:execution {min(given_up)}:{now:%Y-%m-%dT%H:%M}",
        UNREADABLE,
        Severity.CRITICAL,
        f"{'1 failed execution' if one else f'{len(given_up):,} failed executions'} of n8n cannot be read",
        f"{_cut(reasons)}\n\n"
        f"n8n (Connection {where}) lists {'it' if one else 'them'} as failed and does not show what "
        f"{'it' if one else 'they'} held, so events may be lost. {'It is' if one else 'They are'} not asked "
        f"for again. Open {'it' if one else 'each'} in n8n and run it again: what it sends arrives by "
        f"itself, and what is here already is known by its id.",
    )


def _count_events(count: int) -> str:
    return "1 event" if count == 1 else f"{count:,} events"


def _list(counts: Mapping[str, int]) -> str:
    return _cut([f"{count:,}  {name}" for name, count in sorted(counts.items())])


def _cut(lines: Sequence[str]) -> str:
    """As much as somebody reads: n8n decides how many there are."""
    shown = [line[:LONGEST_LINE] for line in lines[:MOST_LINES]]
    if len(lines) > MOST_LINES:
        shown.append(f"… and {len(lines) - MOST_LINES:,} more")
    return "\n".join(shown)


def _describe_left(count: int) -> str:
    return f"{count:,} failed executions are known and not read yet. " if count else ""
