-- needs: event_freshness, held_events
-- Subscriptions, one row a day: what changed, and what was active when the day ended.
CREATE VIEW marts.subscriptions WITH (security_invoker = true, security_barrier = true) AS
WITH changes AS (
    SELECT
        change.entity_id,
        change.event_on AS day,
        change.change,
        change.currency,
        state.monthly_amount,
        state.active_count,
        lag(change.currency) OVER subscription AS currency_before,
        lag(state.monthly_amount, 1, 0.0) OVER subscription AS amount_before,
        lag(state.active_count, 1, 0) OVER subscription AS active_before,
        change.received_at
    FROM facts.fact_subscription_change AS change
    CROSS JOIN LATERAL (
        SELECT
            CASE WHEN change.change IN ('paused', 'cancelled') THEN 0 ELSE change.monthly_amount END
                AS monthly_amount,
            CASE WHEN change.change IN ('paused', 'cancelled') THEN 0 ELSE 1 END AS active_count
    ) AS state
    WINDOW subscription AS (
        PARTITION BY change.source_id, change.subscription_id
        ORDER BY change.changed_at, change.event_at, change.inbox_id
    )
),

moves AS (
    SELECT
        changes.entity_id,
        changes.day,
        move.currency,
        move.change,
        move.amount,
        move.active_count,
        changes.received_at
    FROM changes
    -- A subscription that changes its currency leaves the one and enters the other.
    CROSS JOIN LATERAL (
        SELECT
            changes.currency,
            changes.change,
            CASE
                WHEN changes.currency = changes.currency_before THEN changes.monthly_amount - changes.amount_before
                ELSE changes.monthly_amount
            END AS amount,
            CASE
                WHEN changes.currency = changes.currency_before THEN changes.active_count - changes.active_before
                ELSE changes.active_count
            END AS active_count
        UNION ALL
        SELECT
            changes.currency_before,
            NULL,
            -changes.amount_before,
            -changes.active_before
        WHERE changes.currency_before <> changes.currency
    ) AS move
),

changed AS (
    SELECT
        entity_id,
        currency,
        day,
        count(*) FILTER (WHERE change = 'started') AS started_count,
        count(*) FILTER (WHERE change = 'renewed') AS renewed_count,
        count(*) FILTER (WHERE change = 'upgraded') AS upgraded_count,
        count(*) FILTER (WHERE change = 'downgraded') AS downgraded_count,
        count(*) FILTER (WHERE change = 'paused') AS paused_count,
        count(*) FILTER (WHERE change = 'resumed') AS resumed_count,
        count(*) FILTER (WHERE change = 'cancelled') AS cancelled_count,
        coalesce(sum(amount) FILTER (WHERE amount > 0), 0) AS gained_amount,
        coalesce(-sum(amount) FILTER (WHERE amount < 0), 0) AS lost_amount,
        sum(amount) AS amount,
        sum(active_count) AS active_count,
        max(received_at) AS received_at
    FROM moves
    GROUP BY entity_id, currency, day
),

fresh AS (
    SELECT
        entity_id,
        max(as_of) FILTER (WHERE event_type = 'subscription_change') AS as_of,
        max(as_of) AS newest_day,
        min(provisional_from) AS provisional_from
    FROM marts.event_freshness
    GROUP BY entity_id
),

days AS (
    SELECT
        begun.entity_id,
        entity.slug AS entity,
        begun.currency,
        begun.first_day + passed.day_count AS day,
        fresh.as_of,
        fresh.provisional_from
    FROM (
        SELECT
            entity_id,
            currency,
            min(day) AS first_day
        FROM changed
        GROUP BY entity_id, currency
    ) AS begun
    JOIN config.business_entity AS entity ON entity.entity_id = begun.entity_id
    JOIN fresh ON fresh.entity_id = begun.entity_id
    CROSS JOIN LATERAL generate_series(0, fresh.newest_day - begun.first_day) AS passed (day_count)
),

running AS (
    SELECT
        days.entity_id,
        days.entity,
        days.day,
        days.currency,
        coalesce(changed.started_count, 0) AS started_count,
        coalesce(changed.renewed_count, 0) AS renewed_count,
        coalesce(changed.upgraded_count, 0) AS upgraded_count,
        coalesce(changed.downgraded_count, 0) AS downgraded_count,
        coalesce(changed.paused_count, 0) AS paused_count,
        coalesce(changed.resumed_count, 0) AS resumed_count,
        coalesce(changed.cancelled_count, 0) AS cancelled_count,
        coalesce(changed.gained_amount, 0) AS gained_amount,
        coalesce(changed.lost_amount, 0) AS lost_amount,
        sum(changed.active_count) OVER so_far AS active_count,
        sum(changed.amount) OVER so_far AS active_amount,
        days.as_of,
        days.day >= days.provisional_from AS is_provisional,
        max(changed.received_at) OVER so_far AS last_synced_at
    FROM days
    LEFT JOIN changed
        ON changed.entity_id = days.entity_id
        AND changed.currency = days.currency
        AND changed.day = days.day
    WINDOW so_far AS (PARTITION BY days.entity_id, days.entity, days.currency ORDER BY days.day)
)

SELECT
    running.entity_id,
    running.entity,
    running.day,
    running.currency,
    running.started_count,
    running.renewed_count,
    running.upgraded_count,
    running.downgraded_count,
    running.paused_count,
    running.resumed_count,
    running.cancelled_count,
    running.gained_amount::numeric(38, 6) AS monthly_amount_gained,
    running.lost_amount::numeric(38, 6) AS monthly_amount_lost,
    running.active_count::bigint AS active_count,
    running.active_amount::numeric(38, 6) AS active_monthly_amount,
    (running.active_amount / nullif(running.active_count, 0))::double precision AS monthly_amount_per_subscription,
    running.as_of,
    running.is_provisional,
    running.last_synced_at,
    held.day IS NOT NULL AS is_held,
    held.held_reason
FROM running
LEFT JOIN marts.held_events AS held
    ON held.entity_id = running.entity_id
    AND held.event_type = 'subscription_change'
    AND held.day = running.day;
