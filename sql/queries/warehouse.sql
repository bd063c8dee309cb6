-- name: create_version_schema
-- The room of alembic_version must be there before the first revision.
CREATE SCHEMA IF NOT EXISTS ops;

-- name: wait_long_for_locks
-- Another migration may take minutes.
SET lock_timeout = '10min';

-- name: take_migration_lock
-- One migration at a time per warehouse; freed with the connection.
SELECT pg_advisory_lock(hashtextextended('steadfast migrate', 0));

-- name: wait_as_usual_for_locks
-- A table that is in use must not stop the migration for long.
SET lock_timeout = '60s';

-- name: list_fact_columns
-- Every column of the tables of facts, with its type; partitions have those of their table.
SELECT
    class.relname,
    attribute.attname,
    format_type(attribute.atttypid, attribute.atttypmod)
FROM pg_class AS class
JOIN pg_attribute AS attribute ON attribute.attrelid = class.oid
WHERE class.relnamespace = 'facts'::regnamespace
    AND class.relkind IN ('p', 'r')
    AND NOT class.relispartition
    AND attribute.attnum > 0
    AND NOT attribute.attisdropped;

-- name: create_fact_table
-- One row per source, date and combination of dimensions.
CREATE TABLE facts.{table} (
    entity_id integer NOT NULL,
    property_id bigint NOT NULL,
    {date_column} date NOT NULL,
    dim_key uuid NOT NULL,
    {columns},
    run_id bigint NOT NULL,
    is_provisional boolean NOT NULL,
    PRIMARY KEY (property_id, {date_column}, dim_key)
) PARTITION BY RANGE ({date_column});

-- name: define_dimension
-- A column that identifies a row.
{column} text NOT NULL DEFAULT ''

-- name: define_metric
-- A column that counts.
{column} {kind} NOT NULL DEFAULT 0

-- name: add_fact_column
-- Rows that are there already get the default, without being rewritten.
ALTER TABLE facts.{table} ADD COLUMN {definition};

-- name: index_fact_table
-- Marts read by entity.
CREATE INDEX ON facts.{table} (entity_id, {date_column});

-- name: grant_fact_table
-- Readers read behind the policies below, the pipeline replaces partitions.
GRANT SELECT ON facts.{table} TO steadfast_dashboard, steadfast_backup;
GRANT SELECT, INSERT, UPDATE, DELETE ON facts.{table} TO steadfast_pipeline;

-- name: guard_fact_table
-- Readers see their entity, the machinery sees all.
ALTER TABLE facts.{table} ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_entity ON facts.{table} FOR SELECT TO steadfast_dashboard
    USING (entity_id = ANY (ARRAY(SELECT config.visible_entities(current_user))));
CREATE POLICY every_entity ON facts.{table} TO steadfast_pipeline, steadfast_backup
    USING (true) WITH CHECK (true);

-- name: create_event_table
-- One row per source and natural key. Not partitioned: a key must be unique however far its days lie apart.
CREATE TABLE facts.{table} (
    entity_id integer NOT NULL,
    source_id integer NOT NULL,
    event_on date NOT NULL,
    event_at timestamptz NOT NULL,
    {columns},
    inbox_id bigint NOT NULL,
    root_id bigint NOT NULL,
    received_at timestamptz NOT NULL,
    run_id bigint NOT NULL,
    PRIMARY KEY (source_id, {key})
) WITH (fillfactor = 90);

-- name: define_required_column
-- A column that every event fills.
{column} {kind} NOT NULL

-- name: define_optional_column
-- A column that an event may leave empty.
{column} {kind}

-- name: list_partitioned_tables
-- The tables that need partitions ahead of time.
SELECT
    namespace.nspname,
    class.relname
FROM pg_partitioned_table AS partitioned
JOIN pg_class AS class ON class.oid = partitioned.partrelid
JOIN pg_namespace AS namespace ON namespace.oid = class.relnamespace
WHERE namespace.nspname IN ('facts', 'landing')
    AND partitioned.partstrat = 'r'
ORDER BY 1, 2;

-- name: list_partitions
-- The partitions that a table has.
SELECT child.relname
FROM pg_inherits AS inherits
JOIN pg_class AS child ON child.oid = inherits.inhrelid
JOIN pg_class AS parent ON parent.oid = inherits.inhparent
JOIN pg_namespace AS namespace ON namespace.oid = parent.relnamespace
WHERE namespace.nspname = %(schema)s
    AND parent.relname = %(table)s;

