-- The rooms, the roles and the tables that GA4 syncing rests on.

CREATE SCHEMA config;
CREATE SCHEMA landing;
CREATE SCHEMA facts;
CREATE SCHEMA marts;
CREATE SCHEMA quality;
CREATE SCHEMA IF NOT EXISTS ops;

DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY[
        'steadfast_pipeline', 'steadfast_receiver', 'steadfast_dashboard', 'steadfast_backend', 'steadfast_backup'
    ] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                -- Roles belong to the whole server: another database's migration was faster.
                NULL;
            END;
        END IF;
    END LOOP;
END
$$;

GRANT USAGE ON SCHEMA config, landing, facts, marts, quality, ops TO steadfast_pipeline, steadfast_backup;
GRANT USAGE ON SCHEMA config, facts, marts, ops TO steadfast_dashboard;

-- ---------------------------------------------------------------- config

CREATE TABLE config.business_entity (
    entity_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    slug text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    name text NOT NULL CHECK (name <> ''),
    country text CHECK (country ~ '^[A-Z]{2}$'),
    is_enabled boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);

CREATE TABLE config.ga4_property (
    property_id bigint PRIMARY KEY CHECK (property_id > 0),
    entity_id integer NOT NULL REFERENCES config.business_entity,
    display_name text NOT NULL,
    connection_id text NOT NULL,
    time_zone text NOT NULL,
    currency text NOT NULL,
    is_enabled boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
CREATE INDEX ON config.ga4_property (entity_id);

COMMENT ON COLUMN config.ga4_property.connection_id IS 'the Airflow Connection that holds the credentials';

CREATE TABLE config.sync_setting (
    entity_id integer PRIMARY KEY REFERENCES config.business_entity,
    is_enabled boolean NOT NULL DEFAULT true,
    reports text[],
    window_days integer NOT NULL DEFAULT 4 CHECK (window_days BETWEEN 1 AND 90),
    token_budget integer NOT NULL DEFAULT 5600 CHECK (token_budget BETWEEN 0 AND 2000000),
    backfill_start_on date NOT NULL CHECK (backfill_start_on >= '2015-08-14'),
    updated_at timestamptz NOT NULL
);
COMMENT ON COLUMN config.sync_setting.reports IS 'null means the default reports';
COMMENT ON COLUMN config.sync_setting.token_budget IS 'GA4 tokens a property may spend on backfill in one run';

CREATE TABLE config.entity_login (
    role_name name PRIMARY KEY,
    entity_id integer NOT NULL REFERENCES config.business_entity,
    created_at timestamptz NOT NULL
);

-- Which entities a role may see. An entity's own login sees that entity whatever it sets; a trusted
-- backend sees the one it names, and nothing until it does. Only the session's own roles may be asked about:
-- the argument is there because current_user is the owner inside a SECURITY DEFINER function.
CREATE FUNCTION config.visible_entities(role_name name) RETURNS SETOF integer
LANGUAGE sql STABLE SECURITY DEFINER PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT login.entity_id
    FROM config.entity_login AS login
    WHERE login.role_name = visible_entities.role_name
        AND pg_has_role(session_user, visible_entities.role_name, 'MEMBER')
    UNION ALL
    SELECT nullif(current_setting('steadfast.entity_id', true), '')::integer
    WHERE pg_has_role(visible_entities.role_name, 'steadfast_backend', 'USAGE')
        AND pg_has_role(session_user, visible_entities.role_name, 'MEMBER')
        AND NOT EXISTS (
            SELECT FROM config.entity_login AS login WHERE login.role_name = visible_entities.role_name
        )
$$;

-- ---------------------------------------------------------------- landing

CREATE TABLE landing.ga4_page (
    page_id bigint GENERATED ALWAYS AS IDENTITY,
    item_id bigint NOT NULL,
    entity_id integer NOT NULL,
    property_id bigint NOT NULL,
    report text NOT NULL,
    start_on date NOT NULL,
    end_on date NOT NULL,
    page_offset integer NOT NULL,
    page_rows integer NOT NULL,
    row_count integer NOT NULL,
    fetched_at timestamptz NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (item_id, page_offset, fetched_at)
) PARTITION BY RANGE (fetched_at);
ALTER TABLE landing.ga4_page ALTER COLUMN body SET STORAGE EXTERNAL;
COMMENT ON COLUMN landing.ga4_page.body IS 'RunReportResponse as received, compressed with zstd';

-- ---------------------------------------------------------------- ops

CREATE TABLE ops.sync_run (
    run_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dag_id text NOT NULL,
    airflow_run_id text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('scheduled', 'backfill', 'manual')),
    partition_on date,
    started_at timestamptz NOT NULL,
    finished_at timestamptz,
    UNIQUE (dag_id, airflow_run_id)
);

