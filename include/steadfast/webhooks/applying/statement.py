"""The one statement that brings the events of a type and version into their table, or among the dead letters.

Composed from blocks of webhook_process.sql, one per kind of field. To add a kind, add its block to
`_VALUES` and its checks to `checks.py`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from psycopg import sql

from steadfast.warehouse.event_tables import EventTable
from steadfast.warehouse.queries import load_queries
from steadfast.webhooks.applying.checks import Check, given_column, list_checks
from steadfast.webhooks.contract import OUTSIDE_DATA, EventType, Field, Kind

LONGEST_SHOWN = 80
"""So many characters of a wrong value stand in the words of a dead letter."""
UNSEEN = "[\\u007f-\\u009f\\u00ad\\u061c\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\ufeff]"

_VALUES = {
    Kind.TEXT: "keep_text",
    Kind.CHOICE: "keep_text",
    Kind.CURRENCY: "keep_text",
    Kind.AMOUNT: "keep_amount",
    Kind.COUNT: "keep_count",
    Kind.MOMENT: "keep_moment",
    Kind.DAY: "keep_day",
    Kind.EVENT_ID: "keep_event_id",
    Kind.DATA: "keep_data",
}


@dataclass(frozen=True)
class Statement:
    """SQL for the events of one type and version, with the words for its checks."""

    query: sql.Composed
    values: Mapping[str, Any]


@cache
def compose_statement(event: EventType, table: EventTable) -> Statement:
    """The statement for one contract; `table` may have columns of newer versions, which stay empty."""
    checks = list_checks(event)
    inside = [field for field in event.fields if field.kind not in OUTSIDE_DATA]
    columns = dict(_list_values(event, table))
    names = [sql.Identifier(name) for name in columns]
    parts = {
        "lies_in_range": load_queries("webhook_process")["lies_in_range"],
        "table": sql.Identifier(table.name),
        "key": _listed(sql.Identifier(name) for name in table.key),
        "faults": sql.SQL("\n").join(map(_number_fault, range(1, len(checks) + 1), checks)),
        "fields": _listed(map(_take_field, inside)),
        "given": _listed(map(_give_field, inside)),
        "keeps_data": sql.Literal(any(field.kind is Kind.DATA for field in event.fields)),
        "event_on": _find_day(event),
        "columns": _listed(names),
        "values": _listed(
            _block("name_value", value=value, column=sql.Identifier(name)) for name, value in columns.items()
        ),
        "updates": _list_updates(name for name in columns if name not in table.key),
    }
    values = {
        "event_type": event.name,
        "schema_version": event.version,
        "reasons": [check.reason for check in checks],
        "subjects": [check.subject for check in checks],
        "valid_words": [check.valid for check in checks],
        "longest_shown": LONGEST_SHOWN,
        "unseen": UNSEEN,
    }
    return Statement(_block("apply_events", **parts), values)


def _take_field(field: Field) -> sql.Composed:
    block = "take_field" if field.is_required else "take_optional_field"
    return _block(block, name=sql.Literal(field.name), given=sql.Identifier(given_column(field)))


def _give_field(field: Field) -> sql.Composable:
    given = sql.Identifier(given_column(field))
    if field.kind is Kind.TEXT:
        return _block("name_given", name=sql.Literal(field.name), given=given)
    return sql.Identifier("found", given_column(field))


def _number_fault(number: int, check: Check) -> sql.Composed:
    return _block("fault", condition=check.condition, number=sql.Literal(number))


def _list_values(event: EventType, table: EventTable) -> Iterator[tuple[str, sql.Composable]]:
    known = {field.column_name: field for field in event.fields}
    for name, field in known.items():
        block = "keep_folded" if field.is_folded else _VALUES[field.kind]
        yield name, _block(block, given=sql.Identifier(given_column(field)))
    for column in table.columns:
        if column.name not in known:
            # The kinds of a contract's columns are a fixed table of types, nothing that anybody sent.
            yield column.name, _block("keep_nothing", kind=sql.SQL(column.kind))


def _find_day(event: EventType) -> sql.Composable:
    field = next((field for field in event.fields if field.name == event.day), None)
    if field is None:
        return _block("day_of_moment", moment=sql.Identifier("judged", "occurred"))
    if field.kind is Kind.DAY:
        return _block("keep_day", given=sql.Identifier(given_column(field)))
    return _block("day_of_moment", moment=sql.Identifier("judged", given_column(field)))


def _list_updates(names: Iterator[str]) -> sql.Composable:
    updates = [_block("update_column", column=sql.Identifier(name)) for name in names]
    return sql.SQL("").join(sql.SQL(", ") + update for update in updates)


def _listed(parts: Iterable[sql.Composable]) -> sql.Composed:
    return sql.SQL(",\n").join(parts)


def _block(name: str, /, **parts: sql.Composable) -> sql.Composed:
    return load_queries("webhook_process")[name].format(**parts)
