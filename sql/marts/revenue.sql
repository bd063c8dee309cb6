-- needs: daily_totals
-- Revenue of each entity and day, one row a currency: amounts in two currencies are never added.
CREATE VIEW marts.revenue WITH (security_invoker = true, security_barrier = true) AS
SELECT
    entity_id,
    entity,
    day,
    currency,
    sum(revenue)::numeric(20, 6) AS revenue,
    sum(sessions)::bigint AS sessions,
    sum(key_events) AS key_events,
    sum(revenue)::double precision / nullif(sum(sessions), 0)::double precision AS revenue_per_session,
    count(*)::integer AS property_count,
    max(as_of) AS as_of,
    bool_or(is_provisional) AS is_provisional,
    min(last_synced_at) AS last_synced_at,
    bool_or(is_held) AS is_held,
    string_agg(DISTINCT held_reason, '; ') AS held_reason
FROM marts.daily_totals
GROUP BY entity_id, entity, day, currency;
