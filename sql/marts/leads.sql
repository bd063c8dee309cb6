-- needs: source_channels, event_freshness, held_events
-- Leads by the day they came and by where they came from. Spam is counted apart.
CREATE VIEW marts.leads WITH (security_invoker = true, security_barrier = true) AS
WITH named AS (
    SELECT
        lead.entity_id,
        entity.slug AS entity,
        lead.event_on AS day,
        coalesce(nullif(lower(btrim(lead.traffic_source)), ''), '(not set)') AS source,
        coalesce(nullif(lower(btrim(lead.traffic_medium)), ''), '(not set)') AS medium,
        coalesce(nullif(lower(btrim(lead.campaign)), ''), '(not set)') AS campaign,
        lead.currency,
        lead.status,
        lead.value,
        lead.received_at
    FROM facts.fact_lead AS lead
    JOIN config.business_entity AS entity ON entity.entity_id = lead.entity_id
),

daily AS (
    SELECT
        lead.entity_id,
        lead.entity,
        lead.day,
        CASE WHEN lead.source = '(not set)' THEN 'Unattributed' ELSE coalesce(known.channel, 'Other') END
            AS channel,
        lead.source,
        lead.medium,
        lead.campaign,
        lead.currency,
        count(*) FILTER (WHERE lead.status <> 'spam') AS lead_count,
        count(*) FILTER (WHERE lead.status IN ('qualified', 'won')) AS qualified_count,
        count(*) FILTER (WHERE lead.status = 'won') AS won_count,
        count(*) FILTER (WHERE lead.status = 'lost') AS lost_count,
        count(*) FILTER (WHERE lead.status = 'spam') AS spam_count,
        CASE WHEN lead.currency IS NOT NULL THEN
            coalesce(sum(lead.value) FILTER (WHERE lead.status <> 'spam'), 0)
        END::numeric(38, 6) AS lead_value,
        CASE WHEN lead.currency IS NOT NULL THEN
            coalesce(sum(lead.value) FILTER (WHERE lead.status = 'won'), 0)
        END::numeric(38, 6) AS won_value,
        max(lead.received_at) AS last_synced_at
    FROM named AS lead
    LEFT JOIN marts.source_channels AS known
        ON known.entity_id = lead.entity_id
        AND known.source = lead.source
        AND known.medium = lead.medium
    GROUP BY
        lead.entity_id,
        lead.entity,
        lead.day,
        lead.source,
        lead.medium,
        lead.campaign,
        lead.currency,
        known.channel
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
    daily.lead_count,
    daily.qualified_count,
    daily.won_count,
    daily.lost_count,
    daily.spam_count,
    daily.lead_value,
    daily.won_value,
    daily.qualified_count::double precision / nullif(daily.lead_count, 0) AS qualified_rate,
    daily.won_count::double precision / nullif(daily.lead_count, 0) AS win_rate,
    fresh.as_of,
    coalesce(daily.day >= fresh.provisional_from, false) AS is_provisional,
    daily.last_synced_at,
    held.day IS NOT NULL AS is_held,
    held.held_reason
FROM daily
LEFT JOIN marts.event_freshness AS fresh
    ON fresh.entity_id = daily.entity_id
    AND fresh.event_type = 'lead'
LEFT JOIN marts.held_events AS held
    ON held.entity_id = daily.entity_id
    AND held.event_type = 'lead'
    AND held.day = daily.day;
