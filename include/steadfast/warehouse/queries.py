"""Named SQL: each package has sql/queries/<package>.sql, made of blocks like

    -- name: claim_items
    -- Take the oldest items that wait.
    SELECT ...

To add a query, add a block. Values are bound (a literal % is %%), identifiers are composed with
`.format(table=sql.Identifier(...))` (in such a block a literal brace is doubled).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from psycopg import sql

from steadfast.errors import ConfigError
from steadfast.warehouse.locations import sql_directory

_HEADING = re.compile(r"^-- name:[ \t]*(\w+)[ \t]*\n", re.MULTILINE)


@dataclass(frozen=True)
class Queries(Mapping[str, sql.SQL]):
    """The named blocks of one file."""

    package: str
    blocks: Mapping[str, sql.SQL]

    def __getitem__(self, name: str) -> sql.SQL:
        if name not in self.blocks:
            raise ConfigError(
                f"No query {name!r} in {self.package}.sql; it has {', '.join(sorted(self.blocks))}."
            )
        return self.blocks[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.blocks)

    def __len__(self) -> int:
        return len(self.blocks)


@cache
def load_queries(package: str) -> Queries:
    """Read sql/queries/<package>.sql once; ConfigError names a file or block that is wrong."""
    path = sql_directory() / "queries" / f"{package}.sql"
    try:
        return parse_queries(package, path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"No queries for {package!r}: {path} does not exist.") from error


def parse_queries(package: str, text: str) -> Queries:
    """Split `text` into its named blocks."""
    _, *parts = _HEADING.split(text)
    blocks: dict[str, sql.SQL] = {}
    for name, block in zip(parts[::2], parts[1::2], strict=True):
        if name in blocks:
            raise ConfigError(f"{package}.sql has two queries named {name!r}; names are unique.")
        purpose, _, statement = block.partition("\n")
        if not re.match(r"-- \S", purpose):
            raise ConfigError(f"The query {name!r} of {package}.sql lacks the line that says what it is for.")
        if not statement.strip():
            raise ConfigError(f"The query {name!r} of {package}.sql is empty.")
        # The files are part of the program: as trusted as a literal in it.
        blocks[name] = sql.SQL(statement.strip().removesuffix(";"))
    return Queries(package, blocks)


def list_packages() -> list[str]:
    """The packages that have queries."""
    return sorted(path.stem for path in Path(sql_directory() / "queries").glob("*.sql"))
