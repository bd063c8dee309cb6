-- Events that could not be loaded and still wait for somebody, by kind and by the day on which they came.
CREATE VIEW marts.held_events WITH (security_invoker = true, security_barrier = true) AS
WITH dead AS (
    SELECT
        letter.entity_id,
        entity.slug AS entity,
        coalesce(letter.event_type, '(not set)') AS event_type,
        (letter.received_at AT TIME ZONE source.time_zone)::date AS day,
        letter.reason,
        letter.received_at
    FROM landing.dead_letter AS letter
    JOIN config.webhook_source AS source ON source.source_id = letter.source_id
    JOIN config.business_entity AS entity ON entity.entity_id = letter.entity_id
    WHERE letter.state = 'dead'
)

SELECT
    entity_id,
    entity,
    event_type,
    day,
    count(*) AS held_count,
    max(day) OVER (PARTITION BY entity_id, entity, event_type) AS as_of,
    true AS is_provisional,
    max(received_at) AS last_synced_at,
    true AS is_held,
    format('%s of type %s could not be loaded: %s', count(*), event_type, string_agg(DISTINCT reason, ', '))
        AS held_reason
FROM dead
GROUP BY entity_id, entity, event_type, day;
