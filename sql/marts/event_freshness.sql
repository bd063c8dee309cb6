-- How current each kind of webhook event is: its newest day, and what could not be loaded.
CREATE VIEW marts.event_freshness WITH (security_invoker = true, security_barrier = true) AS
WITH kinds AS (
    SELECT
        entity.entity_id,
        entity.slug AS entity,
        known.event_type,
        max(known.event_on) AS as_of,
        max(known.received_at) AS last_synced_at,
        max(known.held_count) AS held_count,
        max(known.held_reason) AS held_reason,
        max(max(known.event_on)) OVER entities AS newest_day,
        max(max(known.received_at)) OVER entities AS heard_at
    FROM config.business_entity AS entity
    -- Of a kind there may be events that were loaded, or only such that were not.
    CROSS JOIN LATERAL (
        -- for each event table
        (
            SELECT
                '{event_type}' AS event_type,
                loaded.event_on,
                loaded.received_at,
                0::bigint AS held_count,
                NULL AS held_reason
            FROM facts.{table} AS loaded
            LEFT JOIN config.webhook_source AS source ON source.source_id = loaded.source_id
            WHERE loaded.entity_id = entity.entity_id
                -- A day that had not begun at its source is a mistake, and would hide how old the rest is.
                AND loaded.event_on <= (loaded.received_at AT TIME ZONE coalesce(source.time_zone, 'UTC'))::date
            ORDER BY
                loaded.event_on DESC,
                loaded.received_at DESC
            LIMIT 1
        )
        -- end
        UNION ALL
        SELECT
            coalesce(event_type, '(not set)'),
            NULL,
            NULL,
            count(*),
            string_agg(DISTINCT reason, ', ')
        FROM landing.dead_letter
        WHERE entity_id = entity.entity_id
            AND state = 'dead'
        GROUP BY 1
    ) AS known
    GROUP BY
        entity.entity_id,
        entity.slug,
        known.event_type
    WINDOW entities AS (PARTITION BY entity.entity_id, entity.slug)
)

SELECT
    kinds.entity_id,
    kinds.entity,
    kinds.event_type,
    kinds.as_of,
    coalesce(kinds.as_of >= since.provisional_from, true) AS is_provisional,
    since.provisional_from,
    kinds.last_synced_at,
    kinds.held_count > 0 AS is_held,
    kinds.held_count,
    kinds.held_reason
FROM kinds
-- The newest day may have begun in one zone only: what is today at the source where it began last still goes on.
CROSS JOIN LATERAL (
    SELECT
        least(kinds.newest_day, min((kinds.heard_at AT TIME ZONE source.time_zone)::date)) AS provisional_from
    FROM config.webhook_source AS source
    WHERE source.entity_id = kinds.entity_id
        AND source.is_enabled
) AS since;
