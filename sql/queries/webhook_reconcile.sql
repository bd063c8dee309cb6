-- name: list_n8n_sources
-- Every source that may send and says which node of which n8n posts its events.
SELECT
    source.source_id,
    source.entity_id,
    entity.slug AS entity,
    source.slug,
    source.auth,
    source.tolerance_seconds,
    source.max_bytes,
    source.rate_per_second,
    source.burst,
    source.conflict_policy,
    source.is_strict,
    source.n8n_connection_id,
    source.n8n_workflow_id,
    source.n8n_node
FROM config.webhook_source AS source
JOIN config.business_entity AS entity USING (entity_id)
WHERE source.is_enabled
    AND entity.is_enabled
    AND source.n8n_connection_id IS NOT NULL
ORDER BY
    source.n8n_connection_id,
    source.source_id;

-- name: has_events_lately
-- Whether any event of these sources was posted since then.
SELECT EXISTS (
    SELECT
    FROM landing.webhook_inbox
    WHERE entity_id = ANY (%(entity_ids)s::integer[])
        AND source_id = ANY (%(source_ids)s::integer[])
        AND received_at >= %(since)s
        AND origin = 'http'
);

-- name: read_n8n_cursor
-- How far an n8n was read back, and what above that is done.
SELECT
    scanned_to,
    handled
FROM ops.n8n_cursor
WHERE connection_id = %(connection_id)s;

-- name: write_n8n_cursor
-- Remember how far an n8n was read back and what was found.
INSERT INTO ops.n8n_cursor (
    connection_id, scanned_to, handled, scanned_at, read_at, recovered_count, unreadable_count, error
)
VALUES (
    %(connection_id)s,
    %(scanned_to)s,
    %(handled)s,
    %(now)s,
    CASE WHEN %(error)s::text IS NULL THEN %(now)s::timestamptz END,
    %(recovered_count)s,
    %(unreadable_count)s,
    %(error)s
)
ON CONFLICT (connection_id) DO UPDATE SET
    scanned_to = excluded.scanned_to,
    handled = excluded.handled,
    scanned_at = excluded.scanned_at,
    read_at = coalesce(excluded.read_at, ops.n8n_cursor.read_at),
    recovered_count = excluded.recovered_count,
    unreadable_count = excluded.unreadable_count,
    error = excluded.error;

-- name: find_last_read
-- When an n8n was last read without an error; with an empty name, when any was.
SELECT max(read_at)
FROM ops.n8n_cursor
WHERE connection_id = %(connection_id)s OR %(connection_id)s = '';

-- name: read_n8n_unreadable
-- The executions of an n8n that could not be read.
SELECT
    execution_id,
    look_count,
    since,
    reason,
    is_given_up
FROM ops.n8n_unreadable
WHERE connection_id = %(connection_id)s;

-- name: forget_n8n_unreadable
-- Those that were read after all, or that n8n has pruned.
DELETE FROM ops.n8n_unreadable
WHERE connection_id = %(connection_id)s
    AND NOT execution_id = ANY (%(ids)s::bigint[]);

-- name: write_n8n_unreadable
-- Remember which executions could not be read, how often and why.
INSERT INTO ops.n8n_unreadable (
    connection_id, execution_id, look_count, since, reason, is_given_up
)
SELECT
    %(connection_id)s,
    execution_id,
    look_count,
    since,
    reason,
    is_given_up
FROM unnest(
    %(ids)s::bigint[],
    %(looks)s::integer[],
    %(since)s::timestamptz[],
    %(reasons)s::text[],
    %(given_up)s::boolean[]
) AS found (execution_id, look_count, since, reason, is_given_up)
ON CONFLICT (connection_id, execution_id) DO UPDATE SET
    look_count = excluded.look_count,
    since = excluded.since,
    reason = excluded.reason,
    is_given_up = excluded.is_given_up;
