"""Whether an event keeps its contract, in words: for strict sources, and for people who mend dead letters.

Batches are judged in SQL (`checks.py`), which says the same; a test holds the two together.
"""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from jsonschema import ValidationError

from steadfast.webhooks.contract import (
    ANCIENT_WORDS,
    DATED,
    FUTURE_WORDS,
    MOMENT_WORDS,
    MOST_AHEAD,
    TIMESTAMP_PATTERN,
    EventType,
    Field,
    Kind,
)
from steadfast.webhooks.events import EVENTS
from steadfast.webhooks.moments import read_day, read_moment
from steadfast.webhooks.schema import open_validator

MOST_VIOLATIONS = 5
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)


def find_violations(
    event_type: str | None, version: int, body: bytes, received_at: datetime | None = None
) -> list[str]:
    """At most five sentences on what an event lacks; none if it keeps the contract of its type.

    How far ahead its moments lie is asked only if it is known when it was received.
    """
    if (event_type, version) not in EVENTS:
        return [_describe_unknown(event_type, version)]
    try:
        # Decimal keeps every digit, and takes more of them than int reads from text.
        event = json.loads(body, parse_float=Decimal, parse_int=_read_whole)
    except (ArithmeticError, ValueError):
        return ["The event holds a number that is out of range."]
    contract = EVENTS[str(event_type), version]
    errors = open_validator(contract).iter_errors(event)
    # A value may break two rules of one field, of which the sentence is the same.
    sentences = dict.fromkeys(_describe(contract, error) for error in errors)
    sentences |= dict.fromkeys(_judge_moments(contract, event, received_at))
    return list(sentences)[:MOST_VIOLATIONS]


def _judge_moments(contract: EventType, event: Any, received_at: datetime | None) -> Iterator[str]:
    """What looks like a moment or day but cannot be one; the schema has told what looks otherwise."""
    event = event if isinstance(event, dict) else {}
    words = _judge_timestamp(event.get("timestamp"), received_at)
    if words:
        yield f"timestamp: must be {words}."
    data = event.get("data")
    for field in contract.fields:
        value = data.get(field.name) if isinstance(data, dict) and field.kind in DATED else None
        if not _is_possible(field, value, received_at):
            yield f"data.{field.name}: {_name_valid(field)}."


def _judge_timestamp(value: Any, received_at: datetime | None) -> str:
    if not (isinstance(value, str) and re.fullmatch(TIMESTAMP_PATTERN, value)):
        return ""
    moment = read_moment(value)
    if moment is None:
        return MOMENT_WORDS
    if received_at and moment > received_at + MOST_AHEAD:
        return FUTURE_WORDS
    return ANCIENT_WORDS if moment < EARLIEST else ""


def _is_possible(field: Field, value: Any, received_at: datetime | None) -> bool:
    if not (isinstance(value, str) and re.fullmatch(field.pattern, value)):
        return True
    latest = received_at.astimezone(UTC) + field.most_ahead if received_at else None
    if field.kind is Kind.DAY:
        day = read_day(value)
        return day is not None and (latest is None or day <= latest.date())
    moment = read_moment(value)
    return moment is not None and (latest is None or moment <= latest)


def _read_whole(digits: str) -> int | Decimal:
    return int(digits) if len(digits) < 1000 else Decimal(digits)


def _describe_unknown(event_type: str | None, version: int) -> str:
    versions = [str(known) for name, known in EVENTS if name == event_type]
    if versions:
        return f"{event_type} has no such version; there are {', '.join(versions)}."
    names = ", ".join(dict.fromkeys(name for name, _ in EVENTS))
    return f"The event's type is not known; there are {names}."


def _describe(event: EventType, error: ValidationError) -> str:
    # The library quotes what came; an answer must not, so only the rule is named.
    place = ".".join(map(str, error.absolute_path))
    return f"{place or 'the event'}: {_explain(event, place, error)}."


def _explain(event: EventType, place: str, error: ValidationError) -> str:
    if error.validator == "required":
        return f"{', '.join(name for name in error.validator_value if name not in error.instance)} is missing"
    if error.validator == "const":
        return f"must be {error.validator_value}"
    if place in ("", "data"):
        return "must be an object with the fields of the event"
    fields = {f"data.{field.name}": field for field in event.fields}
    return _name_valid(fields[place]) if place in fields else f"must be {MOMENT_WORDS}"


def _name_valid(field: Field) -> str:
    words = f"one of {', '.join(field.choices)}" if field.choices else field.valid_words
    return f"must be {words}" if field.is_required else f"must be {words}; it may be left out"
