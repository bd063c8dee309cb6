-- needs: source_channels, event_freshness, held_events
-- Money that went back, on the day it went back, by the reason and by where the order came from.
CREATE VIEW marts.refunds WITH (security_invoker = true, security_barrier = true) AS
WITH traced AS (
    SELECT
        refund.entity_id,
        entity.slug AS entity,
        refund.event_on AS day,
        refund.currency,
        coalesce(nullif(btrim(refund.reason), ''), '(not set)') AS reason,
        refund.amount,
        refund.order_id,
        purchase.is_known IS NOT NULL AS is_order_known,
        purchase.traffic_source AS source,
        purchase.traffic_medium AS medium,
        refund.received_at
    FROM facts.fact_refund AS refund
    JOIN config.business_entity AS entity ON entity.entity_id = refund.entity_id
    LEFT JOIN LATERAL (
        SELECT
            true AS is_known,
            coalesce(nullif(lower(btrim(candidate.traffic_source)), ''), '(not set)') AS traffic_source,
            coalesce(nullif(lower(btrim(candidate.traffic_medium)), ''), '(not set)') AS traffic_medium
        FROM config.webhook_source AS sender
        JOIN facts.fact_order AS candidate ON candidate.source_id = sender.source_id
        WHERE sender.entity_id = refund.entity_id
            AND candidate.order_id = refund.order_id
        ORDER BY
            candidate.source_id = refund.source_id DESC,
            candidate.source_id
        LIMIT 1
    ) AS purchase ON true
),

daily AS (
    SELECT
        refund.entity_id,
        refund.entity,
        refund.day,
        CASE
            WHEN coalesce(refund.source, '(not set)') = '(not set)' THEN 'Unattributed'
            ELSE coalesce(known.channel, 'Other')
        END AS channel,
        refund.reason,
        refund.currency,
        count(*) AS refund_count,
        count(*) FILTER (WHERE NOT refund.is_order_known) AS unknown_order_count,
        sum(refund.amount)::numeric(38, 6) AS refunded_amount,
        max(refund.received_at) AS last_synced_at
    FROM traced AS refund
    LEFT JOIN marts.source_channels AS known
        ON known.entity_id = refund.entity_id
        AND known.source = refund.source
        AND known.medium = refund.medium
    GROUP BY 1, 2, 3, 4, 5, 6
)

SELECT
    daily.entity_id,
    daily.entity,
    daily.day,
    daily.channel,
    daily.reason,
    daily.currency,
    daily.refund_count,
    daily.unknown_order_count,
    daily.refunded_amount,
    (daily.refunded_amount / nullif(daily.refund_count, 0))::double precision AS amount_per_refund,
    fresh.as_of,
    coalesce(daily.day >= fresh.provisional_from, false) AS is_provisional,
    daily.last_synced_at,
    held.day IS NOT NULL AS is_held,
    held.held_reason
FROM daily
LEFT JOIN marts.event_freshness AS fresh
    ON fresh.entity_id = daily.entity_id
    AND fresh.event_type = 'refund'
LEFT JOIN marts.held_events AS held
    ON held.entity_id = daily.entity_id
    AND held.event_type = 'refund'
    AND held.day = daily.day;
