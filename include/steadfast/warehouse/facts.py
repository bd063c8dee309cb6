"""Fact tables made from a description: one per report, partitioned by month, guarded by entity.

A new description makes its table at the next migration, a new column is added to an existing one.
What is published in a column is never dropped or retyped here: that takes a migration.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import psycopg
from psycopg import sql

from steadfast.errors import ConfigError
from steadfast.warehouse.queries import load_queries

_METRIC_TYPE = re.compile(r"smallint|integer|bigint|real|double precision|numeric\(\d+,\d+\)")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
LONGEST_NAME = 63 - len("_2026_11")
KEY_COLUMNS = ("entity_id", "property_id", "dim_key", "run_id", "is_provisional")


@dataclass(frozen=True)
class FactTable:
    """A table of schema facts: what identifies a row and what it counts, with the SQL type of each metric."""

    name: str
    date_column: str
    dimensions: tuple[str, ...]
    metrics: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        columns = [*KEY_COLUMNS, self.date_column, *self.dimensions, *(column for column, _ in self.metrics)]
        wrong = [name for name in (self.name, *columns) if not _NAME.fullmatch(name)]
        if wrong or len(self.name) > LONGEST_NAME:
            raise ConfigError(
                f"Fact table {self.name!r}: {wrong or 'its name'} must be snake case of at most "
                f"{LONGEST_NAME} characters."
            )
        if len(set(columns)) < len(columns):
            raise ConfigError(f"Fact table {self.name} names a column twice: {', '.join(columns)}.")
        for column, kind in self.metrics:
            if not _METRIC_TYPE.fullmatch(kind):
                raise ConfigError(
                    f"{self.name}.{column} has type {kind!r}; a metric is {_METRIC_TYPE.pattern}."
                )

    def column_types(self) -> dict[str, str]:
        """Dimensions and metrics with their SQL types, in table order."""
        return {**dict.fromkeys(self.dimensions, "text"), **dict(self.metrics)}


def ensure_fact_tables(connection: psycopg.Connection, tables: Iterable[FactTable]) -> list[str]:
    """Make missing tables and columns of schema facts; return what was made, as `table` or `table.column`.

    ConfigError if a column exists with another type.
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


def read_columns(connection: psycopg.Connection) -> dict[str, dict[str, str]]:
    """The tables of schema facts: table -> column -> SQL type."""
    columns: dict[str, dict[str, str]] = {}
    for table, column, kind in connection.execute(load_queries("warehouse")["list_fact_columns"]):
        columns.setdefault(table, {})[column] = kind
    return columns


def _create_table(connection: psycopg.Connection, table: FactTable) -> None:
    names = {"table": sql.Identifier(table.name), "date_column": sql.Identifier(table.date_column)}
    columns = sql.SQL(", ").join(
        _define_column(table, column, kind) for column, kind in table.column_types().items()
    )
    connection.execute(load_queries("warehouse")["create_fact_table"].format(columns=columns, **names))
    guard_table(connection, table.name, table.date_column)


def guard_table(connection: psycopg.Connection, name: str, date_column: str) -> None:
    """Index a new table of schema facts by entity and day, and let each role do there what it may."""
    queries = load_queries("warehouse")
    names = {"table": sql.Identifier(name), "date_column": sql.Identifier(date_column)}
    for step in ("index_fact_table", "grant_fact_table", "guard_fact_table"):
        connection.execute(queries[step].format(**names))


def _add_columns(connection: psycopg.Connection, table: FactTable, existing: dict[str, str]) -> list[str]:
    added: list[str] = []
    for column, kind in table.column_types().items():
        if column not in existing:
            query = load_queries("warehouse")["add_fact_column"]
            definition = _define_column(table, column, kind)
            connection.execute(query.format(table=sql.Identifier(table.name), definition=definition))
            added.append(f"{table.name}.{column}")
        elif existing[column] != kind:
            raise ConfigError(
                f"facts.{table.name}.{column} is {existing[column]} in the warehouse but described as "
                f"{kind}; change its type in a migration first."
            )
    return added


def _define_column(table: FactTable, column: str, kind: str) -> sql.Composed:
    name = "define_dimension" if column in table.dimensions else "define_metric"
    # The pattern of __post_init__ leaves nothing in a type that is not a type.
    written = sql.SQL(kind)
    return load_queries("warehouse")[name].format(column=sql.Identifier(column), kind=written)
