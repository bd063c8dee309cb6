-- needs: partitions
-- Users of each property as GA4 counts them over a whole ISO week; a period without visits is a row of zeros.
CREATE VIEW marts.users_weekly WITH (security_invoker = true, security_barrier = true) AS
SELECT
    partition.entity_id,
    partition.entity,
    partition.property_id,
    partition.period_start AS week_start,
    coalesce(fact.active_users, 0) AS active_users,
    coalesce(fact.total_users, 0) AS total_users,
    coalesce(fact.new_users, 0) AS new_users,
    coalesce(fact.sessions, 0) AS sessions,
    partition.as_of,
    partition.is_provisional,
    partition.last_synced_at,
    partition.is_held,
    partition.held_reason
FROM marts.partitions AS partition
LEFT JOIN facts.fact_weekly_users AS fact
    ON fact.property_id = partition.property_id
    AND fact.report_date = partition.period_start
WHERE partition.report = 'weekly_users'
    AND partition.is_published;
