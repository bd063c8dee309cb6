"""The warehouse: connections, migrations, fact tables, named queries, an embedded PostgreSQL."""
