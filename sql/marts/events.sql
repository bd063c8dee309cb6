-- needs: partitions
-- Events by name.
CREATE VIEW marts.events WITH (security_invoker = true, security_barrier = true) AS
SELECT
    fact.entity_id,
    partition.entity,
    fact.property_id,
    fact.report_date AS day,
    fact.event_name,
    fact.event_count,
    fact.total_users,
    fact.key_events,
    fact.event_value,
    fact.total_revenue AS revenue,
    partition.currency,
    partition.as_of,
    partition.is_provisional,
    partition.last_synced_at,
    partition.is_held,
    partition.held_reason
FROM facts.fact_events AS fact
JOIN marts.partitions AS partition
    ON partition.property_id = fact.property_id
    AND partition.period_start = fact.report_date
WHERE partition.report = 'events'
    AND partition.is_published;
