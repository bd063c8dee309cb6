-- needs: leads, orders, event_freshness, held_events
-- Leads, orders and revenue of each entity and day, one row a currency: the first view of sales to open.
CREATE VIEW marts.sales_daily WITH (security_invoker = true, security_barrier = true) AS
WITH parts AS (
    SELECT
        entity_id,
        entity,
        day,
        NULL AS currency,
        lead_count,
        qualified_count,
        won_count,
        0 AS order_count,
        0 AS cancelled_count,
        0 AS revenue,
        0 AS refunded_amount,
        last_synced_at
    FROM marts.leads
    UNION ALL
    SELECT
        entity_id,
        entity,
        day,
        currency,
        0,
        0,
        0,
        order_count,
        cancelled_count,
        revenue,
        refunded_amount,
        last_synced_at
    FROM marts.orders
),

summed AS (
    SELECT
        entity_id,
        entity,
        day,
        currency,
        -- Leads have no currency: each row of the day shows them.
        sum(sum(lead_count)) OVER days::bigint AS lead_count,
        sum(sum(qualified_count)) OVER days::bigint AS qualified_count,
        sum(sum(won_count)) OVER days::bigint AS won_count,
        sum(order_count)::bigint AS order_count,
        sum(cancelled_count)::bigint AS cancelled_count,
        sum(revenue)::numeric(38, 6) AS revenue,
        sum(refunded_amount)::numeric(38, 6) AS refunded_amount,
        max(max(last_synced_at)) OVER days AS last_synced_at,
        count(currency) OVER days AS currency_count
    FROM parts
    GROUP BY entity_id, entity, day, currency
    WINDOW days AS (PARTITION BY entity_id, entity, day)
),

fresh AS (
    SELECT
        entity_id,
        max(as_of) AS as_of,
        max(provisional_from) AS provisional_from
    FROM marts.event_freshness
    WHERE event_type IN ('lead', 'order')
    GROUP BY entity_id
),

held AS (
    SELECT
        entity_id,
        day,
        string_agg(held_reason, '; ' ORDER BY event_type) AS held_reason
    FROM marts.held_events
    WHERE event_type IN ('lead', 'order', 'refund')
    GROUP BY entity_id, day
)

SELECT
    summed.entity_id,
    summed.entity,
    summed.day,
    summed.currency,
    summed.lead_count,
    summed.qualified_count,
    summed.won_count,
    summed.order_count,
    summed.cancelled_count,
    summed.revenue,
    summed.refunded_amount,
    (summed.revenue - summed.refunded_amount)::numeric(38, 6) AS net_revenue,
    summed.order_count::double precision / nullif(summed.lead_count, 0) AS orders_per_lead,
    (summed.revenue / nullif(summed.order_count, 0))::double precision AS revenue_per_order,
    fresh.as_of,
    coalesce(summed.day >= fresh.provisional_from, false) AS is_provisional,
    summed.last_synced_at,
    held.day IS NOT NULL AS is_held,
    held.held_reason
FROM summed
LEFT JOIN fresh ON fresh.entity_id = summed.entity_id
LEFT JOIN held
    ON held.entity_id = summed.entity_id
    AND held.day = summed.day
WHERE summed.currency IS NOT NULL
    OR summed.currency_count = 0;
