-- name: list_places
-- Every webhook source and whose it is.
SELECT
    source.source_id,
    source.slug,
    source.entity_id,
    entity.slug AS entity
FROM config.webhook_source AS source
JOIN config.business_entity AS entity USING (entity_id)
ORDER BY entity.slug, source.slug;

-- name: inbox_filter
-- What an event must be like, from the inbox; bounds of time choose the partitions.
inbox.received_at >= %(since)s::timestamptz
    AND inbox.received_at < %(until)s::timestamptz
    AND (inbox.source_id = ANY(%(source_ids)s) OR %(source_ids)s::integer[] IS NULL)
    AND (inbox.event_type = %(event_type)s OR %(event_type)s::text IS NULL)
    AND (inbox.event_id = %(event_id)s OR %(event_id)s::text IS NULL)
    AND (inbox.inbox_id = %(inbox_id)s OR %(inbox_id)s::bigint IS NULL)

-- name: dead_filter
-- What a dead letter must be like; nothing fails before it is received, so the index on failed_at helps.
dead.entity_id = ANY(%(entity_ids)s)
    AND dead.failed_at >= %(since)s::timestamptz
    AND dead.received_at >= %(since)s::timestamptz
    AND dead.received_at < %(until)s::timestamptz
    AND (dead.state = %(state)s OR %(state)s::text IS NULL)
    AND (dead.reason = %(reason)s OR %(reason)s::text IS NULL)
    AND (dead.source_id = ANY(%(source_ids)s) OR %(source_ids)s::integer[] IS NULL)
    AND (dead.event_type = %(event_type)s OR %(event_type)s::text IS NULL)
    AND (dead.event_id = %(event_id)s OR %(event_id)s::text IS NULL)
    AND (dead.inbox_id = %(inbox_id)s OR %(inbox_id)s::bigint IS NULL)

-- name: event_state
-- What became of a row of the inbox; chunks that are not done are few.
coalesce(
    (SELECT letter.state FROM landing.dead_letter AS letter WHERE letter.inbox_id = inbox.inbox_id),
    CASE
        WHEN inbox.inbox_id > (SELECT planned_to FROM ops.webhook_watermark) THEN 'waiting'
        WHEN EXISTS (
            SELECT
            FROM ops.webhook_chunk AS chunk
            WHERE chunk.state = 'planned'
                AND chunk.from_id < inbox.inbox_id
                AND chunk.to_id >= inbox.inbox_id
                AND inbox.entity_id = ANY(chunk.entity_ids)
        ) THEN 'waiting'
        ELSE 'applied'
    END
)

-- name: waiting_floor
-- No event waits at or below this id.
SELECT least(
    (SELECT planned_to FROM ops.webhook_watermark),
    (SELECT min(from_id) FROM ops.webhook_chunk WHERE state = 'planned')
);

-- name: search_inbox
-- The newest events of some entities: each entity's newest from its own index, then the newest of those.
SELECT
    found.inbox_id,
    found.received_at,
    entity.slug AS entity,
    source.slug AS source,
    found.event_type,
    found.event_id,
    found.state,
    dead.reason,
    found.body
FROM unnest(%(entity_ids)s::integer[]) AS wanted (entity_id)
CROSS JOIN LATERAL (
    SELECT
        inbox.inbox_id,
        inbox.source_id,
        inbox.received_at,
        inbox.event_type,
        inbox.event_id,
        {state} AS state,
        CASE WHEN %(has_body)s THEN inbox.body END AS body
    FROM landing.webhook_inbox AS inbox
    WHERE inbox.entity_id = wanted.entity_id
        AND inbox.inbox_id > %(floor)s
        AND {filter}
        -- A bare comparison is taken to be rarely true, and the planner would then sort every event.
        AND coalesce({state} = %(state)s, true)
    ORDER BY inbox.inbox_id DESC
    LIMIT %(limit)s
) AS found
JOIN config.business_entity AS entity ON entity.entity_id = wanted.entity_id
JOIN config.webhook_source AS source ON source.source_id = found.source_id
LEFT JOIN landing.dead_letter AS dead ON dead.inbox_id = found.inbox_id
ORDER BY found.inbox_id DESC
LIMIT %(limit)s;

