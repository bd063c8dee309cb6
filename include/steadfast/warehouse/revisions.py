"""Schema revisions: Alembic orders and records them, each executes the .sql file beside it, only forward."""

from dataclasses import dataclass

import alembic.command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.util import CommandError
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from steadfast.errors import ConfigError
from steadfast.warehouse.connect import connect
from steadfast.warehouse.locations import sql_directory

VERSION_SCHEMA = "ops"


@dataclass(frozen=True)
class Upgrade:
    """The revision found, and the one reached."""

    before: str | None
    after: str | None


def upgrade_schema(owner_url: str) -> Upgrade:
    """Apply the missing revisions, each in a transaction of its own; schema ops must exist."""
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: connect(owner_url, application="steadfast migrate"),
        poolclass=NullPool,
    )
    with engine.connect() as connection:
        before = _read_revision(connection)
        try:
            alembic.command.upgrade(_configure(connection), "head")
        except DBAPIError as error:
            # SQLAlchemy's wrapper hides the kind of error that callers know.
            raise (error.orig or error) from None
        except CommandError as error:
            raise ConfigError(
                f"The warehouse is at revision {before}, which sql/migrations cannot start from: {error}. "
                "Was it migrated by a newer version?"
            ) from error
        return Upgrade(before, _read_revision(connection))


def _configure(connection: Connection) -> Config:
    config = Config()
    location = str(sql_directory() / "migrations")
    config.set_main_option("script_location", location.replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _read_revision(connection: Connection) -> str | None:
    context = MigrationContext.configure(connection, opts={"version_table_schema": VERSION_SCHEMA})
    revision = context.get_current_revision()
    connection.rollback()
    return revision
