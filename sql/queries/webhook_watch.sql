-- name: find_ingest_run
-- The run that an Airflow run opened, if it came that far.
SELECT run_id
FROM ops.sync_run
WHERE dag_id = %(dag_id)s
    AND airflow_run_id = %(airflow_run_id)s;

-- name: find_last_good_run
-- When a run last came to its good end.
SELECT max(succeeded_at)
FROM ops.sync_run
WHERE dag_id = %(dag_id)s;

-- name: close_ingest_run
-- Mark the run as finished, and as a good one if it left nothing undone.
UPDATE ops.sync_run
SET
    finished_at = %(now)s,
    succeeded_at = CASE WHEN %(is_good)s THEN %(now)s ELSE succeeded_at END
WHERE run_id = %(run_id)s;

-- name: close_ended_runs
-- Runs are never two at once: one that is still open when another begins was ended from outside.
UPDATE ops.sync_run AS ended
SET finished_at = %(now)s
FROM ops.sync_run AS current
WHERE current.run_id = %(run_id)s
    AND ended.dag_id = current.dag_id
    AND ended.run_id <> current.run_id
    AND ended.finished_at IS NULL;

-- name: summarise_ingest
-- What the run applied, whoever planned it.
SELECT
    coalesce(sum(event_count), 0)::bigint AS event_count,
    coalesce(sum(applied_count), 0)::bigint AS applied_count,
    coalesce(sum(dead_count), 0)::bigint AS dead_count
FROM ops.webhook_chunk
WHERE finished_by = %(run_id)s;

-- name: list_news
-- Chunks of which downstream DAGs were not told, and what the run applied: it may be cleared to tell again.
(
    SELECT
        chunk_id,
        applied_count,
        first_received_at,
        last_received_at
    FROM ops.webhook_chunk
    WHERE applied_count > 0
        AND announced_by IS NULL
    ORDER BY chunk_id
    LIMIT %(most)s
)
-- Each by its own index; with OR the planner may read every chunk.
UNION
SELECT
    chunk_id,
    applied_count,
    first_received_at,
    last_received_at
FROM ops.webhook_chunk
WHERE applied_count > 0
    AND finished_by = %(run_id)s
ORDER BY chunk_id;

-- name: mark_announced
-- Downstream DAGs know of these chunks; who was first stays.
UPDATE ops.webhook_chunk
SET announced_by = %(run_id)s
WHERE chunk_id = ANY (%(chunk_ids)s::bigint[])
    AND announced_by IS NULL;

-- name: read_backlog
-- Events that are in no table yet: in chunks that are not done, and behind the watermark.
SELECT
    open.chunk_count,
    open.failing_count,
    open.event_count + newer.event_count AS waiting_count,
    least(open.oldest_at, newer.oldest_at) AS oldest_at
FROM (
    SELECT
        count(*) AS chunk_count,
        count(error) AS failing_count,
        coalesce(sum(event_count), 0)::bigint AS event_count,
        min(first_received_at) AS oldest_at
    FROM ops.webhook_chunk
    WHERE state = 'planned'
) AS open
CROSS JOIN (
    SELECT
        coalesce(sum(waiting.event_count), 0)::bigint AS event_count,
        min(waiting.oldest_at) AS oldest_at
    FROM ops.webhook_watermark AS mark
    CROSS JOIN config.business_entity AS entity
    CROSS JOIN LATERAL (
        SELECT
            count(*) AS event_count,
            min(inbox.received_at) AS oldest_at
        FROM landing.webhook_inbox AS inbox
        WHERE inbox.entity_id = entity.entity_id
            AND inbox.inbox_id > mark.planned_to
            -- What arrived long before the last planning is planned: older partitions need no look.
            AND inbox.received_at >= coalesce(mark.planned_at - interval '1 day', '-infinity')
    ) AS waiting
) AS newer;

-- name: count_due
-- Chunks that can be tried now, and their events.
SELECT
    count(*) AS chunk_count,
    coalesce(sum(event_count), 0)::bigint AS event_count
FROM ops.webhook_chunk
WHERE state = 'planned'
    AND (next_try_at IS NULL OR next_try_at <= %(now)s);

-- name: list_failing_chunks
-- Chunks that were tried and are not done, the oldest first.
SELECT
    chunk_id,
    attempt,
    error,
    event_count,
    first_received_at
FROM ops.webhook_chunk
WHERE state = 'planned'
    AND error IS NOT NULL
    AND attempt >= %(least_attempts)s
ORDER BY chunk_id
LIMIT %(most)s;

