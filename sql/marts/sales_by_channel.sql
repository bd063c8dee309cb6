-- needs: partitions, leads, orders, event_freshness, held_events
-- From sessions to leads to orders, by entity, day and GA4 channel, one row a currency.
CREATE VIEW marts.sales_by_channel WITH (security_invoker = true, security_barrier = true) AS
WITH parts AS (
    SELECT
        traffic.entity_id,
        entity.slug AS entity,
        traffic.report_date AS day,
        traffic.session_default_channel_group AS channel,
        NULL AS currency,
        traffic.sessions,
        0 AS lead_count,
        0 AS order_count,
        0 AS revenue,
        0 AS refunded_amount,
        NULL::timestamptz AS last_synced_at
    FROM facts.fact_traffic_acquisition AS traffic
    JOIN config.business_entity AS entity ON entity.entity_id = traffic.entity_id
    UNION ALL
    SELECT
        entity_id,
        entity,
        day,
        channel,
        NULL,
        0,
        lead_count,
        0,
        0,
        0,
        last_synced_at
    FROM marts.leads
    UNION ALL
    SELECT
        entity_id,
        entity,
        day,
        channel,
        currency,
        0,
        0,
        order_count,
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
        channel,
        currency,
        -- Sessions and leads have no currency: each row of the channel's day shows them.
        sum(sum(sessions)) OVER channels::bigint AS sessions,
        sum(sum(lead_count)) OVER channels::bigint AS lead_count,
        sum(order_count)::bigint AS order_count,
        sum(revenue)::numeric(38, 6) AS revenue,
        sum(refunded_amount)::numeric(38, 6) AS refunded_amount,
        max(max(last_synced_at)) OVER channels AS last_synced_at,
        count(currency) OVER channels AS currency_count
    FROM parts
    GROUP BY entity_id, entity, day, channel, currency
    WINDOW channels AS (PARTITION BY entity_id, entity, day, channel)
),

published AS (
    SELECT
        entity_id,
        period_start AS day,
        max(as_of) AS as_of,
        bool_or(is_provisional) AS is_provisional,
        max(last_synced_at) AS last_synced_at,
        bool_or(is_held) AS is_held,
        string_agg(DISTINCT held_reason, '; ') AS held_reason
    FROM marts.partitions
    WHERE report = 'traffic_acquisition'
        AND is_published
    GROUP BY entity_id, period_start
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
    summed.channel,
    summed.currency,
    seen.sessions,
    summed.lead_count,
    summed.order_count,
    summed.revenue,
    summed.refunded_amount,
    (summed.revenue - summed.refunded_amount)::numeric(38, 6) AS net_revenue,
    summed.lead_count::double precision / nullif(seen.sessions, 0) AS leads_per_session,
    summed.order_count::double precision / nullif(summed.lead_count, 0) AS orders_per_lead,
    summed.order_count::double precision / nullif(seen.sessions, 0) AS orders_per_session,
    (summed.revenue / nullif(seen.sessions, 0))::double precision AS revenue_per_session,
    fresh.as_of,
    coalesce(summed.day >= fresh.provisional_from, false) OR coalesce(published.is_provisional, false)
        AS is_provisional,
    greatest(summed.last_synced_at, published.last_synced_at) AS last_synced_at,
    held.day IS NOT NULL OR coalesce(published.is_held, false) AS is_held,
    nullif(concat_ws('; ', held.held_reason, published.held_reason), '') AS held_reason
FROM summed
LEFT JOIN published
    ON published.entity_id = summed.entity_id
    AND published.day = summed.day
LEFT JOIN fresh ON fresh.entity_id = summed.entity_id
LEFT JOIN held
    ON held.entity_id = summed.entity_id
    AND held.day = summed.day
-- A day that GA4 has not published is no day without sessions.
CROSS JOIN LATERAL (
    SELECT CASE WHEN published.day IS NOT NULL THEN summed.sessions END AS sessions
) AS seen
WHERE summed.currency IS NOT NULL
    OR summed.currency_count = 0;
