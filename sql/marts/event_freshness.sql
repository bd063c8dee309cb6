-- How current each kind of webhook event is: its newest day, and what could not be loaded.
CREATE VIEW marts.event_freshness WITH (security_invoker = true, security_barrier = true) AS
SELECT
    entity.entity_id,
    entity.slug AS entity,
    newest.event_type,
    newest.event_on AS as_of,
    newest.event_on = max(newest.event_on) OVER entities AS is_provisional,
    max(newest.event_on) OVER entities AS provisional_from,
    newest.received_at AS last_synced_at,
    held.held_count IS NOT NULL AS is_held,
    coalesce(held.held_count, 0) AS held_count,
    held.held_reason
FROM config.business_entity AS entity
-- A day that had not come when its event was received is a mistake, and would hide how old the rest is.
CROSS JOIN LATERAL (
    (
        SELECT
            'lead' AS event_type,
            event_on,
            received_at
        FROM facts.fact_lead
        WHERE entity_id = entity.entity_id
            AND event_on <= (received_at AT TIME ZONE 'UTC')::date + 1
        ORDER BY
            event_on DESC,
            received_at DESC
        LIMIT 1
    )
    UNION ALL
    (
        SELECT
            'order' AS event_type,
            event_on,
            received_at
        FROM facts.fact_order
        WHERE entity_id = entity.entity_id
            AND event_on <= (received_at AT TIME ZONE 'UTC')::date + 1
        ORDER BY
            event_on DESC,
            received_at DESC
        LIMIT 1
    )
    UNION ALL
    (
        SELECT
            'refund' AS event_type,
            event_on,
            received_at
        FROM facts.fact_refund
        WHERE entity_id = entity.entity_id
            AND event_on <= (received_at AT TIME ZONE 'UTC')::date + 1
        ORDER BY
            event_on DESC,
            received_at DESC
        LIMIT 1
    )
    UNION ALL
    (
        SELECT
            'subscription_change' AS event_type,
            event_on,
            received_at
        FROM facts.fact_subscription_change
        WHERE entity_id = entity.entity_id
            AND event_on <= (received_at AT TIME ZONE 'UTC')::date + 1
        ORDER BY
            event_on DESC,
            received_at DESC
        LIMIT 1
    )
    UNION ALL
    (
        SELECT
            'booking' AS event_type,
            event_on,
            received_at
        FROM facts.fact_booking
        WHERE entity_id = entity.entity_id
            AND event_on <= (received_at AT TIME ZONE 'UTC')::date + 1
        ORDER BY
            event_on DESC,
            received_at DESC
        LIMIT 1
    )
    UNION ALL
    (
        SELECT
            'support_ticket' AS event_type,
            event_on,
            received_at
        FROM facts.fact_support_ticket
        WHERE entity_id = entity.entity_id
            AND event_on <= (received_at AT TIME ZONE 'UTC')::date + 1
        ORDER BY
            event_on DESC,
            received_at DESC
        LIMIT 1
    )
    UNION ALL
    (
        SELECT
            'campaign_spend' AS event_type,
            event_on,
            received_at
        FROM facts.fact_campaign_spend
        WHERE entity_id = entity.entity_id
            AND event_on <= (received_at AT TIME ZONE 'UTC')::date + 1
        ORDER BY
            event_on DESC,
            received_at DESC
        LIMIT 1
    )
    UNION ALL
    (
        SELECT
            'custom' AS event_type,
            event_on,
            received_at
        FROM facts.fact_custom
        WHERE entity_id = entity.entity_id
            AND event_on <= (received_at AT TIME ZONE 'UTC')::date + 1
        ORDER BY
            event_on DESC,
            received_at DESC
        LIMIT 1
    )
) AS newest
LEFT JOIN (
    SELECT
        entity_id,
        event_type,
        count(*) AS held_count,
        string_agg(DISTINCT reason, ', ') AS held_reason
    FROM landing.dead_letter
    WHERE state = 'dead'
    GROUP BY entity_id, event_type
) AS held ON held.entity_id = entity.entity_id AND held.event_type = newest.event_type
WINDOW entities AS (PARTITION BY entity.entity_id, entity.slug);