-- name: list_heard
-- When each source that may send was last heard, or switched on, which starts its clock again.
SELECT
    source.source_id,
    source.entity_id,
    entity.slug AS entity,
    source.slug,
    source.time_zone,
    heard.minute AS heard_at,
    greatest(source.updated_at, entity.updated_at) AS changed_at
FROM config.webhook_source AS source
JOIN config.business_entity AS entity USING (entity_id)
CROSS JOIN LATERAL (
    SELECT traffic.minute
    FROM ops.webhook_traffic AS traffic
    WHERE traffic.source_id = source.source_id
        AND traffic.status IN (200, 202)
        AND traffic.minute BETWEEN %(since)s AND %(now)s
    ORDER BY traffic.minute DESC
    LIMIT 1
) AS heard
WHERE source.is_enabled
    AND entity.is_enabled
ORDER BY source.source_id;

-- name: list_told
-- What was told of late under keys that begin so, the newest first.
SELECT dedup_key
FROM ops.signal
WHERE starts_with(dedup_key, %(prefix)s)
    AND created_at > %(since)s
ORDER BY signal_id DESC;

-- name: list_known_keys
-- Which of these signals exist.
SELECT dedup_key
FROM ops.signal
WHERE dedup_key = ANY (%(keys)s::text[]);

-- name: read_hours
-- In which hours of their own clocks, counted since 1970, sources were heard; and the first and last minute.
SELECT
    asked.source_id,
    heard.hours,
    heard.first_minute,
    heard.last_minute
FROM unnest(%(source_ids)s::integer[], %(time_zones)s::text[]) AS asked (source_id, time_zone)
CROSS JOIN LATERAL (
    SELECT
        array_agg(
            DISTINCT floor(date_part('epoch', binned.quarter AT TIME ZONE asked.time_zone) / 3600)::integer
        ) AS hours,
        (date_part('epoch', min(binned.first_minute)) / 60)::integer AS first_minute,
        (date_part('epoch', max(binned.last_minute)) / 60)::integer AS last_minute
    FROM (
        SELECT
            -- Zones turn on quarters of an hour, so a quarter lies in one hour of every clock.
            date_bin('15 minutes', traffic.minute, 'epoch') AS quarter,
            min(traffic.minute) AS first_minute,
            max(traffic.minute) AS last_minute
        FROM ops.webhook_traffic AS traffic
        WHERE traffic.source_id = asked.source_id
            AND traffic.status IN (200, 202)
            AND traffic.minute BETWEEN %(since)s AND %(now)s
        GROUP BY quarter
    ) AS binned
) AS heard
WHERE heard.hours IS NOT NULL;

-- name: read_pauses
-- In how many minutes sources were heard, and their long pauses, the latest first, in minutes since 1970.
SELECT
    asked.source_id,
    spoken.minute_count,
    spoken.starts[:%(most)s] AS starts,
    spoken.ends[:%(most)s] AS ends
FROM unnest(%(source_ids)s::integer[]) AS asked (source_id)
CROSS JOIN LATERAL (
    SELECT
        count(*) AS minute_count,
        array_agg((date_part('epoch', before) / 60)::integer ORDER BY minute DESC)
            FILTER (WHERE minute - before >= %(shortest)s) AS starts,
        array_agg((date_part('epoch', minute) / 60)::integer ORDER BY minute DESC)
            FILTER (WHERE minute - before >= %(shortest)s) AS ends
    FROM (
        SELECT
            minute,
            lag(minute) OVER (ORDER BY minute) AS before
        FROM (
            SELECT DISTINCT traffic.minute
            FROM ops.webhook_traffic AS traffic
            WHERE traffic.source_id = asked.source_id
                AND traffic.status IN (200, 202)
                AND traffic.minute BETWEEN %(since)s AND %(now)s
        ) AS heard
    ) AS followed
) AS spoken;

-- name: count_refused_since
-- What sources asked in vain after they were last heard: they are not silent, we are deaf to them.
SELECT
    asked.source_id,
    sum(traffic.request_count)::bigint AS request_count,
    mode() WITHIN GROUP (ORDER BY traffic.status) AS status
FROM unnest(%(source_ids)s::integer[], %(heard_ats)s::timestamptz[]) AS asked (source_id, heard_at)
JOIN ops.webhook_traffic AS traffic
    ON traffic.source_id = asked.source_id
    AND traffic.minute > asked.heard_at
WHERE traffic.status NOT IN (200, 202)
GROUP BY asked.source_id;

-- name: list_new_dead_letters
-- What died of late, one row a source, reason and day, with the first as the example; whoever ran before this run
-- may have ended before it could tell, or had another clock.
SELECT
    dying.*,
    entity.slug AS entity,
    source.slug,
    example.detail,
    example.event_type
