-- needs: event_freshness, held_events
-- Support tickets by the day they were opened, with how long customers waited.
CREATE VIEW marts.support_tickets WITH (security_invoker = true, security_barrier = true) AS
WITH daily AS (
    SELECT
        ticket.entity_id,
        entity.slug AS entity,
        ticket.event_on AS day,
        coalesce(nullif(btrim(ticket.category), ''), '(not set)') AS category,
        coalesce(ticket.priority, '(not set)') AS priority,
        count(*) AS ticket_count,
        count(*) FILTER (WHERE ticket.status IN ('open', 'pending')) AS open_count,
        count(*) FILTER (WHERE ticket.status IN ('solved', 'closed')) AS solved_count,
        count(ticket.first_reply_seconds) AS replied_count,
        coalesce(sum(ticket.first_reply_seconds), 0)::numeric(38, 0) AS first_reply_seconds,
        count(wait.seconds) AS timed_count,
        coalesce(sum(wait.seconds), 0)::numeric(38, 0) AS solve_seconds,
        max(ticket.received_at) AS last_synced_at
    FROM facts.fact_support_ticket AS ticket
    JOIN config.business_entity AS entity ON entity.entity_id = ticket.entity_id
    CROSS JOIN LATERAL (
        SELECT
            CASE WHEN ticket.solved_at >= ticket.opened_at AND ticket.status IN ('solved', 'closed') THEN
                extract(epoch FROM ticket.solved_at - ticket.opened_at)
            END AS seconds
    ) AS wait
    GROUP BY 1, 2, 3, 4, 5
)

SELECT
    daily.entity_id,
    daily.entity,
    daily.day,
    daily.category,
    daily.priority,
    daily.ticket_count,
    daily.open_count,
    daily.solved_count,
    daily.replied_count,
    daily.first_reply_seconds,
    daily.timed_count,
    daily.solve_seconds,
    daily.solved_count::double precision / nullif(daily.ticket_count, 0) AS solved_rate,
    daily.first_reply_seconds::double precision / nullif(daily.replied_count, 0) AS seconds_to_first_reply,
    daily.solve_seconds::double precision / nullif(daily.timed_count, 0) AS seconds_to_solve,
    fresh.as_of,
    coalesce(daily.day >= fresh.provisional_from, false) AS is_provisional,
    daily.last_synced_at,
    held.day IS NOT NULL AS is_held,
    held.held_reason
FROM daily
LEFT JOIN marts.event_freshness AS fresh
    ON fresh.entity_id = daily.entity_id
    AND fresh.event_type = 'support_ticket'
LEFT JOIN marts.held_events AS held
    ON held.entity_id = daily.entity_id
    AND held.event_type = 'support_ticket'
    AND held.day = daily.day;
