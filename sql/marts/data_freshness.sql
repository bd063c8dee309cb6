-- needs: partitions
-- How current each report of each property is: newest period, last sync, what may still change, what is missing.
CREATE VIEW marts.data_freshness WITH (security_invoker = true, security_barrier = true) AS
WITH counted AS (
    SELECT
        entity_id,
        entity,
        property_id,
        report,
        min(period_start) FILTER (WHERE is_published) AS first_period,
        max(period_start) FILTER (WHERE is_published) AS as_of,
        max(last_synced_at) AS last_synced_at,
        min(period_start) FILTER (WHERE is_published AND is_provisional) AS provisional_from,
        count(*) FILTER (WHERE is_published) AS published_count,
        count(*) FILTER (WHERE is_held) AS held_count,
        max(period_start) FILTER (WHERE is_held) AS newest_held,
        (array_agg(held_reason ORDER BY period_start DESC) FILTER (WHERE is_held))[1] AS held_reason
    FROM marts.partitions
    GROUP BY entity_id, entity, property_id, report
)

SELECT
    entity_id,
    entity,
    property_id,
    report,
    first_period,
    as_of,
    last_synced_at,
    provisional_from IS NOT NULL AS is_provisional,
    provisional_from,
    published_count,
    CASE
        WHEN published_count = 0 THEN 0
        WHEN report = 'weekly_users' THEN (as_of - first_period) / 7 + 1 - published_count
        WHEN report = 'monthly_users' THEN
            12 * extract(year FROM age(as_of, first_period))::integer
            + extract(month FROM age(as_of, first_period))::integer + 1 - published_count
        ELSE as_of - first_period + 1 - published_count
    END AS hole_count,
    held_count > 0 AS is_held,
    held_count,
    newest_held,
    held_reason
FROM counted;
