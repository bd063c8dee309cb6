-- needs: partitions
-- Sessions by the channel, source, medium and campaign that brought them.
CREATE VIEW marts.campaigns WITH (security_invoker = true, security_barrier = true) AS
SELECT
    fact.entity_id,
    partition.entity,
    fact.property_id,
    fact.report_date AS day,
    fact.session_default_channel_group AS channel,
    fact.session_source AS source,
    fact.session_medium AS medium,
    fact.session_campaign_name AS campaign,
    fact.sessions,
    fact.engaged_sessions,
    fact.event_count,
    fact.key_events,
    fact.user_engagement_duration AS engagement_seconds,
    fact.total_users,
    fact.new_users,
    fact.total_revenue AS revenue,
    fact.engaged_sessions::double precision / nullif(fact.sessions, 0) AS engagement_rate,
    fact.key_events / nullif(fact.sessions, 0) AS key_events_per_session,
    partition.currency,
    partition.as_of,
    partition.is_provisional,
    partition.last_synced_at,
    partition.is_held,
    partition.held_reason
FROM facts.fact_traffic_acquisition AS fact
JOIN marts.partitions AS partition
    ON partition.property_id = fact.property_id
    AND partition.period_start = fact.report_date
WHERE partition.report = 'traffic_acquisition'
    AND partition.is_published;
