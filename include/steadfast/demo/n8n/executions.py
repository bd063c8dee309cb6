"""The database of executions: a SQLite file that survives a restart, pruned to the newest 10,000 as n8n does.

What waits is held in memory, as n8n does: no list shows it, until the emulator is started again.
"""

import json
import sqlite3
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

KEPT = 10_000
_TABLES = """
CREATE TABLE IF NOT EXISTS execution (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    workflow_id TEXT NOT NULL,
    status TEXT NOT NULL,
    mode TEXT NOT NULL,
    retry_of TEXT,
    retry_success_id TEXT,
    started_at TEXT NOT NULL,
    stopped_at TEXT,
    data TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS event (
    event_id TEXT PRIMARY KEY,
    target TEXT NOT NULL,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    is_acknowledged INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS answer (
    target TEXT NOT NULL,
    status INTEGER NOT NULL,
    request_count INTEGER NOT NULL,
    PRIMARY KEY (target, status)
);
CREATE INDEX IF NOT EXISTS event_of_target ON event (target, kind);
"""
_FIND = "SELECT * FROM execution WHERE id = ?"
_LIST = """
SELECT * FROM execution
WHERE id < :below
    AND (:statuses = '' OR instr(:statuses, ' ' || status || ' ') > 0)
    AND (:workflow_id IS NULL OR workflow_id = :workflow_id)
ORDER BY id DESC
LIMIT :count
"""
_START = """
INSERT INTO execution (workflow_id, status, mode, retry_of, started_at, data)
VALUES (?, 'running', ?, ?, ?, ?)
"""
_RESUME = "UPDATE execution SET status = 'running', data = ? WHERE id = ?"
_FINISH = "UPDATE execution SET status = ?, stopped_at = ?, data = ? WHERE id = ?"
_MARK_RETRIED = "UPDATE execution SET retry_success_id = ? WHERE id = ?"
_PRUNE = "DELETE FROM execution WHERE id <= ? AND status NOT IN ('running', 'waiting')"
_ADD_EVENT = "INSERT OR IGNORE INTO event (event_id, target, kind, key) VALUES (?, ?, ?, ?)"
_ACKNOWLEDGE = "UPDATE event SET is_acknowledged = 1 WHERE event_id = ?"
_COUNT_ANSWERS = """
INSERT INTO answer (target, status, request_count) VALUES (?, ?, ?)
ON CONFLICT (target, status) DO UPDATE SET request_count = request_count + excluded.request_count
"""
_SUM_EVENTS = """
SELECT kind, count(*) AS made, sum(is_acknowledged) AS acknowledged, count(DISTINCT key) AS keys
FROM event WHERE target = ? GROUP BY kind ORDER BY kind
"""
_SUM_ANSWERS = "SELECT status, request_count FROM answer WHERE target = ? ORDER BY status"
_SUM_EXECUTIONS = (
    "SELECT status, count(*) FROM execution WHERE workflow_id = ? GROUP BY status ORDER BY status"
)


@dataclass
class Executions:
    """The database; any thread may ask."""

    connection: sqlite3.Connection
    lock: threading.Lock = field(default_factory=threading.Lock)
    held: set[int] = field(default_factory=set)
    """Those that wait in memory."""

    def start(
        self, workflow_id: str, data: Mapping[str, Any], at: datetime, retry_of: str | None = None
    ) -> int:
        """A new execution that runs."""
        mode = "retry" if retry_of else "trigger"
        values = (workflow_id, mode, retry_of, _iso(at), json.dumps(data))
        with self.lock, self.connection:
            started = int(self.connection.execute(_START, values).lastrowid or 0)
            self.connection.execute(_PRUNE, (started - KEPT,))
        return started

    def wait(self, workflow_id: str, data: Mapping[str, Any], at: datetime) -> int:
        """A new execution that waits."""
        waiting = self.start(workflow_id, data, at)
        self.held.add(waiting)
        self.finish(waiting, "waiting", data, at)
        return waiting

    def resume(self, execution_id: int, data: Mapping[str, Any]) -> None:
        """One that waited goes on."""
        with self.lock, self.connection:
            self.connection.execute(_RESUME, (json.dumps(data), execution_id))
        self.held.discard(execution_id)

    def finish(self, execution_id: int, status: str, data: Mapping[str, Any], at: datetime) -> None:
        """The execution has ended."""
        values = (status, _iso(at), json.dumps(data), execution_id)
        with self.lock, self.connection:
            self.connection.execute(_FINISH, values)

    def mark_retried(self, execution_id: int, success_id: int) -> None:
        """A retry of the execution succeeded."""
        with self.lock, self.connection:
            self.connection.execute(_MARK_RETRIED, (str(success_id), execution_id))

    def find(self, execution_id: int) -> sqlite3.Row | None:
        """One execution."""
        with self.lock:
            found: sqlite3.Row | None = self.connection.execute(_FIND, (execution_id,)).fetchone()
            return found

    def list_newest(
        self, statuses: Sequence[str], workflow_id: str | None, below: int, count: int
    ) -> list[sqlite3.Row]:
        """Executions with smaller ids than `below`, newest first; no statuses means all of them."""
        wanted = f" {' '.join(statuses)} " if statuses else ""
        values = {"statuses": wanted, "workflow_id": workflow_id, "below": below, "count": count}
        with self.lock:
            rows = self.connection.execute(_LIST, values | {"count": count + len(self.held)}).fetchall()
        return [row for row in rows if row["id"] not in self.held][:count]

    def add_events(self, target: str, events: Iterable[tuple[str, str, str]]) -> None:
        """Remember what was made: id, kind and key of each event."""
        rows = [(event_id, target, kind, key) for event_id, kind, key in events]
        with self.lock, self.connection:
            self.connection.executemany(_ADD_EVENT, rows)

    def count_answers(self, target: str, statuses: Mapping[int, int], acknowledged: Iterable[str]) -> None:
        """Remember what the receiver answered."""
        with self.lock, self.connection:
            rows = [(target, status, count) for status, count in statuses.items()]
            self.connection.executemany(_COUNT_ANSWERS, rows)
            self.connection.executemany(_ACKNOWLEDGE, [(event_id,) for event_id in acknowledged])

    def summarise(self, target: str, workflow_id: str) -> dict[str, Any]:
        """What a target's workflow made, what was answered, how its executions ended."""
        with self.lock:
            made = [dict(row) for row in self.connection.execute(_SUM_EVENTS, (target,))]
            answers = {
                str(status): count for status, count in self.connection.execute(_SUM_ANSWERS, (target,))
            }
            ended = dict(self.connection.execute(_SUM_EXECUTIONS, (workflow_id,)).fetchall())
        return {
            "made": sum(row["made"] for row in made),
            "acknowledged": sum(row["acknowledged"] for row in made),
            "requests": sum(answers.values()),
            "answers": answers,
            "executions": ended,
            "kinds": {row.pop("kind"): row for row in made},
        }

    def close(self) -> None:
        """Close the file."""
        with self.lock:
            self.connection.close()


def open_executions(state: Path | None) -> Executions:
    """The database in a directory; without one it is forgotten at the end."""
    if state:
        state.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(state / "n8n.sqlite" if state else ":memory:", check_same_thread=False)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.executescript(_TABLES)
    return Executions(connection)


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
