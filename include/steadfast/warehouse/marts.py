"""Marts: one view a file of sql/marts/, all made anew whenever one of the files changes.

To add one, write sql/marts/<name>.sql with `CREATE VIEW marts.<name> WITH (security_invoker = true)`; a
first line `-- needs: other, another` puts it after the marts it reads. A materialised one is not for readers.
What stands between `-- for each event table` and `-- end` is repeated for each, joined by UNION ALL.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import psycopg
from psycopg import sql

from steadfast.errors import ConfigError
from steadfast.warehouse.event_tables import EventTable
from steadfast.warehouse.queries import load_queries

REPEATED = re.compile(
    r"^(?P<indent> *)-- for each event table\n(?P<part>.*?)^ *-- end\n", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Mart:
    """One file of sql/marts/, with its repeated parts written out."""

    name: str
    text: str

    @property
    def needs(self) -> tuple[str, ...]:
        """The marts that this one reads."""
        line = re.match(r"-- needs:(.*)", self.text)
        return tuple(re.findall(r"\w+", line[1])) if line else ()

    @property
    def checksum(self) -> str:
        """Changes when the file does."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def read_marts(directory: Path, events: Iterable[EventTable]) -> dict[str, Mart]:
    """The files of `directory` in the order in which they can be applied."""
    tables = tuple(events)
    texts = {path.stem: path.read_text("utf-8") for path in sorted(directory.glob("*.sql"))}
    marts = {name: Mart(name, repeat_parts(text, tables)) for name, text in texts.items()}
    return {name: marts[name] for name in order_marts(marts)}


def repeat_parts(text: str, tables: Iterable[EventTable]) -> str:
    """Write out what a mart says once of all event tables, as `{table}` and `{event_type}`."""

    def write_out(match: re.Match[str]) -> str:
        parts = [
            match["part"].replace("{table}", table.name).replace("{event_type}", table.event_type)
            for table in tables
        ]
        return f"{match['indent']}UNION ALL\n".join(parts)

    return REPEATED.sub(write_out, text)


def order_marts(marts: Mapping[str, Mart]) -> list[str]:
    """Names, each after those it needs; ConfigError if one is unknown or they need each other in a circle."""
    for mart in marts.values():
        for need in mart.needs:
            if need not in marts:
                raise ConfigError(
                    f"The mart {mart.name} needs {need!r}; known are {', '.join(sorted(marts))}."
                )
    needs = {name: sorted(mart.needs) for name, mart in marts.items()}
    try:
        return list(TopologicalSorter(needs).static_order())
    except CycleError as error:
        raise ConfigError(f"These marts need each other: {' -> '.join(error.args[1])}.") from error


def apply_marts(connection: psycopg.Connection, marts: Mapping[str, Mart]) -> list[str]:
    """Replace all marts in one transaction if any differs from what is applied; return those made."""
    queries = load_queries("warehouse")
    applied: dict[str, str] = dict(connection.execute(queries["list_mart_checksums"]).fetchall())
    if applied == {mart.name: mart.checksum for mart in marts.values()}:
        return []
    with connection.transaction():
        _drop_marts(connection)
        connection.execute(queries["forget_marts"])
        for mart in marts.values():
            _create_mart(connection, mart)
        _refuse_unguarded(connection)
        for name, kind in connection.execute(queries["list_marts"]).fetchall():
            connection.execute(queries[f"grant_{kind}"].format(mart=sql.Identifier("marts", name)))
    return list(marts)


def _refuse_unguarded(connection: psycopg.Connection) -> None:
    unguarded = connection.execute(load_queries("warehouse")["list_unguarded_marts"]).fetchall()
    if unguarded:
        raise ConfigError(
            f"{', '.join(f'marts.{name}' for (name,) in unguarded)} would show every entity to every reader; "
            "a mart must be a view WITH (security_invoker = true)."
        )


def _drop_marts(connection: psycopg.Connection) -> None:
    queries = load_queries("warehouse")
    for name, kind in connection.execute(queries["list_marts"]).fetchall():
        try:
            connection.execute(queries[f"drop_{kind}"].format(mart=sql.Identifier("marts", name)))
        except psycopg.errors.DependentObjectsStillExist as error:
            # Somebody built on it: theirs is not ours to drop.
            raise ConfigError(
                f"marts.{name} cannot be replaced while objects outside of marts are built on it: "
                f"{error.diag.message_detail} Drop them, migrate, and make them anew."
            ) from error


def _create_mart(connection: psycopg.Connection, mart: Mart) -> None:
    try:
        connection.execute(mart.text.encode())
    except psycopg.ProgrammingError as error:
        raise ConfigError(f"sql/marts/{mart.name}.sql cannot be applied: {error}") from error
    connection.execute(
        load_queries("warehouse")["record_mart"], {"name": mart.name, "checksum": mart.checksum}
    )
