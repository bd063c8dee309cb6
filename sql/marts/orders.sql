-- needs: source_channels, event_freshness, held_events
-- Orders by the day they were placed and by where they came from, less what was paid back for them since.
CREATE VIEW marts.orders WITH (security_invoker = true, security_barrier = true) AS
WITH refunded AS (
    SELECT
        purchase.entity_id,
        entity.slug AS entity,
        purchase.event_on AS day,
        coalesce(nullif(lower(btrim(purchase.traffic_source)), ''), '(not set)') AS source,
        coalesce(nullif(lower(btrim(purchase.traffic_medium)), ''), '(not set)') AS medium,
        coalesce(nullif(lower(btrim(purchase.campaign)), ''), '(not set)') AS campaign,
        purchase.currency,
        purchase.status = 'cancelled' AS is_cancelled,
        purchase.total,
        purchase.tax,
        purchase.shipping,
        purchase.discount,
        purchase.item_count,
        greatest(purchase.received_at, max(refund.received_at)) AS received_at,
        coalesce(sum(refund.amount), 0) AS refunded_amount
    FROM facts.fact_order AS purchase
    JOIN config.business_entity AS entity ON entity.entity_id = purchase.entity_id
    LEFT JOIN facts.fact_refund AS refund
        ON refund.entity_id = purchase.entity_id
        AND refund.order_id = purchase.order_id
        AND refund.currency = purchase.currency
        -- A shop and a payment service may be two sources. Of two orders with one id, the refund is of that
        -- of its own source, else of the first that has it.
        AND (
            refund.source_id = purchase.source_id
            OR NOT EXISTS (
                SELECT
                FROM config.webhook_source AS sender
                JOIN facts.fact_order AS nearer ON nearer.source_id = sender.source_id
                WHERE sender.entity_id = purchase.entity_id
                    AND nearer.order_id = purchase.order_id
                    AND nearer.currency = refund.currency
                    AND (nearer.source_id = refund.source_id OR nearer.source_id < purchase.source_id)
            )
        )
    GROUP BY purchase.source_id, purchase.order_id, entity.entity_id
),

daily AS (
    SELECT
        purchase.entity_id,
        purchase.entity,
        purchase.day,
        CASE WHEN purchase.source = '(not set)' THEN 'Unattributed' ELSE coalesce(known.channel, 'Other') END
            AS channel,
        purchase.source,
        purchase.medium,
        purchase.campaign,
        purchase.currency,
        count(*) FILTER (WHERE NOT purchase.is_cancelled) AS order_count,
        count(*) FILTER (WHERE purchase.is_cancelled) AS cancelled_count,
        coalesce(sum(purchase.item_count) FILTER (WHERE NOT purchase.is_cancelled), 0)::numeric(38, 0)
            AS item_count,
        coalesce(sum(purchase.total) FILTER (WHERE NOT purchase.is_cancelled), 0) AS revenue,
        coalesce(sum(purchase.tax) FILTER (WHERE NOT purchase.is_cancelled), 0) AS tax,
        coalesce(sum(purchase.shipping) FILTER (WHERE NOT purchase.is_cancelled), 0) AS shipping,
        coalesce(sum(purchase.discount) FILTER (WHERE NOT purchase.is_cancelled), 0) AS discount,
        coalesce(sum(purchase.refunded_amount) FILTER (WHERE NOT purchase.is_cancelled), 0) AS refunded_amount,
        max(purchase.received_at) AS last_synced_at
    FROM refunded AS purchase
    LEFT JOIN marts.source_channels AS known
        ON known.entity_id = purchase.entity_id
        AND known.source = purchase.source
        AND known.medium = purchase.medium
    GROUP BY
        purchase.entity_id,
        purchase.entity,
        purchase.day,
        purchase.source,
        purchase.medium,
        purchase.campaign,
        purchase.currency,
        known.channel
),

held AS (
    SELECT
        entity_id,
        day,
        string_agg(held_reason, '; ' ORDER BY event_type) AS held_reason
    FROM marts.held_events
    WHERE event_type IN ('order', 'refund')
    GROUP BY entity_id, day
)

SELECT
    daily.entity_id,
    daily.entity,
    daily.day,
    daily.channel,
    daily.source,
    daily.medium,
    daily.campaign,
    daily.currency,
    daily.order_count,
    daily.cancelled_count,
    daily.item_count,
    daily.revenue::numeric(38, 6) AS revenue,
    daily.tax::numeric(38, 6) AS tax,
    daily.shipping::numeric(38, 6) AS shipping,
    daily.discount::numeric(38, 6) AS discount,
    daily.refunded_amount::numeric(38, 6) AS refunded_amount,
    (daily.revenue - daily.refunded_amount)::numeric(38, 6) AS net_revenue,
    (daily.revenue / nullif(daily.order_count, 0))::double precision AS revenue_per_order,
    daily.cancelled_count::double precision / nullif(daily.order_count + daily.cancelled_count, 0)
        AS cancellation_rate,
    fresh.as_of,
    coalesce(daily.day >= fresh.provisional_from, false) AS is_provisional,
    daily.last_synced_at,
    held.day IS NOT NULL AS is_held,
    held.held_reason
FROM daily
LEFT JOIN marts.event_freshness AS fresh
    ON fresh.entity_id = daily.entity_id
    AND fresh.event_type = 'order'
LEFT JOIN held
    ON held.entity_id = daily.entity_id
    AND held.day = daily.day;
