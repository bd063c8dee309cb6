"""What an event type promises: its fields, what identifies it, and its day; as JSON Schema and as a table.

`events.py` holds the contracts themselves. `checks.py` makes SQL of the same fields, so that a batch is
judged where it lies; the schema is for people, for strict sources, and for the words of a refusal.
"""

from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from typing import Any

from steadfast.warehouse.event_tables import EventColumn, EventTable

_DAY = r"(?:19|20|21)[0-9]{2}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
_DAY_OF_DATA = _DAY.replace("19|", "")
"""What an event tells of lies in 2000 or later; of its own timestamp `checks.py` asks for the moment."""
_TIME = r"(?:[01][0-9]|2[0-4]):[0-5][0-9](?::(?:[0-5][0-9]|60)(?:\.[0-9]{1,9})?)?"
_ZONE = r"(?:[Zz]|[+-](?:0[0-9]|1[0-5]):?[0-5][0-9])"
DAY_PATTERN = f"^{_DAY_OF_DATA}$"
TIMESTAMP_PATTERN = f"^{_DAY}[Tt ]{_TIME}{_ZONE}$"
MOMENT_PATTERN = f"^{_DAY_OF_DATA}[Tt ]{_TIME}{_ZONE}$"
AMOUNT_PATTERN = r"^-?[0-9]{1,12}(?:\.[0-9]{1,6}0*)?$"
COUNT_PATTERN = r"^[0-9]{1,15}(?:\.0+)?$"
NUMBER_AS_TEXT_PATTERN = r"^-?[0-9]{1,40}(?:\.0+)?$"
CURRENCY_PATTERN = r"^[A-Z]{3}$"
LARGEST_AMOUNT = 10**12
LARGEST_COUNT = 10**15
LARGEST_NUMBER_AS_TEXT = 10**40
SMALLEST_PART = 0.000001
"""An amount keeps six decimals; one with more is refused, since rounding would change it in silence."""
MOST_AHEAD = timedelta(days=1)
"""A clock may run so far ahead of ours, and a day begins elsewhere before it begins in UTC."""
MOST_AHEAD_IF_PLANNED = timedelta(days=3653)
LONGEST_TEXT = 500
LARGEST_KEY_BYTES = 2400
"""What identifies a row must fit into an index; texts that do not shrink take up to 2704 bytes there."""


class Kind(StrEnum):
    """What a field holds."""

    TEXT = "text"
    CHOICE = "choice"
    CURRENCY = "currency"
    AMOUNT = "amount"
    COUNT = "count"
    MOMENT = "moment"
    DAY = "day"
    EVENT_ID = "event_id"
    """Not in `data`: the id that the event was sent with."""
    DATA = "data"
    """The whole of `data`, as it is."""


SQL_TYPES = {
    Kind.TEXT: "text",
    Kind.CHOICE: "text",
    Kind.CURRENCY: "text",
    Kind.AMOUNT: "numeric(20,6)",
    Kind.COUNT: "bigint",
    Kind.MOMENT: "timestamp with time zone",
    Kind.DAY: "date",
    Kind.EVENT_ID: "text",
    Kind.DATA: "jsonb",
}
OUTSIDE_DATA = (Kind.EVENT_ID, Kind.DATA)
DATED = (Kind.MOMENT, Kind.DAY)
DAY_OF_EXAMPLES = date(2026, 11, 24)
"""The day on which the examples of `events.py` are told."""


