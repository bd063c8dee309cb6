-- needs: event_freshness, held_events
-- How often each event of a business's own came. What it carried stays in facts.
CREATE VIEW marts.custom_events WITH (security_invoker = true, security_barrier = true) AS
WITH daily AS (
    SELECT
        custom.entity_id,
        entity.slug AS entity,
        custom.event_on AS day,
        coalesce(nullif(btrim(custom.name), ''), '(not set)') AS event_name,
        count(*) AS event_count,
        max(custom.received_at) AS last_synced_at
    FROM facts.fact_custom AS custom
    JOIN config.business_entity AS entity ON entity.entity_id = custom.entity_id
    GROUP BY 1, 2, 3, 4
)

SELECT
    daily.entity_id,
    daily.entity,
    daily.day,
    daily.event_name,
    daily.event_count,
    fresh.as_of,
    coalesce(daily.day >= fresh.provisional_from, false) AS is_provisional,
    daily.last_synced_at,
    held.day IS NOT NULL AS is_held,
    held.held_reason
FROM daily
LEFT JOIN marts.event_freshness AS fresh
    ON fresh.entity_id = daily.entity_id
    AND fresh.event_type = 'custom'
LEFT JOIN marts.held_events AS held
    ON held.entity_id = daily.entity_id
    AND held.event_type = 'custom'
    AND held.day = daily.day;
