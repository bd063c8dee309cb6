-- needs: source_channels, event_freshness, held_events
-- What became of the leads of each day: those that ordered, how soon, and for how much. One row a currency.
CREATE VIEW marts.lead_conversion WITH (security_invoker = true, security_barrier = true) AS
WITH named AS (
    SELECT
        lead.entity_id,
        entity.slug AS entity,
        lead.event_on AS day,
        lead.source_id,
        lead.lead_id,
        coalesce(nullif(lower(btrim(lead.traffic_source)), ''), '(not set)') AS source,
        coalesce(nullif(lower(btrim(lead.traffic_medium)), ''), '(not set)') AS medium,
        purchase.currency,
        count(purchase.order_id) AS order_count,
        sum(purchase.total) AS revenue,
        CASE WHEN count(purchase.order_id) > 0 THEN
            greatest(extract(epoch FROM min(purchase.placed_at) - lead.created_at), 0) / 86400
        END AS days_to_order,
        greatest(lead.received_at, max(purchase.received_at)) AS received_at
    FROM facts.fact_lead AS lead
    JOIN config.business_entity AS entity ON entity.entity_id = lead.entity_id
    LEFT JOIN facts.fact_order AS purchase
        ON purchase.entity_id = lead.entity_id
        AND purchase.lead_id = lead.lead_id
        AND purchase.status <> 'cancelled'
        -- Of two leads with one id, the order is of that of its own source, else of the first that has it.
        AND (
            purchase.source_id = lead.source_id
            OR NOT EXISTS (
                SELECT
                FROM config.webhook_source AS sender
                JOIN facts.fact_lead AS nearer ON nearer.source_id = sender.source_id
                WHERE sender.entity_id = lead.entity_id
                    AND nearer.lead_id = lead.lead_id
                    AND nearer.status <> 'spam'
                    AND (nearer.source_id = purchase.source_id OR nearer.source_id < lead.source_id)
            )
        )
    WHERE lead.status <> 'spam'
    GROUP BY lead.source_id, lead.lead_id, entity.entity_id, purchase.currency
),

ranked AS (
    SELECT
        named.*,
        CASE WHEN named.source = '(not set)' THEN 'Unattributed' ELSE coalesce(known.channel, 'Other') END
            AS channel,
        row_number() OVER (
            PARTITION BY named.entity_id, named.entity, named.day, named.source_id, named.lead_id
            ORDER BY named.currency
        ) AS place
    FROM named
    LEFT JOIN marts.source_channels AS known
        ON known.entity_id = named.entity_id
        AND known.source = named.source
        AND known.medium = named.medium
),

cohorts AS (
    SELECT
        entity_id,
        entity,
        day,
        channel,
        currency,
        -- A lead has no currency: each row of its day and channel counts it.
        sum(count(*) FILTER (WHERE place = 1)) OVER channels::bigint AS lead_count,
        count(*) FILTER (WHERE order_count > 0) AS converted_count,
        sum(order_count)::bigint AS order_count,
        coalesce(sum(revenue), 0)::numeric(38, 6) AS revenue,
        coalesce(sum(days_to_order), 0)::double precision AS days_to_order,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY days_to_order::double precision) AS median_days_to_order,
        max(max(received_at)) OVER channels AS last_synced_at,
        count(currency) OVER channels AS currency_count
    FROM ranked
    GROUP BY entity_id, entity, day, channel, currency
    WINDOW channels AS (PARTITION BY entity_id, entity, day, channel)
),

held AS (
    SELECT
        entity_id,
        day,
        string_agg(held_reason, '; ' ORDER BY event_type) AS held_reason
    FROM marts.held_events
    WHERE event_type IN ('lead', 'order')
    GROUP BY entity_id, day
)

SELECT
    cohorts.entity_id,
    cohorts.entity,
    cohorts.day,
    cohorts.channel,
    cohorts.currency,
    cohorts.lead_count,
    cohorts.converted_count,
    cohorts.order_count,
    cohorts.revenue,
    cohorts.days_to_order,
    cohorts.converted_count::double precision / nullif(cohorts.lead_count, 0) AS conversion_rate,
    (cohorts.revenue / nullif(cohorts.lead_count, 0))::double precision AS revenue_per_lead,
    cohorts.days_to_order / nullif(cohorts.converted_count, 0) AS average_days_to_order,
    cohorts.median_days_to_order,
    fresh.as_of,
    coalesce(cohorts.day >= fresh.provisional_from, false) AS is_provisional,
    cohorts.last_synced_at,
    held.day IS NOT NULL AS is_held,
    held.held_reason
FROM cohorts
LEFT JOIN marts.event_freshness AS fresh
    ON fresh.entity_id = cohorts.entity_id
    AND fresh.event_type = 'lead'
LEFT JOIN held
    ON held.entity_id = cohorts.entity_id
    AND held.day = cohorts.day
WHERE cohorts.currency IS NOT NULL
    OR cohorts.currency_count = 0;
