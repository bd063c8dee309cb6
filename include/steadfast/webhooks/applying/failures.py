"""Whose fault a refusal of PostgreSQL is, and so what becomes of the chunk or of the event."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg

from steadfast.errors import ConfigError, SteadfastError, TransientError, WarehouseBusy
from steadfast.warehouse.connect import translate_errors

FIRST_PAUSE = timedelta(seconds=30)
LONG_PAUSE = timedelta(minutes=30)
QUICK_TRIES = 5
_OF_THE_EVENT = ("22", "23", "54")
"""Data exceptions, violated constraints, limits of size."""
_OF_THE_WAREHOUSE = ("22023",)
"""A wrong parameter of a function: the time zone of a source, which the server does not know."""
LONGEST_WORDS = 300


@dataclass(frozen=True)
class Postponed:
    """When a chunk is tried again, None is as soon as anybody asks, and why it was not applied."""

    next_try_at: datetime | None
    error: str


def is_fault_of_event(error: psycopg.Error) -> bool:
    """Tell whether the event itself is to blame: no retry and no migration would let it in."""
    state = error.sqlstate or ""
    return state[:2] in _OF_THE_EVENT and state not in _OF_THE_WAREHOUSE


def postpone(error: SteadfastError, attempt: int, now: datetime) -> Postponed:
    """Decide when to try a chunk again that failed for no fault of its events; it is never given up.

    After something that an operator changes the next run tries at once, else pauses grow.
    """
    if isinstance(error, ConfigError):
        return Postponed(None, str(error))
    pause = FIRST_PAUSE * 2**attempt if attempt < QUICK_TRIES else LONG_PAUSE
    return Postponed(now + pause, str(error))


def explain_failure(error: psycopg.Error | SteadfastError) -> SteadfastError:
    """A failure in our own words, by what has to be done about it."""
    if isinstance(error, SteadfastError):
        return error
    words = shorten(error)
    state = error.sqlstate or ""
    if state[:2] == "42":
        return ConfigError(f"The warehouse does not have what events need: {words}. Run `steadfast migrate`.")
    if state in _OF_THE_WAREHOUSE:
        return ConfigError(f"A webhook source is set up in a way that PostgreSQL does not take: {words}.")
    if isinstance(error, psycopg.errors.QueryCanceled):
        return WarehouseBusy(f"The warehouse is busy, a statement took too long: {words}")
    try:
        with translate_errors():
            raise error
    except WarehouseBusy as busy:
        return busy
    except psycopg.Error:
        return TransientError(f"PostgreSQL could not apply events, {state or 'without a code'}: {words}")


def shorten(error: psycopg.Error) -> str:
    """PostgreSQL's primary message on one line, not longer than a person reads."""
    text = " ".join((error.diag.message_primary or str(error)).split())
    return text if len(text) <= LONGEST_WORDS else f"{text[:LONGEST_WORDS]}…"