@dataclass(frozen=True)
class Field:
    """One field of `data`; the column has its name unless `column` says otherwise."""

    name: str
    kind: Kind = Kind.TEXT
    is_required: bool = False
    choices: tuple[str, ...] = ()
    may_be_negative: bool = False
    is_planned: bool = False
    """A moment that may lie years ahead; all others say what has happened."""
    is_folded: bool = False
    """Kept in lower case without spaces around it, or as (not set): all spellings are one key."""
    column: str = ""

    @property
    def column_name(self) -> str:
        """Where the field is kept."""
        return self.column or self.name

    @property
    def pattern(self) -> str:
        """What the value looks like as text; empty where more than one pattern, or none, decides."""
        if self.kind is Kind.AMOUNT and not self.may_be_negative:
            return AMOUNT_PATTERN.replace("-?", "")
        return _PATTERNS.get(self.kind, "")

    @property
    def most_ahead(self) -> timedelta:
        """How long after the event was received a moment or day may lie."""
        return MOST_AHEAD_IF_PLANNED if self.is_planned else MOST_AHEAD

    @property
    def valid_words(self) -> str:
        """What may stand here, for the person who has to mend an event."""
        if self.kind is Kind.AMOUNT:
            return f"{_WORDS[Kind.AMOUNT]}, {'or below 0' if self.may_be_negative else 'from 0'}"
        if self.kind in DATED:
            return f"{_WORDS[self.kind]}, {self._bounds_in_words}"
        return " or ".join(self.choices) if self.choices else _WORDS[self.kind]

    @property
    def _bounds_in_words(self) -> str:
        ahead = "10 years" if self.is_planned else "one day"
        return f"from 2000 on, at most {ahead} after the event was received"

    def json_schema(self) -> dict[str, Any]:
        """What JSON may stand here. Numbers may come as text, which keeps them exact.

        What need not stand here is absent if it is null or the empty text, which many forms and tools send.
        """
        allowed = [*self._value_schemas(), *([] if self.is_required else [{"enum": [None, ""]}])]
        return allowed[0] if len(allowed) == 1 else {"anyOf": allowed}

    def _value_schemas(self) -> list[dict[str, Any]]:
        if self.kind is Kind.TEXT:
            edges = {
                "exclusiveMinimum": -LARGEST_NUMBER_AS_TEXT,
                "exclusiveMaximum": LARGEST_NUMBER_AS_TEXT,
            }
            text = {"type": "string", "minLength": 1, "maxLength": LONGEST_TEXT}
            return [text, {"type": "integer", **edges}]
        if self.kind is Kind.CHOICE:
            return [{"type": "string", "enum": list(self.choices)}]
        as_text = {"type": "string", "pattern": self.pattern}
        if self.kind is Kind.AMOUNT:
            least = {"exclusiveMinimum": -LARGEST_AMOUNT} if self.may_be_negative else {"minimum": 0}
            edges = {**least, "exclusiveMaximum": LARGEST_AMOUNT}
            return [{"type": "number", "multipleOf": SMALLEST_PART, **edges}, as_text]
        if self.kind is Kind.COUNT:
            return [{"type": "integer", "minimum": 0, "exclusiveMaximum": LARGEST_COUNT}, as_text]
        if self.kind in DATED:
            return [{**as_text, "description": self._bounds_in_words}]
        return [as_text]


_PATTERNS = {
    Kind.AMOUNT: AMOUNT_PATTERN,
    Kind.COUNT: COUNT_PATTERN,
    Kind.MOMENT: MOMENT_PATTERN,
    Kind.DAY: DAY_PATTERN,
    Kind.CURRENCY: CURRENCY_PATTERN,
}
ANCIENT_WORDS = "a moment after 1999"
FUTURE_WORDS = "a moment at most one day after the event was received"
MOMENT_WORDS = 'a moment with its zone, like "2026-11-24T10:00:00Z" or "2026-11-24T05:00:00-05:00"'
_WORDS = {
    Kind.TEXT: f"a text of 1 to {LONGEST_TEXT} characters, or a whole number",
    Kind.CURRENCY: 'a currency like "USD", three capitals',
    Kind.AMOUNT: 'an amount like 129.9 or "129.90", below a million million, at most 6 decimals',
    Kind.COUNT: 'a whole number like 3 or "3", from 0, at most 15 digits',
    Kind.MOMENT: MOMENT_WORDS,
    Kind.DAY: 'a day like "2026-11-24"',
}


@dataclass(frozen=True)
class EventType:
    """A kind of event in one version; versions of a type share its table."""

    name: str
    title: str
    fields: tuple[Field, ...]
    key: tuple[str, ...]
    """Columns that identify one row of a source; the newest event of a key wins."""
    day: str = ""
    """The field that says on which day it happened; empty: the event's own timestamp."""
    version: int = 1
    example: dict[str, Any] = field(default_factory=dict, hash=False)

    @property
    def table(self) -> EventTable:
        """The fact table it is kept in."""
        columns = [
            EventColumn(
                each.column_name, SQL_TYPES[each.kind], each.is_required or each.column_name in self.key
            )
            for each in self.fields
        ]
        return EventTable(f"fact_{self.name}", self.key, tuple(columns))

    def example_on(self, day: date) -> dict[str, Any]:
        """The example as it is told on that day; as written it could lie in the future."""
        dated = {each.name for each in self.fields if each.kind in DATED}
        moved = day - DAY_OF_EXAMPLES
        return {
            name: f"{date.fromisoformat(value[:10]) + moved}{value[10:]}" if name in dated else value
            for name, value in self.example.items()
        }

    def json_schema(self) -> dict[str, Any]:
        """JSON Schema of the whole event."""
        inside = [each for each in self.fields if each.kind not in OUTSIDE_DATA]
        properties = {each.name: each.json_schema() for each in inside}
        required = [each.name for each in inside if each.is_required]
        payload = {"type": "object", "properties": properties, "required": required}
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": self.title,
            "type": "object",
            "properties": {
                "type": {"const": self.name},
                "version": {"const": self.version},
                "timestamp": {
                    "type": "string",
                    "pattern": TIMESTAMP_PATTERN,
                    "description": f"{ANCIENT_WORDS}, and {FUTURE_WORDS}",
                },
                "data": payload,
            },
            "required": ["type", "timestamp", "data"],
        }
