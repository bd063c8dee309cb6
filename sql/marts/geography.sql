-- needs: partitions
-- Sessions and users by country, region and city.
CREATE VIEW marts.geography WITH (security_invoker = true, security_barrier = true) AS
SELECT
    fact.entity_id,
    partition.entity,
    fact.property_id,
    fact.report_date AS day,
    fact.country_id AS country_code,
    fact.country,
    fact.region,
    fact.city,
    fact.sessions,
    fact.engaged_sessions,
    fact.key_events,
    fact.active_users,
    fact.new_users,
    fact.total_revenue AS revenue,
    fact.engaged_sessions::double precision / nullif(fact.sessions, 0) AS engagement_rate,
    partition.currency,
    partition.as_of,
    partition.is_provisional,
    partition.last_synced_at,
    partition.is_held,
    partition.held_reason
FROM facts.fact_geo AS fact
JOIN marts.partitions AS partition
    ON partition.property_id = fact.property_id
    AND partition.period_start = fact.report_date
WHERE partition.report = 'geo'
    AND partition.is_published;
