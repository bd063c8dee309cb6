"""What Alembic runs: the connection and the direction come from `steadfast migrate`."""

from alembic import context

from steadfast.errors import ConfigError

connection = context.config.attributes.get("connection")
if connection is None:
    raise ConfigError("Migrations run through `steadfast migrate`, and only forward.")

context.configure(connection=connection, version_table_schema="ops", transaction_per_migration=True)
with context.begin_transaction():
    context.run_migrations()
