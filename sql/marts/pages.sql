-- needs: partitions
-- Page views and time by page.
CREATE VIEW marts.pages WITH (security_invoker = true, security_barrier = true) AS
SELECT
    fact.entity_id,
    partition.entity,
    fact.property_id,
    fact.report_date AS day,
    fact.host_name,
    fact.page_path,
    fact.screen_page_views AS page_views,
    fact.active_users,
    fact.event_count,
    fact.key_events,
    fact.user_engagement_duration AS engagement_seconds,
    fact.user_engagement_duration::double precision / nullif(fact.active_users, 0) AS engagement_seconds_per_user,
    partition.as_of,
    partition.is_provisional,
    partition.last_synced_at,
    partition.is_held,
    partition.held_reason
FROM facts.fact_pages AS fact
JOIN marts.partitions AS partition
    ON partition.property_id = fact.property_id
    AND partition.period_start = fact.report_date
WHERE partition.report = 'pages'
    AND partition.is_published;
