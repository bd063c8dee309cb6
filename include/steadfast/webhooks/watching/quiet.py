"""Which sources are silent now, from what receivers counted; one signal a source and silence.

If nobody at all is heard any more, that is one problem with one signal: the way to us is probably broken.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row, dict_row

from steadfast.alerts.signals import Severity, Signal
from steadfast.warehouse.queries import load_queries
from steadfast.webhooks.watching.silence import (
    LEAST_SILENCE,
    MOST_PAUSES,
    SHORTEST_PAUSE,
    WINDOW,
    History,
    Verdict,
    is_quiet,
    judge_silence,
)
from steadfast.webhooks.watching.telling import Sender, bundle_signals, write_signal

KIND = "source_silent"
TOGETHER = timedelta(days=1)
"""Sources that fell silent further apart than that have no common cause."""


@dataclass(frozen=True)
class Heard(Sender):
    """A source, and when it was last heard."""

    time_zone: str
    heard_at: datetime
    changed_at: datetime

    @property
    def key(self) -> str:
        """Names this silence of this source."""
        return f"{self.source_id}:{self.heard_at:%Y-%m-%dT%H:%M}"


@dataclass(frozen=True)
class Refusals:
    """What a source asked in vain since it was last heard."""

    source_id: int
    request_count: int
    status: int


def find_silences(connection: Connection[Any], now: datetime) -> list[Signal]:
    """The signals of sources that should have been heard by now and are not told of yet."""
    everybody = _list_heard(connection, now)
    least = now - timedelta(minutes=LEAST_SILENCE)
    quiet = [source for source in everybody if max(source.heard_at, source.changed_at) < least]
    if not quiet:
        return []
    newest = max(everybody, key=lambda source: source.heard_at)
    known = _list_known(connection, [*(source.key for source in quiet), _common_key(newest)])
    if _common_key(newest) in known:
        return []
    verdicts = _judge(connection, [source for source in quiet if source.key not in known], now)
    silent = [source for source in quiet if source.key in known or source in verdicts]
    together = [source for source in silent if newest.heard_at - source.heard_at <= TOGETHER]
    if verdicts and newest in silent and len(together) > 1:
        return [_describe_all(together, newest)]
    refusals = _count_refusals(connection, list(verdicts))
    signals = [
        _describe(source, verdict, refusals.get(source.source_id)) for source, verdict in verdicts.items()
    ]
    return bundle_signals(signals, "Webhook sources fell silent", now)


def _judge(connection: Connection[Any], sources: Sequence[Heard], now: datetime) -> dict[Heard, Verdict]:
    """The silent ones; pauses are only read of those that are quiet in hours in which they usually speak."""
    histories = _read_hours(connection, sources, now)
    quiet = {source_id: history for source_id, history in histories.items() if is_quiet(history, now)}
    verdicts = {
        source_id: judge_silence(history, now)
        for source_id, history in _read_pauses(connection, quiet, now).items()
    }
    return {
        source: verdicts[source.source_id]
        for source in sources
        if source.source_id in verdicts and verdicts[source.source_id].is_silent
    }


def _list_heard(connection: Connection[Any], now: datetime) -> list[Heard]:
    with connection.cursor(row_factory=class_row(Heard)) as cursor:
        bound = {"since": now - WINDOW, "now": now}
        return cursor.execute(load_queries("webhook_watch")["list_heard"], bound).fetchall()


def _list_known(connection: Connection[Any], keys: Sequence[str]) -> set[str]:
    named = {f"webhook:{KIND}:{key}": key for key in keys}
    rows = connection.execute(load_queries("webhook_watch")["list_known_keys"], {"keys": list(named)})
    return {named[key] for (key,) in rows}


def _read_hours(connection: Connection[Any], sources: Sequence[Heard], now: datetime) -> dict[int, History]:
    bound = {
        "source_ids": [source.source_id for source in sources],
        "time_zones": [source.time_zone for source in sources],
        "since": now - WINDOW,
        "now": now,
    }
    zones = {source.source_id: source.time_zone for source in sources}
    with connection.cursor(binary=True) as cursor:
        rows = cursor.execute(load_queries("webhook_watch")["read_hours"], bound)
        return {
            source_id: History(zones[source_id], tuple(hours), first, last)
            for source_id, hours, first, last in rows
        }


def _read_pauses(
    connection: Connection[Any], histories: dict[int, History], now: datetime
) -> dict[int, History]:
    bound = {
        "source_ids": list(histories),
        "since": now - WINDOW,
        "now": now,
        "shortest": timedelta(minutes=SHORTEST_PAUSE),
        "most": MOST_PAUSES,
    }
    with connection.cursor(binary=True, row_factory=dict_row) as cursor:
        rows = cursor.execute(load_queries("webhook_watch")["read_pauses"], bound).fetchall()
    return {row["source_id"]: _complete(histories[row["source_id"]], row) for row in rows}


def _complete(history: History, row: dict[str, Any]) -> History:
    pauses = tuple(zip(reversed(row["starts"] or []), reversed(row["ends"] or []), strict=True))
    return replace(history, minute_count=row["minute_count"], pauses=pauses)


def _count_refusals(connection: Connection[Any], sources: Sequence[Heard]) -> dict[int, Refusals]:
    bound = {
        "source_ids": [source.source_id for source in sources],
        "heard_ats": [source.heard_at for source in sources],
    }
    with connection.cursor(row_factory=class_row(Refusals)) as cursor:
        rows = cursor.execute(load_queries("webhook_watch")["count_refused_since"], bound).fetchall()
    return {row.source_id: row for row in rows}


def _common_key(newest: Heard) -> str:
    return f"everybody:{newest.heard_at:%Y-%m-%dT%H:%M}"


def _describe(source: Heard, verdict: Verdict, refusals: Refusals | None) -> Signal:
    tried, advice = (
        "",
        (
            "Open the sending workflow: is it active, did its last executions reach the HTTP node, does that "
            "node still have our address? Executions that failed there are read back by themselves."
        ),
    )
    if refusals:
        tried = f" It asked {refusals.request_count} times since, and was mostly answered {refusals.status}."
        advice = (
            "It sends, and we refuse it. Compare its key and its address:\n"
            f"steadfast source show {source.entity} {source.slug}"
        )
    return write_signal(
        KIND,
        source.key,
        f"{source.title} has sent nothing since {source.heard_at:%Y-%m-%d %H:%M} UTC",
        {"How we know": verdict.reason + tried, "What to do": advice},
        entity_id=source.entity_id,
    )


def _describe_all(silent: Sequence[Heard], newest: Heard) -> Signal:
    names = ", ".join(source.title for source in silent[:10]) + (" …" if len(silent) > 10 else "")
    return write_signal(
        KIND,
        _common_key(newest),
        f"No webhook source has been heard since {newest.heard_at:%Y-%m-%d %H:%M} UTC",
        {
            "What is affected": f"{len(silent)} sources should have sent by now: {names}.",
            "What to do": "All at once is rarely the senders' fault: the receiver is probably out of reach. "
            "Ask it for /readyz from outside, then look at the proxy in front of it, its certificate and its "
            "name, and at n8n itself.",
        },
        severity=Severity.CRITICAL,
    )
