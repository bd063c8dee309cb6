-- needs: campaigns
-- Sessions by channel: the additive part of campaigns, summed over source, medium and campaign.
CREATE VIEW marts.channels WITH (security_invoker = true, security_barrier = true) AS
SELECT
    entity_id,
    entity,
    property_id,
    day,
    channel,
    sum(sessions)::bigint AS sessions,
    sum(engaged_sessions)::bigint AS engaged_sessions,
    sum(event_count)::bigint AS event_count,
    sum(key_events) AS key_events,
    sum(engagement_seconds)::bigint AS engagement_seconds,
    sum(new_users)::bigint AS new_users,
    sum(revenue)::numeric(20, 6) AS revenue,
    sum(engaged_sessions)::double precision / nullif(sum(sessions), 0)::double precision AS engagement_rate,
    sum(key_events) / nullif(sum(sessions), 0)::double precision AS key_events_per_session,
    currency,
    as_of,
    is_provisional,
    last_synced_at,
    is_held,
    held_reason
FROM marts.campaigns
GROUP BY
    entity_id,
    entity,
    property_id,
    day,
    channel,
    currency,
    as_of,
    is_provisional,
    last_synced_at,
    is_held,
    held_reason;
