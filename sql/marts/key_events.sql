-- needs: events
-- Key events by name: the events that a business counts as success.
CREATE VIEW marts.key_events WITH (security_invoker = true, security_barrier = true) AS
SELECT
    entity_id,
    entity,
    property_id,
    day,
    event_name,
    key_events,
    event_count,
    total_users,
    revenue,
    revenue::double precision / nullif(key_events, 0) AS revenue_per_key_event,
    currency,
    as_of,
    is_provisional,
    last_synced_at,
    is_held,
    held_reason
FROM marts.events
WHERE key_events > 0;
