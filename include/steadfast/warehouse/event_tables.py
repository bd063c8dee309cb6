"""Fact tables of events, made from a description: one per event type, one row per source and natural key.

A new description makes its table at the next migration, a new optional column is added to an existing one.
They are not partitioned: an order must stay one row however far apart the days lie on which it changes.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import psycopg
from psycopg import sql

from steadfast.errors import ConfigError
from steadfast.warehouse.facts import guard_table, read_columns
from steadfast.warehouse.queries import load_queries

COMMON_COLUMNS = (
    "entity_id",
    "source_id",
    "event_on",
    "event_at",
    "inbox_id",
    "root_id",
    "received_at",
    "run_id",
)


@dataclass(frozen=True)
class EventColumn:
    """A column of an event table, with its SQL type."""

    name: str
    kind: str
    is_required: bool


@dataclass(frozen=True)
class EventTable:
    """A table of schema facts: what identifies a row beside its source, and everything it holds."""

    name: str
    key: tuple[str, ...]
    columns: tuple[EventColumn, ...]

    def __post_init__(self) -> None:
        names = [*COMMON_COLUMNS, *(column.name for column in self.columns)]
        if len(set(names)) < len(names):
            raise ConfigError(f"Event table {self.name} names a column twice: {', '.join(names)}.")
        required = {column.name for column in self.columns if column.is_required}
        if not self.key or not set(self.key) <= required:
            raise ConfigError(f"Event table {self.name}: its key {self.key} must be required columns.")

    @property
    def event_type(self) -> str:
        """What the events in it are called."""
        return self.name.removeprefix("fact_")


def ensure_event_tables(connection: psycopg.Connection, tables: Iterable[EventTable]) -> list[str]:
    """Make missing tables and columns of schema facts; return what was made, as `table` or `table.column`.

    ConfigError if a column exists with another type, or is new and required.
    """
    existing = read_columns(connection)
    made: list[str] = []
    for table in tables:
        if table.name not in existing:
            _create_table(connection, table)
            made.append(table.name)
        else:
            made += _add_columns(connection, table, existing[table.name])
    return made


def _create_table(connection: psycopg.Connection, table: EventTable) -> None:
    queries = load_queries("warehouse")
    key = sql.SQL(", ").join(map(sql.Identifier, table.key))
    columns = sql.SQL(", ").join(map(_define_column, table.columns))
    name = sql.Identifier(table.name)
    connection.execute(queries["create_event_table"].format(table=name, columns=columns, key=key))
    guard_table(connection, table.name, "event_on")


def _add_columns(connection: psycopg.Connection, table: EventTable, existing: dict[str, str]) -> list[str]:
    added: list[str] = []
    for column in table.columns:
        if column.name not in existing:
            if column.is_required:
                raise ConfigError(
                    f"facts.{table.name}.{column.name} is new and required, but there are rows without it: "
                    "make it optional, or fill it in a migration."
                )
            query = load_queries("warehouse")["add_fact_column"]
            names = {"table": sql.Identifier(table.name), "definition": _define_column(column)}
            connection.execute(query.format(**names))
            added.append(f"{table.name}.{column.name}")
        elif existing[column.name] != column.kind:
            raise ConfigError(
                f"facts.{table.name}.{column.name} is {existing[column.name]} in the warehouse but described "
                f"as {column.kind}; change its type in a migration first."
            )
    return added


def _define_column(column: EventColumn) -> sql.Composed:
    name = "define_required_column" if column.is_required else "define_optional_column"
    names = {"column": sql.Identifier(column.name), "kind": sql.SQL(column.kind)}
    return load_queries("warehouse")[name].format(**names)
