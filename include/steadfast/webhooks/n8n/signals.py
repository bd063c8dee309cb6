"""Tells people what was found at an n8n: events that were lost on the way, those that stay lost, and silence.

A lost event is recovered by itself, but why it was lost is for a person to see.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from psycopg import Connection

from steadfast.alerts.signals import Severity, Signal, record_signal
from steadfast.warehouse.connect import translate_errors
from steadfast.warehouse.queries import load_queries
from steadfast.webhooks.watching.telling import QUIET_AFTER_TOLD, key_lasting, list_told, write_signal

if TYPE_CHECKING:
    from steadfast.webhooks.n8n.look import Reconciled

RECOVERED = "webhook_events_recovered"
UNREADABLE = "webhook_events_unreadable"
UNREACHABLE = "n8n_unreachable"
FAILED = "reconcile_failed"
EVERY_N8N = ""
"""In place of the name of a Connection."""
MOST_LINES = 20
LONGEST_LINE = 300


def record_findings(connection: Connection[Any], reconciled: "Reconciled", now: datetime) -> None:
    """Record a signal for each thing that somebody should know."""
    where = reconciled.connection_id
    outage = _key_outage(connection, f"{UNREACHABLE}:{where}", where, now) if reconciled.error else ""
    for signal in build_signals(reconciled, now, outage):
        record_signal(connection, signal, now)


def record_failure(connection: Connection[Any], where: str, trouble: str, now: datetime) -> None:
    """Record that it could not be read back what an n8n, or any of them, lost; once until that went well."""
    key = _key_outage(connection, f"webhook:{FAILED}:{where}", where, now)
    signal = write_signal(
        FAILED,
        key.removeprefix(f"webhook:{FAILED}:"),
        f"Lost events could not be read back from n8n{f' (Connection {where})' if where else ''}",
        {
            "Why": trouble,
            "What is affected": "Only events that n8n could not deliver; all others are processed.",
            "What to do": "Read the log of the task reconcile. The next run looks at the same ones again; "
            "this is told once until it went well.",
        },
    )
    record_signal(connection, signal, now)


def build_signals(reconciled: "Reconciled", now: datetime, outage: str = UNREACHABLE) -> Iterator[Signal]:
    """What is worth telling: late events once an hour, lost ones always, an n8n out of reach by its key."""
    where = reconciled.connection_id
    if reconciled.recovered_count:
        yield Signal(
            f"{RECOVERED}:{where}:{now:%Y-%m-%dT%H}",
            RECOVERED,
            Severity.WARNING,
            f"{_count_events(reconciled.recovered_count)} from n8n had been lost and came in late",
            f"{_list(reconciled.recovered)}.\n\n"
            f"n8n (Connection {where}) could not deliver them, and Steadfast has read them from its failed "
            f"or stopped executions. They are in the inbox and are processed like all others; nothing "
            f"has to be sent again. To see why they were lost, open execution {reconciled.last_execution} in "
            f"n8n and read the error of the node that posts, then check that the receiver was up then.",
        )
    if lost_count := sum(reconciled.unreadable.values()):
        yield Signal(
            f"{UNREADABLE}:{where}:up to {reconciled.last_execution}:{now:%Y-%m-%dT%H:%M}",
            UNREADABLE,
            Severity.CRITICAL,
            f"{_count_events(lost_count)} from n8n cannot be recovered",
            f"{_list(reconciled.unreadable)}.\n\n"
            f"They stand in failed executions of n8n (Connection {where}) but cannot be read from there. "
            f"Open execution {reconciled.last_execution} in n8n. If n8n lost its data in a crash, press "
            f"Retry on it in n8n; what is known is passed over. Else correct what the node before the one "
            f"that posts prepares (id and body as text), and run the workflow again for what is missing.",
        )
    if reconciled.given_up:
        yield _describe_given_up(where, reconciled.given_up, now)
    if reconciled.error:
        yield Signal(
            outage,
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


def _key_outage(connection: Connection[Any], problem: str, where: str, now: datetime) -> str:
    told = list_told(connection, f"{problem}:", now - QUIET_AFTER_TOLD)
    query = load_queries("webhook_reconcile")["find_last_read"]
    with translate_errors(), connection.transaction():
        row = connection.execute(query, {"connection_id": where}).fetchone()
    return key_lasting(problem, row[0] if row else None, told)


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
