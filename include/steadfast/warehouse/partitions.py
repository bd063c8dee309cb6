"""Partitions made before rows need them: months of facts, days of landing.

The writing role owns no table: it calls functions of the warehouse that add one partition and nothing else.
"""

from collections.abc import Iterator
from datetime import date, timedelta

import psycopg

from steadfast.errors import ConfigError
from steadfast.warehouse.queries import load_queries

MONTHS_BEHIND = 1
MONTHS_AHEAD = 3
DAYS_BEHIND = 1
DAYS_AHEAD = 14


def ensure_month_partitions(connection: psycopg.Connection, table: str, first: date, last: date) -> list[str]:
    """Make the missing months of facts.`table` from `first` to `last`; return the partitions made.

    Commit before publishing: until then, others that need the same month wait.
    """
    months = {f"{table}_{month:%Y_%m}": month for month in _list_months(first, last)}
    return _ensure_partitions(connection, "facts", table, months)


def ensure_day_partitions(connection: psycopg.Connection, table: str, first: date, last: date) -> list[str]:
    """Make the missing UTC days of landing.`table` from `first` to `last`; return the partitions made."""
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    return _ensure_partitions(connection, "landing", table, {f"{table}_{day:%Y_%m_%d}": day for day in days})


def ensure_upcoming_partitions(connection: psycopg.Connection, today: date) -> list[str]:
    """Make the partitions around `today` of every partitioned table of facts and landing."""
    first_month, last_month = _shift_month(today, -MONTHS_BEHIND), _shift_month(today, MONTHS_AHEAD)
    first_day, last_day = today - timedelta(days=DAYS_BEHIND), today + timedelta(days=DAYS_AHEAD)
    made: list[str] = []
    for schema, table in connection.execute(load_queries("warehouse")["list_partitioned_tables"]).fetchall():
        if schema == "facts":
            made += ensure_month_partitions(connection, table, first_month, last_month)
        else:
            made += ensure_day_partitions(connection, table, first_day, last_day)
    return made


def _ensure_partitions(
    connection: psycopg.Connection, schema: str, table: str, wanted: dict[str, date]
) -> list[str]:
    queries = load_queries("warehouse")
    names = {"schema": schema, "table": table}
    existing = {name for (name,) in connection.execute(queries["list_partitions"], names)}
    made: list[str] = []
    for name in wanted.keys() - existing:
        try:
            row = connection.execute(
                queries[f"ensure_{schema}_partition"], {**names, "day": wanted[name]}
            ).fetchone()
        except psycopg.errors.UndefinedTable as error:
            raise ConfigError(
                f"{schema}.{table} is not a partitioned table; has `steadfast migrate` run?"
            ) from error
        if row is not None and row[0]:
            made.append(name)
    return sorted(made)


def _list_months(first: date, last: date) -> Iterator[date]:
    month = first.replace(day=1)
    while month <= last:
        yield month
        month = _shift_month(month, 1)


def _shift_month(day: date, count: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + count, 12)
    return date(year, month + 1, 1)
