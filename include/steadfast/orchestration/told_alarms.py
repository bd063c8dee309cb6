"""Remembers on disk which alarms were mailed while the warehouse, which usually remembers, was away.

A run every few minutes meets an outage again and again; its mail must not. Where the state directory cannot
be written, an alarm is rather told twice than never.
"""

import hashlib
import logging
from datetime import datetime, timedelta
from pathlib import Path

log = logging.getLogger(__name__)

KEPT_FOR = timedelta(days=7)


def is_first_told(state: Path, key: str, now: datetime) -> bool:
    """Note that an alarm is told; False if it was noted before."""
    directory = state / "alarms"
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        _forget_old(directory, now)
        with (directory / hashlib.sha256(key.encode()).hexdigest()).open("x", encoding="utf-8") as note:
            note.write(f"{now.isoformat()} {key}\n")
    except FileExistsError:
        return False
    except OSError:
        log.exception("%s cannot be written, so this alarm may be told again", directory)
    return True


def forget_told(state: Path, key: str) -> None:
    """The alarm could not be told after all, or what it tells of is over: next time it is news."""
    try:
        (state / "alarms" / hashlib.sha256(key.encode()).hexdigest()).unlink(missing_ok=True)
    except OSError:
        log.exception("The note about an alarm cannot be removed from %s", state)


def _forget_old(directory: Path, now: datetime) -> None:
    for note in directory.iterdir():
        if now.timestamp() - note.stat().st_mtime > KEPT_FOR.total_seconds():
            note.unlink(missing_ok=True)