FROM (
    SELECT
        entity_id,
        source_id,
        reason,
        count(*) AS event_count,
        min(inbox_id) AS first_id,
        max(failed_at) AS last_at
    FROM landing.dead_letter
    WHERE state = 'dead'
        AND failed_at >= (SELECT started_at FROM ops.sync_run WHERE run_id = %(run_id)s) - interval '6 hours'
    GROUP BY
        entity_id,
        source_id,
        reason,
        (failed_at AT TIME ZONE 'UTC')::date
) AS dying
JOIN landing.dead_letter AS example ON example.inbox_id = dying.first_id
JOIN config.webhook_source AS source ON source.source_id = dying.source_id
JOIN config.business_entity AS entity ON entity.entity_id = dying.entity_id
ORDER BY
    dying.source_id,
    dying.reason;

-- name: list_refusals
-- What sources were answered of late, for those that were refused something.
SELECT
    source.source_id,
    source.entity_id,
    entity.slug AS entity,
    source.slug,
    answered.request_count,
    answered.refused_count,
    answered.limited_count,
    answered.statuses,
    answered.last_at
FROM (
    SELECT
        source_id,
        sum(request_count)::bigint AS request_count,
        coalesce(sum(request_count) FILTER (WHERE is_refused), 0)::bigint AS refused_count,
        coalesce(sum(request_count) FILTER (WHERE status = 429), 0)::bigint AS limited_count,
        array_agg(status ORDER BY request_count DESC) FILTER (WHERE is_refused) AS statuses,
        max(last_at) FILTER (WHERE status >= 400) AS last_at
    FROM (
        SELECT
            source_id,
            status,
            -- Limits and reused ids are told of by themselves.
            status >= 400 AND status NOT IN (409, 429) AS is_refused,
            sum(request_count) AS request_count,
            max(minute) AS last_at
        FROM ops.webhook_traffic
        WHERE minute BETWEEN %(since)s AND %(now)s
            AND source_id IS NOT NULL
        GROUP BY
            source_id,
            status
    ) AS counted
    GROUP BY source_id
) AS answered
JOIN config.webhook_source AS source USING (source_id)
JOIN config.business_entity AS entity ON entity.entity_id = source.entity_id
WHERE answered.refused_count + answered.limited_count > 0
    AND source.is_enabled
    AND entity.is_enabled
ORDER BY source.source_id;

-- name: list_conflicts
-- Ids that came again of late with other bytes, where that is no new version by agreement.
SELECT
    source.source_id,
    source.entity_id,
    entity.slug AS entity,
    source.slug,
    source.conflict_policy,
    found.conflict_count,
    found.event_id,
    found.last_at
FROM config.webhook_source AS source
JOIN config.business_entity AS entity USING (entity_id)
CROSS JOIN LATERAL (
    SELECT
        count(*) AS conflict_count,
        min(conflict.event_id) AS event_id,
        max(conflict.received_at) AS last_at
    FROM landing.webhook_conflict AS conflict
    WHERE conflict.source_id = source.source_id
        AND conflict.received_at BETWEEN %(since)s AND %(now)s
        AND conflict.policy <> 'new_version'
) AS found
WHERE found.conflict_count > 0
    AND source.is_enabled
    AND entity.is_enabled
ORDER BY source.source_id;

-- name: find_applied_to
-- Every event up to this id is in its table or a dead letter.
SELECT coalesce(
    (SELECT min(from_id) FROM ops.webhook_chunk WHERE state = 'planned'),
    (SELECT planned_to FROM ops.webhook_watermark)
);

-- name: purge_keys
-- Forget some ids whose window is over; a request may be dated ahead by the tolerance, so it counts twice.
DELETE FROM landing.webhook_event_key
WHERE ctid = ANY (
    ARRAY(
        SELECT old.ctid
        FROM config.webhook_source AS source
        CROSS JOIN LATERAL (
            SELECT known.ctid
            FROM landing.webhook_event_key AS known
            WHERE known.source_id = source.source_id
                AND known.received_at < %(now)s - make_interval(
                    days => source.dedup_days,
                    secs => source.tolerance_seconds
                )
                AND known.inbox_id <= %(applied_to)s
            ORDER BY known.received_at
            LIMIT %(most)s
        ) AS old
        LIMIT %(most)s
    )
);

-- name: purge_traffic
-- Forget some counts that nothing is learned from any more.
DELETE FROM ops.webhook_traffic
WHERE ctid = ANY (
    ARRAY(
        SELECT ctid
        FROM ops.webhook_traffic
        WHERE minute < %(before)s
        ORDER BY minute
        LIMIT %(most)s
    )
);
