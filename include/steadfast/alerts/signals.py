"""A signal: one thing that was seen. Whoever sees something records one; the key keeps it single."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from psycopg import Connection

from steadfast.warehouse.connect import translate_errors
from steadfast.warehouse.queries import load_queries


class Severity(StrEnum):
    """How much a signal matters."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True)
class Signal:
    """What was seen, in words for the person who is told."""

    dedup_key: str
    """The same problem of the same run has the same key, whoever reports it."""
    kind: str
    severity: Severity
    subject: str
    body: str
    link: str | None = None
    entity_id: int | None = None


def record_signal(connection: Connection, signal: Signal, now: datetime) -> bool:
    """Store the signal; False if its key is known already."""
    row = {
        "dedup_key": signal.dedup_key,
        "kind": signal.kind,
        "severity": signal.severity.value,
        "entity_id": signal.entity_id,
        "subject": _storable(signal.subject),
        "body": _storable(signal.body),
        "link": signal.link,
        "now": now,
    }
    with translate_errors(), connection.transaction():
        return connection.execute(load_queries("alerts")["record_signal"], row).rowcount == 1


def is_recorded(connection: Connection, dedup_key: str) -> bool:
    """Tell whether a signal with this key exists."""
    with translate_errors(), connection.transaction():
        found = connection.execute(load_queries("alerts")["find_signal"], {"dedup_key": dedup_key})
        return found.fetchone() is not None


def _storable(text: str) -> str:
    # Texts quote what sources sent, and PostgreSQL stores neither NUL nor half of a surrogate pair.
    return text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "\N{REPLACEMENT CHARACTER}")
