"""Whether an event keeps its contract, in words: for strict sources, and for people who mend dead letters.

Batches are judged in SQL (`checks.py`), which says the same; a test holds the two together.
"""

import json
from collections.abc import Iterator
from decimal import Decimal

from jsonschema import ValidationError

from steadfast.webhooks.events import EVENTS
from steadfast.webhooks.schema import open_validator

MOST_VIOLATIONS = 5
LONGEST_VALUE = 80


def find_violations(event_type: str | None, version: int, body: bytes) -> list[str]:
    """At most five sentences on what an event lacks; none if it keeps the contract of its type."""
    if (event_type, version) not in EVENTS:
        return [_describe_unknown(event_type, version)]
    try:
        # Decimal keeps every digit, and takes more of them than int reads from text.
        event = json.loads(body, parse_float=Decimal, parse_int=_read_whole)
    except (ArithmeticError, ValueError):
        return ["The event holds a number that is out of range."]
    errors = open_validator(EVENTS[str(event_type), version]).iter_errors(event)
    return [sentence for sentence, _ in zip(map(_describe, errors), range(MOST_VIOLATIONS), strict=False)]


def _read_whole(digits: str) -> int | Decimal:
    return int(digits) if len(digits) < 1000 else Decimal(digits)


def _describe_unknown(event_type: str | None, version: int) -> str:
    versions = [str(known) for name, known in EVENTS if name == event_type]
    if versions:
        return f"{event_type} has no such version; there are {', '.join(versions)}."
    names = ", ".join(dict.fromkeys(name for name, _ in EVENTS))
    return f"The event's type is not known; there are {names}."


def _describe(error: ValidationError) -> str:
    place = ".".join(map(str, error.absolute_path)) or "the event"
    return f"{place}: {' '.join(_explain(error))}."


def _explain(error: ValidationError) -> Iterator[str]:
    # The library quotes what came; an answer must not, so only the rule is named.
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        yield f"{', '.join(missing)} is missing"
    elif error.validator == "anyOf":
        yield "is neither a number in range nor such a number as text"
    elif error.validator == "enum":
        yield f"must be one of {', '.join(map(str, error.validator_value))}"
    else:
        yield f"must have {error.validator} {error.validator_value}"