-- name: search_whole_inbox
-- The newest events with an id or of a type, which no index has: one pass over all entities.
SELECT
    found.inbox_id,
    found.received_at,
    entity.slug AS entity,
    source.slug AS source,
    found.event_type,
    found.event_id,
    found.state,
    dead.reason,
    found.body
FROM (
    SELECT
        inbox.inbox_id,
        inbox.entity_id,
        inbox.source_id,
        inbox.received_at,
        inbox.event_type,
        inbox.event_id,
        {state} AS state,
        CASE WHEN %(has_body)s THEN inbox.body END AS body
    FROM landing.webhook_inbox AS inbox
    WHERE inbox.entity_id = ANY(%(entity_ids)s)
        AND inbox.inbox_id > %(floor)s
        AND {filter}
        AND coalesce({state} = %(state)s, true)
    ORDER BY inbox.inbox_id DESC
    LIMIT %(limit)s
) AS found
JOIN config.business_entity AS entity ON entity.entity_id = found.entity_id
JOIN config.webhook_source AS source ON source.source_id = found.source_id
LEFT JOIN landing.dead_letter AS dead ON dead.inbox_id = found.inbox_id
ORDER BY found.inbox_id DESC;

-- name: search_dead
-- The newest dead letters; LIMIT 1 keeps each look-up to one partition.
SELECT
    found.inbox_id,
    found.received_at,
    entity.slug AS entity,
    source.slug AS source,
    found.event_type,
    found.event_id,
    found.state,
    found.reason,
    inbox.body
FROM (
    SELECT *
    FROM landing.dead_letter AS dead
    WHERE {filter}
    ORDER BY dead.inbox_id DESC
    LIMIT %(limit)s
) AS found
JOIN config.business_entity AS entity USING (entity_id)
JOIN config.webhook_source AS source USING (source_id)
LEFT JOIN LATERAL (
    SELECT kept.body
    FROM landing.webhook_inbox AS kept
    WHERE %(has_body)s
        AND kept.entity_id = found.entity_id
        AND kept.inbox_id = found.inbox_id
        AND kept.received_at = found.received_at
    LIMIT 1
) AS inbox ON true
ORDER BY found.inbox_id DESC;

-- name: show_event
-- Everything that the inbox holds about one event.
SELECT
    inbox.inbox_id,
    inbox.received_at,
    entity.slug AS entity,
    source.slug AS source,
    inbox.event_type,
    inbox.schema_version,
    inbox.event_id,
    {state} AS state,
    inbox.origin,
    inbox.replay_of,
    inbox.is_text_ok,
    inbox.body
FROM landing.webhook_inbox AS inbox
JOIN config.business_entity AS entity USING (entity_id)
JOIN config.webhook_source AS source USING (source_id)
WHERE inbox.entity_id = ANY(ARRAY(SELECT entity_id FROM config.business_entity))
    AND inbox.inbox_id = %(inbox_id)s;

-- name: show_dead_letter
-- Why an event could not be loaded, and what was done about it.
SELECT
    inbox_id,
    state,
    reason,
    detail,
    sqlstate,
    failed_at,
    settled_at,
    settled_by,
    replayed_as
FROM landing.dead_letter
WHERE inbox_id = %(inbox_id)s;

-- name: show_replays
-- The event that an event was first, and every copy that was made of it since.
WITH RECURSIVE place AS (
    SELECT
        inbox.entity_id,
        inbox.inbox_id,
        inbox.replay_of
    FROM landing.webhook_inbox AS inbox
    WHERE inbox.entity_id = ANY(ARRAY(SELECT entity_id FROM config.business_entity))
        AND inbox.inbox_id = %(inbox_id)s
), earlier AS (
    SELECT *
    FROM place
    UNION ALL
    SELECT
        inbox.entity_id,
        inbox.inbox_id,
        inbox.replay_of
    FROM earlier
    JOIN landing.webhook_inbox AS inbox
        ON inbox.entity_id = earlier.entity_id
        AND inbox.inbox_id = earlier.replay_of
), chain AS (
    SELECT min(inbox_id) AS inbox_id
    FROM earlier
    UNION ALL
    SELECT inbox.inbox_id
    FROM chain
    JOIN landing.webhook_inbox AS inbox ON inbox.replay_of = chain.inbox_id
)
SELECT
    inbox.inbox_id,
    inbox.replay_of,
    inbox.received_at,
    {state} AS state
