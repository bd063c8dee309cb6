-- Webhook sources, the inbox that an acknowledged event lies in, and what processing it needs.

-- ---------------------------------------------------------------- config

CREATE TABLE config.webhook_source (
    source_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    entity_id integer NOT NULL REFERENCES config.business_entity,
    slug text NOT NULL CHECK (slug ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    name text NOT NULL CHECK (name <> ''),
    auth text NOT NULL CHECK (auth IN ('signature', 'token')),
    tolerance_seconds integer NOT NULL DEFAULT 300,
    max_bytes integer NOT NULL DEFAULT 262144 CHECK (max_bytes BETWEEN 1024 AND 8388608),
    rate_per_second integer NOT NULL DEFAULT 100 CHECK (rate_per_second BETWEEN 1 AND 10000),
    burst integer NOT NULL DEFAULT 2000,
    dedup_days integer NOT NULL DEFAULT 30 CHECK (dedup_days BETWEEN 1 AND 365),
    conflict_policy text NOT NULL DEFAULT 'reject'
        CHECK (conflict_policy IN ('reject', 'keep_first', 'new_version')),
    is_strict boolean NOT NULL DEFAULT false,
    time_zone text NOT NULL,
    n8n_connection_id text,
    n8n_workflow_id text,
    n8n_node text,
    is_enabled boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    UNIQUE (entity_id, slug),
    CHECK (tolerance_seconds BETWEEN 1 AND dedup_days * 86400),
    CHECK (burst >= 20 * rate_per_second),
    CHECK (NOT is_strict OR max_bytes <= 1048576),
    CHECK ((n8n_connection_id IS NULL) = (n8n_node IS NULL))
);
COMMENT ON COLUMN config.webhook_source.burst IS 'n8n gives up after 20 s: the bucket holds at least that much';
COMMENT ON COLUMN config.webhook_source.time_zone IS 'the zone in which a day of its events is meant';
COMMENT ON COLUMN config.webhook_source.n8n_node IS 'the HTTP Request node whose failed executions are read back';

CREATE TABLE config.webhook_key (
    key_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source_id integer NOT NULL REFERENCES config.webhook_source ON DELETE CASCADE,
    sealed_secret bytea,
    token_hash bytea,
    not_before timestamptz NOT NULL,
    not_after timestamptz,
    created_at timestamptz NOT NULL,
    CHECK ((sealed_secret IS NULL) <> (token_hash IS NULL)),
    CHECK (not_after > not_before)
);
CREATE INDEX ON config.webhook_key (source_id);
COMMENT ON COLUMN config.webhook_key.sealed_secret IS 'the HMAC secret, encrypted with Fernet; its key is not in the warehouse';
COMMENT ON COLUMN config.webhook_key.token_hash IS 'sha256 of a bearer token';

-- ---------------------------------------------------------------- landing

CREATE SEQUENCE landing.webhook_inbox_id;

-- Insert-only: what became of an event is derived from the watermark, its chunk and its dead letter.
CREATE TABLE landing.webhook_inbox (
    inbox_id bigint NOT NULL,
    entity_id integer NOT NULL,
    source_id integer NOT NULL,
    event_id text NOT NULL,
    event_type text,
    schema_version smallint NOT NULL,
    received_at timestamptz NOT NULL,
    body bytea NOT NULL,
    is_text_ok boolean NOT NULL,
    origin text NOT NULL CHECK (origin IN ('http', 'reconcile', 'replay')),
    replay_of bigint,
    root_id bigint,
    PRIMARY KEY (entity_id, inbox_id, received_at)
) PARTITION BY RANGE (received_at);
CREATE INDEX ON landing.webhook_inbox (replay_of) WHERE replay_of IS NOT NULL;
-- Planning asks for the newest ids: they lie together at the end, and a map of page ranges finds them.
CREATE INDEX ON landing.webhook_inbox USING brin (inbox_id) WITH (pages_per_range = 32, autosummarize = on);
DO $$
BEGIN
    ALTER TABLE landing.webhook_inbox ALTER COLUMN body SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
    -- A server built without lz4 compresses its own, slower way.
    NULL;
END
$$;
COMMENT ON COLUMN landing.webhook_inbox.body IS 'as received, byte for byte';
COMMENT ON COLUMN landing.webhook_inbox.root_id IS
    'of a replay: the event that it goes back to, whose place in time it keeps among events of one moment';
COMMENT ON COLUMN landing.webhook_inbox.is_text_ok IS 'false: it holds text that PostgreSQL cannot store';

CREATE TABLE landing.webhook_event_key (
    source_id integer NOT NULL,
    dedup_key uuid NOT NULL,
    body_hash uuid NOT NULL,
    inbox_id bigint NOT NULL,
    received_at timestamptz NOT NULL,
    PRIMARY KEY (source_id, dedup_key)
);
-- To find the ids whose window is over, of which each source has its own.
CREATE INDEX ON landing.webhook_event_key (source_id, received_at);
COMMENT ON TABLE landing.webhook_event_key IS
    'which ids a source has used in its dedup window; outlives the inbox partitions it does not lie in';

CREATE TABLE landing.webhook_conflict (
    conflict_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    entity_id integer NOT NULL,
    source_id integer NOT NULL,
    event_id text NOT NULL,
    first_inbox_id bigint NOT NULL,
    received_at timestamptz NOT NULL,
    policy text NOT NULL,
    body bytea NOT NULL
);
CREATE INDEX ON landing.webhook_conflict (source_id, received_at);
COMMENT ON TABLE landing.webhook_conflict IS 'evidence: an id that came again with other bytes';

CREATE TABLE landing.dead_letter (
    inbox_id bigint PRIMARY KEY,
    entity_id integer NOT NULL,
    source_id integer NOT NULL,
    event_id text NOT NULL,
    event_type text,
    received_at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'dead' CHECK (state IN ('dead', 'replayed', 'resolved', 'discarded')),
    reason text NOT NULL,
    detail text NOT NULL,
    sqlstate text,
    failed_at timestamptz NOT NULL,
    settled_at timestamptz,
    settled_by text,
    replayed_as bigint
);
CREATE INDEX ON landing.dead_letter (entity_id, failed_at) WHERE state = 'dead';
CREATE INDEX ON landing.dead_letter (replayed_as) WHERE state = 'replayed';
CREATE INDEX ON landing.dead_letter (failed_at);
COMMENT ON COLUMN landing.dead_letter.state IS
    'dead; replayed (its copy replayed_as is under way, or dead in its stead); resolved; discarded by a person';

-- ---------------------------------------------------------------- ops

CREATE TABLE ops.webhook_watermark (
    is_single boolean PRIMARY KEY DEFAULT true CHECK (is_single),
    planned_to bigint NOT NULL,
    planned_at timestamptz
);
INSERT INTO ops.webhook_watermark (planned_to) VALUES (0);
COMMENT ON TABLE ops.webhook_watermark IS 'every inbox row up to planned_to is in a chunk; one row, locked while planning';

CREATE TABLE ops.webhook_chunk (
    chunk_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id bigint NOT NULL,
    entity_ids integer[] NOT NULL,
    from_id bigint NOT NULL,
    to_id bigint NOT NULL,
    first_received_at timestamptz NOT NULL,
    last_received_at timestamptz NOT NULL,
    event_count bigint NOT NULL,
    state text NOT NULL DEFAULT 'planned' CHECK (state IN ('planned', 'done')),
    attempt integer NOT NULL DEFAULT 0,
    next_try_at timestamptz,
    error text,
    applied_count bigint,
    dead_count bigint,
    planned_at timestamptz NOT NULL,
    finished_at timestamptz,
    finished_by bigint,
    announced_by bigint
);
-- By one of its entities: a list of a thousand would not fit into an index.
CREATE UNIQUE INDEX ON ops.webhook_chunk (from_id, to_id, (entity_ids[1]));
CREATE INDEX ON ops.webhook_chunk (chunk_id) WHERE state = 'planned';
CREATE INDEX ON ops.webhook_chunk (finished_by);
-- What is news is little, however many chunks there are.
CREATE INDEX ON ops.webhook_chunk (chunk_id) WHERE applied_count > 0 AND announced_by IS NULL;
COMMENT ON TABLE ops.webhook_chunk IS
    'events of some entities with from_id < inbox_id <= to_id, applied in one transaction with their dead letters';
COMMENT ON COLUMN ops.webhook_chunk.run_id IS 'the run that planned it';
COMMENT ON COLUMN ops.webhook_chunk.finished_by IS
    'the run that applied it and counts it: clocks of workers differ, so the times do not say which';
COMMENT ON COLUMN ops.webhook_chunk.announced_by IS
    'the run whose asset event told downstream DAGs of it, set after Airflow took the event; null: the next run tells';

-- A run may finish and have left something undone: then it was no good one.
ALTER TABLE ops.sync_run ADD COLUMN succeeded_at timestamptz;
CREATE INDEX ON ops.sync_run (dag_id) WHERE finished_at IS NULL;
COMMENT ON COLUMN ops.sync_run.succeeded_at IS
    'when a run of webhook_ingest last ended with everything done; null for other DAGs';

CREATE TABLE ops.webhook_replay (
    request_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    requested_by text NOT NULL,
    requested_at timestamptz NOT NULL,
    airflow_run_id text UNIQUE,
    filter jsonb NOT NULL,
    patch jsonb,
    is_dry_run boolean NOT NULL,
    matched_count bigint NOT NULL,
    replayed_count bigint NOT NULL,
    refused_count bigint NOT NULL
);
COMMENT ON COLUMN ops.webhook_replay.airflow_run_id IS
    'the run of webhook_replay that asks, however often it is tried; null: a command';

CREATE TABLE ops.webhook_traffic (
    minute timestamptz NOT NULL,
    source_id integer,
    key_id integer,
    status smallint NOT NULL,
    request_count bigint NOT NULL,
    event_count bigint NOT NULL,
    byte_count bigint NOT NULL
);
CREATE INDEX ON ops.webhook_traffic (minute, source_id);
-- When a source was heard is asked source by source.
CREATE INDEX ON ops.webhook_traffic (source_id, minute) WHERE status IN (200, 202);
CREATE INDEX ON ops.webhook_traffic (key_id, minute);
COMMENT ON TABLE ops.webhook_traffic IS
    'what receivers answered, one row a minute, source, key, status and process; a null source is nobody we know';

CREATE TABLE ops.n8n_cursor (
    connection_id text PRIMARY KEY,
    scanned_to bigint NOT NULL,
    handled bigint[] NOT NULL DEFAULT '{}',
    scanned_at timestamptz NOT NULL,
    read_at timestamptz,
    recovered_count bigint NOT NULL,
    unreadable_count bigint NOT NULL,
    error text
);
COMMENT ON TABLE ops.n8n_cursor IS 'how far the failed executions of an n8n were read back, and what the last look found';
COMMENT ON COLUMN ops.n8n_cursor.read_at IS 'when a look last ended without an error; what fails since then is one problem';
COMMENT ON COLUMN ops.n8n_cursor.handled IS
    'failed executions above scanned_to that were read back already or given up';

CREATE TABLE ops.n8n_unreadable (
    connection_id text NOT NULL,
    execution_id bigint NOT NULL,
    look_count integer NOT NULL,
    since timestamptz NOT NULL,
    reason text NOT NULL,
    is_given_up boolean NOT NULL,
    PRIMARY KEY (connection_id, execution_id)
);
COMMENT ON TABLE ops.n8n_unreadable IS
    'failed executions that n8n lists and cannot show; what is given up is told once and never asked for again';

-- ---------------------------------------------------------------- storing

-- The only way in for a receiver, one call and one commit for many events; an answer for each, in their order.
-- Whose an event is follows from its source, and how it came from who calls: a receiver cannot say either.
-- The lock comes before any id is drawn: planning waits for it, so no id below the one that it reads can appear later.
-- Rows are inserted in the order of their keys, so that two calls with the same ids cannot block each other.
CREATE FUNCTION landing.store_events(
    source_ids integer[],
    event_ids text[],
    event_types text[],
    schema_versions smallint[],
    texts_ok boolean[],
    bodies bytea[],
    dedup_keys uuid[],
    body_hashes uuid[],
    received timestamptz,
    came_by text
) RETURNS TABLE (place bigint, inbox_id bigint, is_new boolean, body_hash uuid)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
-- A plan that was made while there were few keys is kept while they become millions.
SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    new_count bigint;
    known_count bigint;
    true_origin text := CASE WHEN session_user = 'steadfast_receiver' THEN 'http' ELSE came_by END;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(hashtextextended('steadfast webhook inbox', 0));

    RETURN QUERY
    WITH given AS MATERIALIZED (
        SELECT
            event.*,
            source.entity_id
        FROM unnest(
            source_ids,
            event_ids,
            event_types,
            schema_versions,
            texts_ok,
            bodies,
            dedup_keys,
            body_hashes
        ) WITH ORDINALITY AS event (
            source_id,
            event_id,
            event_type,
            schema_version,
            is_text_ok,
            body,
            dedup_key,
            body_hash,
            place
        )
        JOIN config.webhook_source AS source USING (source_id)
    ),

    fresh AS (
        INSERT INTO landing.webhook_event_key (source_id, dedup_key, body_hash, inbox_id, received_at)
        SELECT
            source_id,
            dedup_key,
            body_hash,
            nextval('landing.webhook_inbox_id'),
            received
        FROM given
        ORDER BY
            source_id,
            dedup_key
        ON CONFLICT DO NOTHING
        RETURNING
            source_id,
            dedup_key,
            inbox_id
    ),

    stored AS (
        INSERT INTO landing.webhook_inbox (
            inbox_id,
            entity_id,
            source_id,
            event_id,
            event_type,
            schema_version,
            received_at,
            body,
            is_text_ok,
            origin
        )
        SELECT
            fresh.inbox_id,
            given.entity_id,
            given.source_id,
            given.event_id,
            given.event_type,
            given.schema_version,
            received,
            given.body,
            given.is_text_ok,
            true_origin
        FROM fresh
        JOIN given USING (source_id, dedup_key)
    )

    SELECT
        given.place,
        fresh.inbox_id,
        true,
        given.body_hash
    FROM fresh
    JOIN given USING (source_id, dedup_key);

    GET DIAGNOSTICS new_count = ROW_COUNT;
    IF new_count < cardinality(source_ids) THEN
        -- A statement of its own also sees what others have committed since the first one began. It names
        -- the new ones once more, as known: whoever reads the answer keeps the first row of a place.
        RETURN QUERY
        SELECT
            given.place,
            known.inbox_id,
            false,
            known.body_hash
        FROM unnest(source_ids, dedup_keys) WITH ORDINALITY AS given (source_id, dedup_key, place)
        JOIN landing.webhook_event_key AS known USING (source_id, dedup_key);
        GET DIAGNOSTICS known_count = ROW_COUNT;
        IF known_count < cardinality(source_ids) THEN
            RAISE foreign_key_violation USING MESSAGE = 'an event names a source that does not exist';
        END IF;
    END IF;
END
$$;
COMMENT ON FUNCTION landing.store_events IS 'keep events that are new; an id that is known comes back with the hash of its body';
REVOKE EXECUTE ON FUNCTION landing.store_events FROM PUBLIC;
GRANT EXECUTE ON FUNCTION landing.store_events TO steadfast_receiver, steadfast_pipeline;

CREATE FUNCTION landing.ensure_inbox_day(day date) RETURNS boolean
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS 'SELECT landing.ensure_day(''webhook_inbox'', day)';
COMMENT ON FUNCTION landing.ensure_inbox_day IS
    'make the partition of one UTC day of the inbox, and of nothing else; false if it is there';
REVOKE EXECUTE ON FUNCTION landing.ensure_inbox_day FROM PUBLIC;

-- ---------------------------------------------------------------- input checks

-- Whether a text can be cast: in C where the server has it (16+), else by trying, which is slow but right.
DO $body$
BEGIN
    IF current_setting('server_version_num')::integer >= 160000 THEN
        CREATE FUNCTION landing.is_valid_input(value text, type_name text) RETURNS boolean
        LANGUAGE sql STABLE PARALLEL SAFE
        AS 'SELECT pg_input_is_valid(value, type_name)';
    ELSE
        CREATE FUNCTION landing.is_valid_input(value text, type_name text) RETURNS boolean
        LANGUAGE plpgsql STABLE
        AS $$
        BEGIN
            EXECUTE format('SELECT CAST($1 AS %s)', type_name::regtype) USING value;
            RETURN true;
        EXCEPTION WHEN data_exception OR program_limit_exceeded THEN
            RETURN false;
        END
        $$;
    END IF;
END
$body$;
REVOKE EXECUTE ON FUNCTION landing.is_valid_input FROM PUBLIC;
GRANT EXECUTE ON FUNCTION landing.is_valid_input TO steadfast_pipeline;

-- ---------------------------------------------------------------- rights

GRANT SELECT ON config.webhook_source TO steadfast_pipeline, steadfast_receiver;
GRANT SELECT (entity_id, is_enabled, slug) ON config.business_entity TO steadfast_receiver;
GRANT SELECT ON config.webhook_key TO steadfast_receiver;

GRANT USAGE ON SCHEMA config, landing, ops TO steadfast_receiver;
GRANT USAGE ON SEQUENCE landing.webhook_inbox_id TO steadfast_pipeline;
-- No table of landing can be read by it; events go in through landing.store_events.
GRANT INSERT ON landing.webhook_conflict, ops.webhook_traffic TO steadfast_receiver;
GRANT EXECUTE ON FUNCTION landing.ensure_inbox_day TO steadfast_receiver, steadfast_pipeline;

GRANT SELECT, INSERT ON landing.webhook_inbox, landing.webhook_conflict TO steadfast_pipeline;
GRANT SELECT, INSERT, DELETE ON landing.webhook_event_key TO steadfast_pipeline;
GRANT SELECT, INSERT, UPDATE ON landing.dead_letter TO steadfast_pipeline;
GRANT SELECT, UPDATE ON ops.webhook_watermark TO steadfast_pipeline;
GRANT SELECT, INSERT, UPDATE, DELETE ON ops.webhook_chunk, ops.n8n_cursor, ops.n8n_unreadable
    TO steadfast_pipeline;
GRANT SELECT, INSERT ON ops.webhook_replay TO steadfast_pipeline;
GRANT UPDATE (replayed_count, refused_count) ON ops.webhook_replay TO steadfast_pipeline;
GRANT SELECT, DELETE ON ops.webhook_traffic TO steadfast_pipeline;

-- What the marts need of a source; the secrets and limits stay out of readers' sight.
GRANT USAGE ON SCHEMA landing TO steadfast_dashboard;
GRANT SELECT (source_id, entity_id, slug, name, time_zone, is_enabled) ON config.webhook_source
    TO steadfast_dashboard;
GRANT SELECT (inbox_id, entity_id, source_id, event_type, received_at, state, reason, failed_at)
    ON landing.dead_letter TO steadfast_dashboard;

DO $$
DECLARE
    guarded regclass;
BEGIN
    FOREACH guarded IN ARRAY ARRAY[
        'config.webhook_source',
        'landing.webhook_inbox',
        'landing.webhook_conflict',
        'landing.dead_letter'
    ]::regclass[] LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', guarded);
        EXECUTE format(
            'CREATE POLICY own_entity ON %s FOR SELECT TO steadfast_dashboard '
            'USING (entity_id = ANY (ARRAY(SELECT config.visible_entities(current_user))))', guarded);
        EXECUTE format(
            'CREATE POLICY every_entity ON %s TO steadfast_pipeline, steadfast_receiver, steadfast_backup '
            'USING (true) WITH CHECK (true)', guarded);
    END LOOP;
END
$$;
-- The receiver reads which entities are switched on, of all of them.
CREATE POLICY receiver_reads ON config.business_entity FOR SELECT TO steadfast_receiver USING (true);
