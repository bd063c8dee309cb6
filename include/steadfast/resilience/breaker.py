"""Circuit breakers whose state lives in PostgreSQL, so that it survives the worker that saw the failure.

The decisions are pure; `record_failures` and `close_breakers` store them. A breaker whose time is over
lets the next attempt through: that is its half-open probe.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from psycopg import Connection

from steadfast.warehouse.queries import load_queries

FAILURES_TO_OPEN = 5
"""Half of the ten server errors an hour after which Google itself shuts a property out."""

WINDOW = timedelta(hours=1)
OPEN_FOR = timedelta(hours=1)


@dataclass(frozen=True)
class Breaker:
    """How often something failed lately, and until when it is left alone."""

    state: str = "closed"
    failure_count: int = 0
    first_failure_at: datetime | None = None
    open_until: datetime | None = None
    reason: str | None = None


def count_failures(breaker: Breaker, count: int, now: datetime, reason: str) -> Breaker:
    """Add failures of the last hour; the fifth opens the breaker for an hour."""
    is_recent = breaker.first_failure_at is not None and now - breaker.first_failure_at < WINDOW
    total = count + (breaker.failure_count if is_recent else 0)
    first = breaker.first_failure_at if is_recent else now
    counted = replace(breaker, failure_count=total, first_failure_at=first, reason=reason)
    return open_breaker(counted, now + OPEN_FOR, reason) if total >= FAILURES_TO_OPEN else counted


def open_breaker(breaker: Breaker, until: datetime, reason: str) -> Breaker:
    """Leave the source alone until then."""
    return replace(breaker, state="open", open_until=until, reason=reason)


def read_breaker(connection: Connection[Any], name: str) -> Breaker:
    """The stored state, locked until the transaction ends; a new breaker is closed."""
    row = connection.execute(load_queries("resilience")["read_breaker"], {"name": name}).fetchone()
    return Breaker(*row) if row else Breaker()


def write_breaker(connection: Connection[Any], name: str, breaker: Breaker, now: datetime) -> None:
    """Store the state."""
    values = {**breaker.__dict__, "name": name, "now": now}
    connection.execute(load_queries("resilience")["write_breaker"], values)


def close_breakers(connection: Connection[Any], names: Sequence[str], now: datetime) -> None:
    """The sources answered: forget their failures."""
    connection.execute(load_queries("resilience")["close_breakers"], {"names": list(names), "now": now})
