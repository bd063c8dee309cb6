-- needs: partitions
-- The totals of each property and day; a published day without visits is a row of zeros.
CREATE VIEW marts.daily_totals WITH (security_invoker = true, security_barrier = true) AS
SELECT
    partition.entity_id,
    partition.entity,
    partition.property_id,
    partition.period_start AS day,
    coalesce(fact.sessions, 0) AS sessions,
    coalesce(fact.engaged_sessions, 0) AS engaged_sessions,
    fact.engaged_sessions::double precision / nullif(fact.sessions, 0) AS engagement_rate,
    coalesce(fact.screen_page_views, 0) AS page_views,
    coalesce(fact.event_count, 0) AS event_count,
    coalesce(fact.key_events, 0) AS key_events,
    coalesce(fact.user_engagement_duration, 0) AS engagement_seconds,
    coalesce(fact.active_users, 0) AS active_users,
    coalesce(fact.total_users, 0) AS total_users,
    coalesce(fact.new_users, 0) AS new_users,
    coalesce(fact.total_revenue, 0)::numeric(20, 6) AS revenue,
    partition.currency,
    partition.as_of,
    partition.is_provisional,
    partition.last_synced_at,
    partition.is_held,
    partition.held_reason
FROM marts.partitions AS partition
LEFT JOIN facts.fact_daily_totals AS fact
    ON fact.property_id = partition.property_id
    AND fact.report_date = partition.period_start
WHERE partition.report = 'daily_totals'
    AND partition.is_published;
