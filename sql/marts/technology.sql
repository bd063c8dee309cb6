-- needs: partitions
-- Sessions and users by platform, device, operating system and browser.
CREATE VIEW marts.technology WITH (security_invoker = true, security_barrier = true) AS
SELECT
    fact.entity_id,
    partition.entity,
    fact.property_id,
    fact.report_date AS day,
    fact.platform,
    fact.device_category AS device,
    fact.operating_system,
    fact.browser,
    fact.sessions,
    fact.engaged_sessions,
    fact.screen_page_views AS page_views,
    fact.key_events,
    fact.active_users,
    fact.new_users,
    fact.engaged_sessions::double precision / nullif(fact.sessions, 0) AS engagement_rate,
    partition.as_of,
    partition.is_provisional,
    partition.last_synced_at,
    partition.is_held,
    partition.held_reason
FROM facts.fact_tech AS fact
JOIN marts.partitions AS partition
    ON partition.property_id = fact.property_id
    AND partition.period_start = fact.report_date
WHERE partition.report = 'tech'
    AND partition.is_published;