FROM chain
JOIN landing.webhook_inbox AS inbox
    ON inbox.entity_id = (SELECT entity_id FROM place)
    AND inbox.inbox_id = chain.inbox_id
ORDER BY inbox.inbox_id;

-- name: count_dead
-- How many dead letters a replay is about.
SELECT count(*)
FROM landing.dead_letter AS dead
WHERE {filter};

-- name: count_inbox
-- How many events of the inbox a replay is about.
SELECT count(*)
FROM landing.webhook_inbox AS inbox
WHERE inbox.entity_id = ANY(%(entity_ids)s)
    AND {filter}
    AND {state} = %(state)s
    -- What has a copy is done with: a second one would undo what was mended in the first.
    AND NOT EXISTS (
        SELECT
        FROM landing.webhook_inbox AS copied
        WHERE copied.replay_of = inbox.inbox_id
    );

-- name: pick_dead
-- The next dead letters after a place, locked: whoever comes second finds them in another state.
WITH picked AS MATERIALIZED (
    SELECT
        dead.inbox_id,
        dead.entity_id,
        dead.received_at
    FROM landing.dead_letter AS dead
    WHERE {filter}
        AND (dead.entity_id, dead.inbox_id) > (%(after_entity)s, %(after_id)s)
    ORDER BY
        dead.entity_id,
        dead.inbox_id
    LIMIT %(limit)s
    FOR UPDATE
)
SELECT
    picked.inbox_id,
    picked.entity_id,
    picked.received_at,
    inbox.byte_count
FROM picked
LEFT JOIN LATERAL (
    SELECT octet_length(kept.body) AS byte_count
    FROM landing.webhook_inbox AS kept
    WHERE kept.entity_id = picked.entity_id
        AND kept.inbox_id = picked.inbox_id
        AND kept.received_at = picked.received_at
    LIMIT 1
) AS inbox ON true
ORDER BY
    picked.entity_id,
    picked.inbox_id;

-- name: pick_inbox
-- The next events after a place.
SELECT
    inbox.inbox_id,
    inbox.entity_id,
    inbox.received_at,
    octet_length(inbox.body) AS byte_count
FROM landing.webhook_inbox AS inbox
WHERE inbox.entity_id = ANY(%(entity_ids)s)
    AND (inbox.entity_id, inbox.inbox_id) > (%(after_entity)s, %(after_id)s)
    AND {filter}
    AND coalesce({state} = %(state)s, true)
    -- What has a copy is done with: a second one would undo what was mended in the first.
    AND NOT EXISTS (
        SELECT
        FROM landing.webhook_inbox AS copied
        WHERE copied.replay_of = inbox.inbox_id
    )
ORDER BY
    inbox.entity_id,
    inbox.inbox_id
LIMIT %(limit)s;

-- name: read_bodies
-- What picked events are made of, in their order; LIMIT 1 keeps each look-up to one partition.
SELECT
    inbox.inbox_id,
    inbox.entity_id,
    inbox.source_id,
    inbox.event_id,
    inbox.body
FROM unnest(%(inbox_ids)s::bigint[], %(entity_ids)s::integer[], %(received_at)s::timestamptz[])
    WITH ORDINALITY AS picked (inbox_id, entity_id, received_at, place)
CROSS JOIN LATERAL (
    SELECT kept.*
    FROM landing.webhook_inbox AS kept
    WHERE kept.entity_id = picked.entity_id
        AND kept.inbox_id = picked.inbox_id
        AND kept.received_at = picked.received_at
    LIMIT 1
) AS inbox
ORDER BY picked.place;

-- name: lock_inbox
-- Tell planning that events are being written; the same lock as a receiver's flush takes.
SELECT pg_advisory_xact_lock_shared(hashtextextended('steadfast webhook inbox', 0));

