-- needs: partitions, source_channels, event_freshness, held_events
-- What each campaign cost on a day, beside the sessions GA4 saw and the orders that came from it.
CREATE VIEW marts.campaign_spend WITH (security_invoker = true, security_barrier = true) AS
WITH parts AS (
    SELECT
        spend.entity_id,
        entity.slug AS entity,
        spend.event_on AS day,
        -- Folded in the fact already, since they are its key.
        spend.traffic_source AS source,
        spend.traffic_medium AS medium,
        spend.campaign,
        spend.currency,
        spend.amount AS cost,
        spend.impressions,
        spend.clicks,
        0 AS sessions,
        0 AS order_count,
        0 AS revenue,
        true AS is_spend,
        spend.received_at
    FROM facts.fact_campaign_spend AS spend
    JOIN config.business_entity AS entity ON entity.entity_id = spend.entity_id
    UNION ALL
    SELECT
        traffic.entity_id,
        entity.slug,
        traffic.report_date,
        coalesce(nullif(lower(btrim(traffic.session_source)), ''), '(not set)'),
        coalesce(nullif(lower(btrim(traffic.session_medium)), ''), '(not set)'),
        coalesce(nullif(lower(btrim(traffic.session_campaign_name)), ''), '(not set)'),
        NULL,
        0,
        0,
        0,
        traffic.sessions,
        0,
        0,
        false,
        NULL
    FROM facts.fact_traffic_acquisition AS traffic
    JOIN config.business_entity AS entity ON entity.entity_id = traffic.entity_id
    UNION ALL
    SELECT
        purchase.entity_id,
        entity.slug,
        purchase.event_on,
        coalesce(nullif(lower(btrim(purchase.traffic_source)), ''), '(not set)'),
        coalesce(nullif(lower(btrim(purchase.traffic_medium)), ''), '(not set)'),
        coalesce(nullif(lower(btrim(purchase.campaign)), ''), '(not set)'),
        purchase.currency,
        0,
        0,
        0,
        0,
        1,
        purchase.total,
        false,
        purchase.received_at
    FROM facts.fact_order AS purchase
    JOIN config.business_entity AS entity ON entity.entity_id = purchase.entity_id
    WHERE purchase.status <> 'cancelled'
),

summed AS (
    SELECT
        entity_id,
        entity,
        day,
        source,
        medium,
        campaign,
        currency,
        sum(cost) AS cost,
        sum(impressions) AS impressions,
        sum(clicks) AS clicks,
        -- GA4's sessions have no currency: each row of the campaign's day shows them.
        sum(sum(sessions)) OVER campaigns::bigint AS sessions,
        sum(order_count)::bigint AS order_count,
        (sum(sum(order_count)) OVER campaigns - sum(order_count))::bigint AS other_currency_order_count,
        sum(revenue) AS revenue,
        bool_or(is_spend) AS is_spend,
        max(received_at) AS received_at
    FROM parts
    GROUP BY entity_id, entity, day, source, medium, campaign, currency
    WINDOW campaigns AS (PARTITION BY entity_id, entity, day, source, medium, campaign)
),

published AS (
    SELECT
        entity_id,
        period_start AS day,
        bool_or(is_provisional) AS is_provisional,
        max(last_synced_at) AS last_synced_at,
        bool_or(is_held) AS is_held,
        string_agg(DISTINCT held_reason, '; ') AS held_reason
    FROM marts.partitions
    WHERE report = 'traffic_acquisition'
        AND is_published
    GROUP BY entity_id, period_start
),

held AS (
    SELECT
        entity_id,
        day,
        string_agg(held_reason, '; ' ORDER BY event_type) AS held_reason
    FROM marts.held_events
    WHERE event_type IN ('campaign_spend', 'order')
    GROUP BY entity_id, day
)

SELECT
    summed.entity_id,
    summed.entity,
    summed.day,
    CASE WHEN summed.source = '(not set)' THEN 'Unattributed' ELSE coalesce(known.channel, 'Other') END
        AS channel,
    summed.source,
    summed.medium,
    summed.campaign,
    summed.currency,
    summed.cost::numeric(38, 6) AS cost,
    coalesce(summed.impressions, 0)::numeric(38, 0) AS impressions,
    coalesce(summed.clicks, 0)::numeric(38, 0) AS clicks,
    CASE WHEN published.day IS NOT NULL THEN summed.sessions END AS sessions,
    summed.order_count,
    summed.other_currency_order_count,
    summed.revenue::numeric(38, 6) AS revenue,
    (summed.cost / nullif(summed.clicks, 0))::double precision AS cost_per_click,
    CASE WHEN published.day IS NOT NULL THEN
        (summed.cost / nullif(summed.sessions, 0))::double precision
    END AS cost_per_session,
    -- What came back in another currency is not in this row's: its ratios would be too low, or too high.
    CASE WHEN summed.other_currency_order_count = 0 THEN
        (summed.cost / nullif(summed.order_count, 0))::double precision
    END AS cost_per_order,
    CASE WHEN summed.other_currency_order_count = 0 THEN
        (summed.revenue / nullif(summed.cost, 0))::double precision
    END AS return_on_spend,
    fresh.as_of,
    coalesce(summed.day >= fresh.provisional_from, false) OR coalesce(published.is_provisional, false)
        AS is_provisional,
    greatest(summed.received_at, published.last_synced_at) AS last_synced_at,
    held.day IS NOT NULL OR coalesce(published.is_held, false) AS is_held,
    nullif(concat_ws('; ', held.held_reason, published.held_reason), '') AS held_reason
FROM summed
LEFT JOIN published
    ON published.entity_id = summed.entity_id
    AND published.day = summed.day
LEFT JOIN marts.source_channels AS known
    ON known.entity_id = summed.entity_id
    AND known.source = summed.source
    AND known.medium = summed.medium
LEFT JOIN marts.event_freshness AS fresh
    ON fresh.entity_id = summed.entity_id
    AND fresh.event_type = 'campaign_spend'
LEFT JOIN held
    ON held.entity_id = summed.entity_id
    AND held.day = summed.day
WHERE summed.is_spend;