-- name: ensure_facts_partition
-- Make the month of a day, unless it is there.
SELECT facts.ensure_month(%(table)s, %(day)s);

-- name: ensure_landing_partition
-- Make a day, unless it is there.
SELECT landing.ensure_day(%(table)s, %(day)s);

-- name: list_mart_checksums
-- What the files of the applied marts looked like.
SELECT
    name,
    checksum
FROM ops.mart_definition;

-- name: list_marts
-- The youngest first: a mart can only read older ones.
SELECT
    relname,
    CASE relkind WHEN 'm' THEN 'materialized_mart' ELSE 'mart' END
FROM pg_class
WHERE relnamespace = 'marts'::regnamespace
    AND relkind IN ('v', 'm')
ORDER BY oid DESC;

-- name: drop_mart
-- Make room for the new definition.
DROP VIEW {mart};

-- name: drop_materialized_mart
-- Make room for the new definition.
DROP MATERIALIZED VIEW {mart};

-- name: forget_marts
-- All of them are recorded anew.
DELETE FROM ops.mart_definition;

-- name: record_mart
-- Remember the file that was applied.
INSERT INTO ops.mart_definition (name, checksum, applied_at)
VALUES (%(name)s, %(checksum)s, now());

-- name: list_unguarded_marts
-- Views that read with the rights of their owner, for whom row-level security does not hold.
SELECT class.relname
FROM pg_class AS class
WHERE class.relnamespace = 'marts'::regnamespace
    AND class.relkind = 'v'
    AND NOT EXISTS (
        SELECT FROM pg_options_to_table(class.reloptions)
        WHERE CASE option_name WHEN 'security_invoker' THEN option_value::boolean END
    )
ORDER BY class.relname;

-- name: grant_mart
-- Who reads a mart; row-level security behind it decides what they see.
GRANT SELECT ON {mart} TO steadfast_dashboard, steadfast_pipeline, steadfast_backup;

-- name: grant_materialized_mart
-- No row-level security reaches what is materialised, so it is not for readers.
GRANT SELECT ON {mart} TO steadfast_pipeline, steadfast_backup;

-- name: list_excess_rights
-- What our roles may on this server beyond what we count on: roles outlive us and may be older than we are.
SELECT
    role.rolname,
    excess.what
FROM pg_roles AS role
CROSS JOIN LATERAL (
    VALUES
        ('SUPERUSER', role.rolsuper),
        ('CREATEROLE', role.rolcreaterole),
        ('CREATEDB', role.rolcreatedb),
        ('REPLICATION', role.rolreplication),
        ('BYPASSRLS', role.rolbypassrls AND role.rolname <> 'steadfast_backup')
) AS excess (what, is_given)
WHERE excess.is_given
    AND role.rolname IN (
        'steadfast_pipeline',
        'steadfast_receiver',
        'steadfast_dashboard',
        'steadfast_backend',
        'steadfast_backup'
    )
UNION ALL
SELECT
    member.rolname,
    'the rights of ' || granted.rolname
FROM pg_auth_members AS membership
JOIN pg_roles AS member ON member.oid = membership.member
JOIN pg_roles AS granted ON granted.oid = membership.roleid
WHERE member.rolname IN ('steadfast_receiver', 'steadfast_dashboard', 'steadfast_backend')
    AND granted.rolname <> 'steadfast_dashboard'
ORDER BY 1, 2;

-- name: may_only_roles_connect
-- Tell whether every role, and nobody else, may reach this database.
SELECT
    bool_and(has_database_privilege(rolname, current_database(), 'CONNECT'))
    AND NOT has_database_privilege('public', current_database(), 'CONNECT, TEMPORARY')
FROM pg_roles
WHERE rolname IN ('steadfast_pipeline', 'steadfast_receiver', 'steadfast_dashboard', 'steadfast_backup');

-- name: let_roles_connect
-- Close the database to everybody else: a reader needs no temporary functions.
REVOKE ALL ON DATABASE {database} FROM PUBLIC;
GRANT CONNECT ON DATABASE {database} TO steadfast_receiver, steadfast_dashboard, steadfast_backup;
GRANT CONNECT, TEMPORARY ON DATABASE {database} TO steadfast_pipeline;

-- name: set_role_password
-- Let one of our roles log in with the password it was given.
ALTER ROLE {role} LOGIN PASSWORD {verifier};
