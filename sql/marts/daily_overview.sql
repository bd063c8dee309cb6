-- needs: daily_totals
-- The day of each entity beside the day, the week and the year before, over the same properties.
CREATE VIEW marts.daily_overview WITH (security_invoker = true, security_barrier = true) AS
WITH past AS NOT MATERIALIZED (
    SELECT
        ledger.property_id,
        ledger.report_date AS day,
        coalesce(fact.sessions, 0) AS sessions,
        coalesce(fact.key_events, 0) AS key_events,
        coalesce(fact.active_users, 0) AS active_users,
        coalesce(fact.total_revenue, 0) AS revenue,
        ledger.currency
    FROM ops.partition_ledger AS ledger
    LEFT JOIN facts.fact_daily_totals AS fact
        ON fact.property_id = ledger.property_id
        AND fact.report_date = ledger.report_date
    WHERE ledger.report = 'daily_totals'
        AND ledger.published_at IS NOT NULL
),

summed AS (
    SELECT
        today.entity_id,
        today.entity,
        today.day,
        count(*)::integer AS property_count,
        count(*) = 1 AS is_one_property,
        sum(today.sessions)::bigint AS sessions,
        sum(today.engaged_sessions)::bigint AS engaged_sessions,
        sum(today.page_views)::bigint AS page_views,
        sum(today.event_count)::bigint AS event_count,
        sum(today.key_events) AS key_events,
        sum(today.engagement_seconds)::bigint AS engagement_seconds,
        max(today.active_users) AS active_users,
        max(today.total_users) AS total_users,
        max(today.new_users) AS new_users,
        sum(today.revenue) AS revenue,
        max(today.currency) AS currency,
        min(today.currency) = max(today.currency) AS is_one_currency,
        count(day_before.day) = count(*) AS has_day_before,
        sum(day_before.sessions)::bigint AS sessions_day_before,
        sum(day_before.key_events) AS key_events_day_before,
        max(day_before.active_users) AS active_users_day_before,
        sum(day_before.revenue) AS revenue_day_before,
        bool_and(day_before.currency = today.currency) AS is_currency_day_before,
        count(week_before.day) = count(*) AS has_week_before,
        sum(week_before.sessions)::bigint AS sessions_week_before,
        sum(week_before.key_events) AS key_events_week_before,
        max(week_before.active_users) AS active_users_week_before,
        sum(week_before.revenue) AS revenue_week_before,
        bool_and(week_before.currency = today.currency) AS is_currency_week_before,
        count(year_before.day) = count(*) AS has_year_before,
        sum(year_before.sessions)::bigint AS sessions_year_before,
        sum(year_before.key_events) AS key_events_year_before,
        max(year_before.active_users) AS active_users_year_before,
        sum(year_before.revenue) AS revenue_year_before,
        bool_and(year_before.currency = today.currency) AS is_currency_year_before,
        max(today.as_of) AS as_of,
        bool_or(today.is_provisional) AS is_provisional,
        min(today.last_synced_at) AS last_synced_at,
        bool_or(today.is_held) AS is_held,
        string_agg(DISTINCT today.held_reason, '; ') AS held_reason
    FROM marts.daily_totals AS today
    -- Subtraction is not leakproof: behind OFFSET 0 it is a plain value by which row-level security lets the
    -- planner look up the days. 364 days are 52 weeks: a Monday is compared with a Monday.
    CROSS JOIN LATERAL (
        SELECT
            today.day - 1 AS day_before,
            today.day - 7 AS week_before,
            today.day - 364 AS year_before
        OFFSET 0
    ) AS earlier
    LEFT JOIN past AS day_before
        ON day_before.property_id = today.property_id
        AND day_before.day = earlier.day_before
    LEFT JOIN past AS week_before
        ON week_before.property_id = today.property_id
        AND week_before.day = earlier.week_before
    LEFT JOIN past AS year_before
        ON year_before.property_id = today.property_id
        AND year_before.day = earlier.year_before
    GROUP BY today.entity_id, today.entity, today.day
),

expected AS (
    SELECT
        entity_id,
        count(*)::integer AS expected_property_count
    FROM config.ga4_property
    WHERE is_enabled
    GROUP BY entity_id
),

