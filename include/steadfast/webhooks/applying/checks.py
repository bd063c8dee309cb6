"""What an event must fulfil, as conditions in SQL: the first that does not hold names the dead letter.

The conditions are blocks of webhook_process.sql. They say the same as `Field.json_schema()`, except that
SQL also knows what fits into an index, and when an event was received. To add a kind of field, add its
condition to `_CONDITIONS` and its value to `statement.py`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta

from psycopg import sql

from steadfast.warehouse.queries import load_queries
from steadfast.webhooks.contract import (
    ANCIENT_WORDS,
    FUTURE_WORDS,
    LARGEST_KEY_BYTES,
    LONGEST_TEXT,
    MOMENT_WORDS,
    MOST_AHEAD,
    NUMBER_AS_TEXT_PATTERN,
    OUTSIDE_DATA,
    TIMESTAMP_PATTERN,
    EventType,
    Field,
    Kind,
)

USUAL_MOMENTS = tuple(
    f"202_-__-__T__:__:__{fraction}{zone}" for fraction in ("", ".___") for zone in ("Z", "-__:__", "+__:__")
)
DIGITS_BETWEEN_SIGNS = "^[0-9]+(?:[-T:.+][0-9]+)+Z?$"
"""In a usual shape no place but the middle of a fraction could hold another sign, and such is no moment."""
SIMPLE_NUMBERS = {Kind.AMOUNT: r"^[0-9]+(?:\.[0-9]+)?$", Kind.COUNT: "^[0-9]+$"}
"""Up to eight characters of these can neither be too large nor have too many decimals."""


@dataclass(frozen=True)
class Check:
    """A condition under which an event dies, and the words for it."""

    condition: sql.Composable
    reason: str
    subject: str
    """What it is about, as a person finds it in the event: `timestamp`, `data`, `data.total`."""
    valid: str


def list_checks(event: EventType) -> list[Check]:
    """Every check of one type and version, in the order in which they are asked."""
    inside = [field for field in event.fields if field.kind not in OUTSIDE_DATA]
    return [
        *_check_outside(),
        *(check for field in inside for check in _check_field(field)),
        *_check_key(event),
    ]


def given_column(field: Field) -> str:
    """What a field is called between the body and the table; no common column can be called so."""
    return f"given_{field.column_name}"


def _check_outside() -> Iterator[Check]:
    no_moment = _refuse_moment("occurred", TIMESTAMP_PATTERN)
    in_the_future = _refuse_ahead("occurred", MOST_AHEAD)
    yield Check(_block("is_undated"), "bad_timestamp", "timestamp", MOMENT_WORDS)
    yield Check(no_moment, "bad_timestamp", "timestamp", MOMENT_WORDS)
    yield Check(in_the_future, "future_timestamp", "timestamp", FUTURE_WORDS)
    yield Check(_block("is_ancient"), "ancient_timestamp", "timestamp", ANCIENT_WORDS)
    yield Check(_block("is_data_absent"), "missing_field", "data", "an object with the fields of the event")
    yield Check(_block("is_no_object"), "bad_field", "data", "an object with the fields of the event")


def _check_field(field: Field) -> Iterator[Check]:
    subject = f"data.{field.name}"
    if field.is_required:
        absent = _block("is_absent", given=_given(field))
        yield Check(absent, "missing_field", subject, field.valid_words)
    for condition in _CONDITIONS[field.kind](field):
        yield Check(condition, "bad_field", subject, field.valid_words)


def _check_key(event: EventType) -> Iterator[Check]:
    texts = [field for field in event.fields if field.column_name in event.key and field.kind is Kind.TEXT]
    if len(texts) * LONGEST_TEXT * 4 > LARGEST_KEY_BYTES:
        sizes = [_block(_SIZES[field.is_folded], given=_given(field)) for field in texts]
        most = sql.Literal(LARGEST_KEY_BYTES)
        condition = _block("is_key_too_long", bytes=sql.SQL(" + ").join(sizes), most=most)
        names = " and ".join(field.name for field in texts)
        valid = f"at most {LARGEST_KEY_BYTES} bytes in {names} together"
        yield Check(condition, "bad_field", f"data.{texts[0].name}", valid)


def _check_text(field: Field) -> Iterator[sql.Composable]:
    names = {"given": _given(field), "name": sql.Literal(field.name)}
    limits = {"longest": sql.Literal(LONGEST_TEXT), "pattern": sql.Literal(NUMBER_AS_TEXT_PATTERN)}
    yield _block("is_no_text", **names, **limits)


def _check_choice(field: Field) -> Iterator[sql.Composable]:
    yield _block("is_no_choice", given=_given(field), choices=sql.Literal(list(field.choices)))


def _check_pattern(field: Field) -> Iterator[sql.Composable]:
    yield _block("is_unlike", given=_given(field), pattern=sql.Literal(field.pattern))


def _check_number(field: Field) -> Iterator[sql.Composable]:
    names = {"given": _given(field), "pattern": sql.Literal(field.pattern)}
    yield _block("is_unlike_number", simple=sql.Literal(SIMPLE_NUMBERS[field.kind]), **names)


def _check_day(field: Field) -> Iterator[sql.Composable]:
    yield _block("is_no_day", given=_given(field), pattern=sql.Literal(field.pattern))
    yield _block("is_day_too_far_ahead", given=_given(field), most=sql.Literal(field.most_ahead))


def _check_moment(field: Field) -> Iterator[sql.Composable]:
    yield _refuse_moment(given_column(field), field.pattern)
    yield _refuse_ahead(given_column(field), field.most_ahead)


def _refuse_moment(column: str, pattern: str) -> sql.Composed:
    return _block(
        "is_no_moment",
        text=sql.Identifier("taken", column),
        shapes=sql.Literal(list(USUAL_MOMENTS)),
        digits=sql.Literal(DIGITS_BETWEEN_SIGNS),
        pattern=sql.Literal(pattern),
    )


def _refuse_ahead(column: str, most: timedelta) -> sql.Composed:
    return _block("is_too_far_ahead", text=sql.Identifier("taken", column), most=sql.Literal(most))


_SIZES = {False: "count_bytes", True: "count_folded_bytes"}
_CONDITIONS: dict[Kind, Callable[[Field], Iterator[sql.Composable]]] = {
    Kind.TEXT: _check_text,
    Kind.CHOICE: _check_choice,
    Kind.CURRENCY: _check_pattern,
    Kind.AMOUNT: _check_number,
    Kind.COUNT: _check_number,
    Kind.MOMENT: _check_moment,
    Kind.DAY: _check_day,
}


def _given(field: Field) -> sql.Identifier:
    return sql.Identifier(given_column(field))


def _block(name: str, /, **parts: sql.Composable) -> sql.Composed:
    return load_queries("webhook_process")[name].format(**parts)