CREATE TABLE ops.sync_item (
    item_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id bigint NOT NULL REFERENCES ops.sync_run ON DELETE CASCADE,
    shard integer NOT NULL,
    entity_id integer NOT NULL,
    property_id bigint NOT NULL,
    report text NOT NULL,
    start_on date NOT NULL,
    end_on date NOT NULL,
    is_backfill boolean NOT NULL,
    state text NOT NULL DEFAULT 'planned'
        CHECK (state IN ('planned', 'landed', 'published', 'held', 'parked', 'failed')),
    attempt integer NOT NULL DEFAULT 0,
    row_count bigint NOT NULL DEFAULT 0,
    token_count integer NOT NULL DEFAULT 0,
    error_class text,
    error text,
    not_before timestamptz,
    fetched_at timestamptz,
    updated_at timestamptz NOT NULL,
    UNIQUE (run_id, property_id, report, start_on, end_on)
);
CREATE INDEX ON ops.sync_item (run_id, shard) WHERE state <> 'published';
CREATE INDEX ON ops.sync_item (property_id, updated_at);

CREATE TABLE ops.partition_ledger (
    property_id bigint NOT NULL,
    report text NOT NULL,
    report_date date NOT NULL,
    entity_id integer NOT NULL,
    row_count bigint,
    content_hash bytea,
    control_delta double precision,
    flags text[] NOT NULL DEFAULT '{}',
    is_provisional boolean NOT NULL DEFAULT true,
    time_zone text,
    currency text,
    run_id bigint NOT NULL,
    fetched_at timestamptz NOT NULL,
    published_at timestamptz,
    held_at timestamptz,
    held_reason text,
    PRIMARY KEY (property_id, report, report_date)
);
CREATE INDEX ON ops.partition_ledger (entity_id, report, report_date);
COMMENT ON TABLE ops.partition_ledger IS
    'one row a partition: what is published, since when, and why a newer fetch was held back';

CREATE TABLE ops.report_block (
    property_id bigint NOT NULL,
    report text NOT NULL,
    reason text NOT NULL,
    blocked_at timestamptz NOT NULL,
    PRIMARY KEY (property_id, report)
);
COMMENT ON TABLE ops.report_block IS 'reports that GA4 refuses for a property until somebody changes something';

CREATE TABLE ops.ga4_quota (
    property_id bigint PRIMARY KEY,
    observed_at timestamptz NOT NULL,
    day_remaining integer,
    hour_remaining integer,
    project_hour_remaining integer,
    parked_until timestamptz,
    parked_reason text
);

CREATE TABLE ops.breaker (
    name text PRIMARY KEY,
    state text NOT NULL CHECK (state IN ('closed', 'open', 'half_open')),
    failure_count integer NOT NULL DEFAULT 0,
    first_failure_at timestamptz,
    open_until timestamptz,
    reason text,
    updated_at timestamptz NOT NULL
);

CREATE TABLE ops.audit_event (
    event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    happened_at timestamptz NOT NULL,
    actor text NOT NULL,
    action text NOT NULL,
    object_kind text NOT NULL,
    object_id text NOT NULL,
    entity_id integer,
    before jsonb,
    after jsonb
);
CREATE INDEX ON ops.audit_event (object_kind, object_id, happened_at);

CREATE TABLE ops.signal (
    signal_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dedup_key text NOT NULL UNIQUE,
    kind text NOT NULL,
    severity text NOT NULL CHECK (severity IN ('info', 'warning', 'critical')),
    entity_id integer,
    subject text NOT NULL,
    body text NOT NULL,
    link text,
    created_at timestamptz NOT NULL,
    mailed_at timestamptz
);