-- name: copy_columns
-- What a copy is made of.
inbox_id,
entity_id,
source_id,
event_id,
event_type,
schema_version,
received_at,
body,
is_text_ok,
origin,
replay_of,
root_id

-- name: copy_events
-- Put picked events into the inbox once more, byte for byte, in their order.
INSERT INTO landing.webhook_inbox ({columns})
SELECT
    nextval('landing.webhook_inbox_id'),
    inbox.entity_id,
    inbox.source_id,
    inbox.event_id,
    inbox.event_type,
    inbox.schema_version,
    %(now)s,
    inbox.body,
    inbox.is_text_ok,
    'replay',
    inbox.inbox_id,
    coalesce(inbox.root_id, inbox.inbox_id)
FROM unnest(%(inbox_ids)s::bigint[], %(entity_ids)s::integer[], %(received_at)s::timestamptz[])
    WITH ORDINALITY AS picked (inbox_id, entity_id, received_at, place)
CROSS JOIN LATERAL (
    SELECT kept.*
    FROM landing.webhook_inbox AS kept
    WHERE kept.entity_id = picked.entity_id
        AND kept.inbox_id = picked.inbox_id
        AND kept.received_at = picked.received_at
    LIMIT 1
) AS inbox
ORDER BY picked.place
RETURNING
    replay_of,
    inbox_id;

-- name: insert_mended
-- Put mended events into the inbox, in their order.
INSERT INTO landing.webhook_inbox ({columns})
SELECT
    nextval('landing.webhook_inbox_id'),
    mended.entity_id,
    mended.source_id,
    mended.event_id,
    mended.event_type,
    mended.schema_version,
    %(now)s,
    mended.body,
    mended.is_text_ok,
    'replay',
    mended.replay_of,
    (
        SELECT coalesce(kept.root_id, kept.inbox_id)
        FROM landing.webhook_inbox AS kept
        WHERE kept.entity_id = mended.entity_id
            AND kept.inbox_id = mended.replay_of
    )
FROM unnest(
    %(inbox_ids)s::bigint[],
    %(entity_ids)s::integer[],
    %(source_ids)s::integer[],
    %(event_ids)s::text[],
    %(event_types)s::text[],
    %(schema_versions)s::smallint[],
    %(bodies)b::bytea[],
    %(is_text_ok)s::boolean[]
) WITH ORDINALITY AS mended (
    replay_of,
    entity_id,
    source_id,
    event_id,
    event_type,
    schema_version,
    body,
    is_text_ok,
    place
)
ORDER BY mended.place
RETURNING
    replay_of,
    inbox_id;

-- name: mark_replayed
-- Say of dead letters which copy stands for them now.
UPDATE landing.dead_letter AS dead
SET
    state = 'replayed',
    replayed_as = copied.inbox_id,
    settled_at = NULL,
    settled_by = NULL
FROM unnest(%(old_ids)s::bigint[], %(new_ids)s::bigint[]) AS copied (replay_of, inbox_id)
WHERE dead.inbox_id = copied.replay_of
    AND dead.state = %(state)s;

-- name: mark_discarded
-- Say of dead letters that nobody needs them.
UPDATE landing.dead_letter
SET
    state = 'discarded',
    settled_at = %(now)s,
    settled_by = %(actor)s
WHERE inbox_id = ANY(%(inbox_ids)s)
    AND state = 'dead';

-- name: take_turns
-- What is not a row that could be locked: whoever comes second waits, and sees what the first one has done.
SELECT pg_advisory_xact_lock(hashtextextended('steadfast webhook replay ' || %(at)s::text, 0));

-- name: find_request
-- What a run asked for when it was tried before, and whether it was the same.
SELECT
    request_id,
    requested_at,
    matched_count,
    CASE WHEN is_dry_run THEN 0 ELSE replayed_count END AS replayed_count,
    filter = %(filter)s
        AND patch IS NOT DISTINCT FROM %(patch)s::jsonb
        AND is_dry_run = %(is_dry_run)s AS is_same