comparable AS (
    SELECT
        entity_id,
        entity,
        day,
        sessions,
        engaged_sessions,
        page_views,
        event_count,
        key_events,
        engagement_seconds,
        CASE WHEN is_one_property THEN active_users END AS active_users,
        CASE WHEN is_one_property THEN total_users END AS total_users,
        CASE WHEN is_one_property THEN new_users END AS new_users,
        (CASE WHEN is_one_currency THEN revenue END)::numeric(20, 6) AS revenue,
        CASE WHEN is_one_currency THEN currency END AS currency,
        CASE WHEN has_day_before THEN sessions_day_before END AS sessions_day_before,
        CASE WHEN has_week_before THEN sessions_week_before END AS sessions_week_before,
        CASE WHEN has_year_before THEN sessions_year_before END AS sessions_year_before,
        CASE WHEN has_day_before THEN key_events_day_before END AS key_events_day_before,
        CASE WHEN has_week_before THEN key_events_week_before END AS key_events_week_before,
        CASE WHEN has_year_before THEN key_events_year_before END AS key_events_year_before,
        CASE WHEN has_day_before AND is_one_property THEN active_users_day_before END
            AS active_users_day_before,
        CASE WHEN has_week_before AND is_one_property THEN active_users_week_before END
            AS active_users_week_before,
        CASE WHEN has_year_before AND is_one_property THEN active_users_year_before END
            AS active_users_year_before,
        (CASE WHEN has_day_before AND is_one_currency AND is_currency_day_before THEN revenue_day_before END)
            ::numeric(20, 6) AS revenue_day_before,
        (CASE WHEN has_week_before AND is_one_currency AND is_currency_week_before THEN revenue_week_before END)
            ::numeric(20, 6) AS revenue_week_before,
        (CASE WHEN has_year_before AND is_one_currency AND is_currency_year_before THEN revenue_year_before END)
            ::numeric(20, 6) AS revenue_year_before,
        property_count,
        as_of,
        is_provisional,
        last_synced_at,
        is_held,
        held_reason
    FROM summed
)

SELECT
    today.entity_id,
    today.entity,
    today.day,
    today.sessions,
    today.engaged_sessions,
    today.engaged_sessions::double precision / nullif(today.sessions, 0) AS engagement_rate,
    today.page_views,
    today.event_count,
    today.key_events,
    today.engagement_seconds,
    today.active_users,
    today.total_users,
    today.new_users,
    today.revenue,
    today.currency,
    today.sessions_day_before,
    today.sessions_week_before,
    today.sessions_year_before,
    today.sessions::double precision / nullif(today.sessions_day_before, 0) - 1 AS sessions_day_change,
    today.sessions::double precision / nullif(today.sessions_week_before, 0) - 1 AS sessions_week_change,
    today.sessions::double precision / nullif(today.sessions_year_before, 0) - 1 AS sessions_year_change,
    today.key_events_day_before,
    today.key_events_week_before,
    today.key_events_year_before,
    today.key_events / nullif(today.key_events_day_before, 0) - 1 AS key_events_day_change,
    today.key_events / nullif(today.key_events_week_before, 0) - 1 AS key_events_week_change,
    today.key_events / nullif(today.key_events_year_before, 0) - 1 AS key_events_year_change,
    today.active_users_day_before,
    today.active_users_week_before,
    today.active_users_year_before,
    today.active_users::double precision / nullif(today.active_users_day_before, 0) - 1
        AS active_users_day_change,
    today.active_users::double precision / nullif(today.active_users_week_before, 0) - 1
        AS active_users_week_change,
    today.active_users::double precision / nullif(today.active_users_year_before, 0) - 1
        AS active_users_year_change,
    today.revenue_day_before,
    today.revenue_week_before,
    today.revenue_year_before,
    (today.revenue / nullif(today.revenue_day_before, 0) - 1)::double precision AS revenue_day_change,
    (today.revenue / nullif(today.revenue_week_before, 0) - 1)::double precision AS revenue_week_change,
    (today.revenue / nullif(today.revenue_year_before, 0) - 1)::double precision AS revenue_year_change,
    today.property_count,
    coalesce(expected.expected_property_count, 0) AS expected_property_count,
    today.property_count = 1 AS is_user_count_additive,
    today.as_of,
    today.is_provisional,
    today.last_synced_at,
    today.is_held,
    today.held_reason
FROM comparable AS today
LEFT JOIN expected ON expected.entity_id = today.entity_id;
