-- Each webhook source: when it was last heard of, how far its events are loaded, and what waits for somebody.
CREATE VIEW marts.webhook_freshness WITH (security_invoker = true, security_barrier = true) AS
WITH applied AS (
    -- for each event table
    SELECT
        loaded.entity_id,
        loaded.source_id,
        loaded.event_on,
        loaded.event_at,
        loaded.received_at
    FROM facts.{table} AS loaded
    -- end
),

days AS (
    SELECT
        entity_id,
        source_id,
        event_on,
        count(*) AS row_count,
        max(event_at) AS newest_event_at,
        max(received_at) AS last_applied_at
    FROM applied
    GROUP BY
        entity_id,
        source_id,
        event_on
),

newest AS (
    SELECT
        days.entity_id,
        days.source_id,
        sum(days.row_count)::bigint AS row_count,
        -- A day that had not begun at the source is a mistake.
        max(days.event_on) FILTER (
            WHERE days.event_on <= (days.last_applied_at AT TIME ZONE source.time_zone)::date
        ) AS as_of,
        max(days.newest_event_at) AS newest_event_at,
        max(days.last_applied_at) AS last_applied_at
    FROM days
    JOIN config.webhook_source AS source ON source.source_id = days.source_id
    GROUP BY
        days.entity_id,
        days.source_id
),

dead AS (
    SELECT
        entity_id,
        source_id,
        max(received_at) AS last_dead_at,
        count(*) FILTER (WHERE state = 'dead') AS held_count,
        min(failed_at) FILTER (WHERE state = 'dead') AS held_since,
        string_agg(DISTINCT reason, ', ') FILTER (WHERE state = 'dead') AS held_reason
    FROM landing.dead_letter
    GROUP BY
        entity_id,
        source_id
)

SELECT
    source.entity_id,
    entity.slug AS entity,
    source.slug AS webhook_source,
    source.name AS webhook_source_name,
    source.time_zone,
    source.is_enabled,
    coalesce(newest.row_count, 0) AS row_count,
    greatest(newest.last_applied_at, dead.last_dead_at) AS last_received_at,
    newest.newest_event_at,
    newest.as_of,
    source.is_enabled AS is_provisional,
    newest.last_applied_at AS last_synced_at,
    coalesce(dead.held_count, 0) > 0 AS is_held,
    coalesce(dead.held_count, 0) AS held_count,
    dead.held_since,
    dead.held_reason
FROM config.webhook_source AS source
JOIN config.business_entity AS entity ON entity.entity_id = source.entity_id
LEFT JOIN newest
    ON newest.source_id = source.source_id
    AND newest.entity_id = source.entity_id
LEFT JOIN dead
    ON dead.source_id = source.source_id
    AND dead.entity_id = source.entity_id;