CREATE TABLE IF NOT EXISTS ops.mart_definition (
    name text PRIMARY KEY,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- ---------------------------------------------------------------- quality

CREATE TABLE quality.check_result (
    result_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id bigint NOT NULL,
    entity_id integer NOT NULL,
    property_id bigint,
    table_name text NOT NULL,
    report_date date,
    check_name text NOT NULL,
    severity text NOT NULL CHECK (severity IN ('warning', 'critical')),
    failed_count bigint NOT NULL,
    detail text NOT NULL,
    checked_at timestamptz NOT NULL
);
CREATE INDEX ON quality.check_result (entity_id, checked_at);
COMMENT ON TABLE quality.check_result IS 'one row a broken rule and partition';

CREATE TABLE quality.quarantine (
    quarantine_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id bigint NOT NULL,
    entity_id integer NOT NULL,
    property_id bigint,
    table_name text NOT NULL,
    report_date text NOT NULL,
    row_number bigint NOT NULL,
    content jsonb NOT NULL,
    rules text[] NOT NULL,
    created_at timestamptz NOT NULL,
    UNIQUE (run_id, property_id, table_name, report_date, row_number)
);

-- ---------------------------------------------------------------- grants

GRANT SELECT ON ALL TABLES IN SCHEMA config, landing, quality, ops TO steadfast_backup;
GRANT SELECT ON ALL TABLES IN SCHEMA config TO steadfast_pipeline;
GRANT UPDATE (time_zone, currency, updated_at) ON config.ga4_property TO steadfast_pipeline;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA landing, quality, ops TO steadfast_pipeline;
REVOKE UPDATE, DELETE ON ops.audit_event FROM steadfast_pipeline;
REVOKE INSERT, UPDATE, DELETE ON ops.mart_definition FROM steadfast_pipeline;
ALTER DEFAULT PRIVILEGES IN SCHEMA facts GRANT SELECT ON TABLES TO steadfast_backup;
-- COPY does not go through a table with row-level security, so the pipeline loads a month's own table.
ALTER DEFAULT PRIVILEGES IN SCHEMA facts GRANT INSERT ON TABLES TO steadfast_pipeline;

GRANT SELECT (entity_id, slug, name, country) ON config.business_entity TO steadfast_dashboard;
GRANT SELECT (property_id, entity_id, display_name, time_zone, currency, is_enabled)
    ON config.ga4_property TO steadfast_dashboard;
GRANT SELECT ON ops.partition_ledger TO steadfast_dashboard;
REVOKE EXECUTE ON FUNCTION config.visible_entities FROM PUBLIC;
GRANT EXECUTE ON FUNCTION config.visible_entities TO steadfast_dashboard, steadfast_pipeline, steadfast_backup;
GRANT steadfast_dashboard TO steadfast_backend;

-- Where PUBLIC may not take advisory locks, the pipeline still has to.
DO $$
DECLARE
    lock_function regprocedure;
BEGIN
    FOR lock_function IN
        SELECT oid::regprocedure
        FROM pg_proc
        WHERE pronamespace = 'pg_catalog'::regnamespace AND proname LIKE 'pg\_%advisory%'
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO steadfast_pipeline', lock_function);
    END LOOP;
END
$$;

-- The views of marts run with the reader's rights, so these policies hold behind every one of them.
DO $$
DECLARE
    guarded regclass;
BEGIN
    FOREACH guarded IN ARRAY ARRAY[
        'config.business_entity', 'config.ga4_property', 'ops.partition_ledger'
    ]::regclass[] LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', guarded);
        EXECUTE format(
            'CREATE POLICY own_entity ON %s FOR SELECT TO steadfast_dashboard '
            'USING (entity_id = ANY (ARRAY(SELECT config.visible_entities(current_user))))', guarded);
        EXECUTE format(
            'CREATE POLICY every_entity ON %s TO steadfast_pipeline, steadfast_backup '
            'USING (true) WITH CHECK (true)', guarded);
    END LOOP;
END
$$;
