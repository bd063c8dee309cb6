"""Who we keep data for, where it comes from and how it is synced; every change leaves an audit event.

One module an object. To add a field: a migration, a field in `records`, the column in
sql/queries/entities.sql, and a rule in `input_checks` if not every value is good.
"""
