-- needs: partitions
-- Users by the channel, source, medium and campaign that brought them the first time.
CREATE VIEW marts.user_acquisition WITH (security_invoker = true, security_barrier = true) AS
SELECT
    fact.entity_id,
    partition.entity,
    fact.property_id,
    fact.report_date AS day,
    fact.first_user_default_channel_group AS channel,
    fact.first_user_source AS source,
    fact.first_user_medium AS medium,
    fact.first_user_campaign_name AS campaign,
    fact.new_users,
    fact.total_users,
    fact.engaged_sessions,
    fact.event_count,
    fact.key_events,
    fact.total_revenue AS revenue,
    partition.currency,
    partition.as_of,
    partition.is_provisional,
    partition.last_synced_at,
    partition.is_held,
    partition.held_reason
FROM facts.fact_user_acquisition AS fact
JOIN marts.partitions AS partition
    ON partition.property_id = fact.property_id
    AND partition.period_start = fact.report_date
WHERE partition.report = 'user_acquisition'
    AND partition.is_published;
