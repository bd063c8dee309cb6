"""Whether an event keeps its contract, in words: for strict sources, and for people who mend dead letters.

Batches are judged in SQL (`checks.py`), which says the same; a test holds the two together.
"""

import json
from decimal import Decimal

from jsonschema import ValidationError

from steadfast.webhooks.contract import EventType, Field, Kind
from steadfast.webhooks.events import EVENTS
from steadfast.webhooks.schema import open_validator

MOST_VIOLATIONS = 5


def find_violations(event_type: str | None, version: int, body: bytes) -> list[str]:
    """At most five sentences on what an event lacks; none if it keeps the contract of its type."""
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
    return list(sentences)[:MOST_VIOLATIONS]


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
    return _name_valid(_find_field(event, place))


def _find_field(event: EventType, place: str) -> Field:
    fields = {f"data.{field.name}": field for field in event.fields}
    return fields.get(place, Field("timestamp", Kind.MOMENT, is_required=True))


def _name_valid(field: Field) -> str:
    words = f"one of {', '.join(field.choices)}" if field.choices else field.valid_words
    return f"must be {words}" if field.is_required else f"must be {words}; it may be left out"
