-- needs: channels
-- Key events by channel, with what they cost in sessions and brought in revenue.
CREATE VIEW marts.key_events WITH (security_invoker = true, security_barrier = true) AS
SELECT
    entity_id,
    entity,
    property_id,
    day,
    channel,
    key_events,
    sessions,
    revenue,
    key_events_per_session,
    revenue::double precision / nullif(key_events, 0) AS revenue_per_key_event,
    currency,
    as_of,
    is_provisional,
    last_synced_at,
    is_held,
    held_reason
FROM marts.channels;