FROM ops.webhook_replay
WHERE airflow_run_id = %(airflow_run_id)s;

-- name: reopen_request
-- What was refused is met and counted again; so is everything that a dry run only looked at.
UPDATE ops.webhook_replay
SET
    replayed_count = %(replayed_count)s,
    refused_count = 0
WHERE request_id = %(request_id)s;

-- name: insert_request
-- Write down what somebody asked for, before it is done.
INSERT INTO ops.webhook_replay (
    requested_by,
    requested_at,
    airflow_run_id,
    filter,
    patch,
    is_dry_run,
    matched_count,
    replayed_count,
    refused_count
)
VALUES (
    %(requested_by)s,
    %(requested_at)s,
    %(airflow_run_id)s,
    %(filter)s,
    %(patch)s,
    %(is_dry_run)s,
    %(matched_count)s,
    0,
    0
)
RETURNING request_id;

-- name: count_request
-- Add what was done, in the transaction that did it.
UPDATE ops.webhook_replay
SET
    replayed_count = replayed_count + %(replayed)s,
    refused_count = refused_count + %(refused)s
WHERE request_id = %(request_id)s;

-- name: waiting_events
-- Events that are not processed yet, by entity.
SELECT
    entity.slug AS entity,
    count(*) AS waiting,
    min(inbox.received_at) AS oldest_at,
    date_trunc('second', %(now)s - min(inbox.received_at)) AS age
FROM landing.webhook_inbox AS inbox
JOIN config.business_entity AS entity USING (entity_id)
WHERE inbox.entity_id = ANY(%(entity_ids)s)
    AND inbox.inbox_id > %(floor)s
    AND {state} = 'waiting'
GROUP BY entity.slug
ORDER BY min(inbox.received_at)
LIMIT %(limit)s;

-- name: unfinished_chunks
-- Chunks that are planned and not done, with what went wrong the last time.
SELECT
    chunk.chunk_id,
    chunk.event_count AS events,
    ARRAY(
        SELECT entity.slug
        FROM config.business_entity AS entity
        WHERE entity.entity_id = ANY(chunk.entity_ids)
        ORDER BY entity.slug
        LIMIT 5
    ) AS entities,
    chunk.planned_at,
    chunk.attempt,
    chunk.next_try_at,
    chunk.error
FROM ops.webhook_chunk AS chunk
WHERE chunk.state = 'planned'
    AND chunk.entity_ids && %(entity_ids)s::integer[]
ORDER BY chunk.chunk_id
LIMIT %(limit)s;

-- name: dead_letters
-- Dead letters that nobody has dealt with, by source and reason.
SELECT
    entity.slug AS entity,
    source.slug AS source,
    dead.reason,
    count(*) AS dead,
    min(dead.failed_at) AS oldest_at,
    max(dead.failed_at) AS newest_at
FROM landing.dead_letter AS dead
JOIN config.business_entity AS entity USING (entity_id)
JOIN config.webhook_source AS source USING (source_id)
WHERE dead.state = 'dead'
    AND dead.entity_id = ANY(%(entity_ids)s)
GROUP BY
    entity.slug,
    source.slug,
    dead.reason
ORDER BY
    count(*) DESC,
    entity.slug,
    source.slug
LIMIT %(limit)s;

-- name: recent_traffic
-- What sources were answered lately; without an entity also what nobody we know sent.
SELECT
    entity.slug AS entity,
    source.slug AS source,
    traffic.status AS answer,
    sum(traffic.request_count)::bigint AS requests,
    sum(traffic.event_count)::bigint AS events,
    max(traffic.minute) AS last_at
FROM ops.webhook_traffic AS traffic
LEFT JOIN config.webhook_source AS source USING (source_id)
LEFT JOIN config.business_entity AS entity USING (entity_id)
WHERE traffic.minute >= %(since)s
    AND (source.entity_id = ANY(%(entity_ids)s) OR (%(is_everyone)s AND source.source_id IS NULL))
GROUP BY
    entity.slug,
    source.slug,
    traffic.status
ORDER BY
    entity.slug,
    source.slug,
    traffic.status
LIMIT %(limit)s;
