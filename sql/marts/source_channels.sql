-- The GA4 channel of each source and medium: the one with the most sessions in the newest 90 days.
CREATE VIEW marts.source_channels WITH (security_invoker = true, security_barrier = true) AS
SELECT
    entity.entity_id,
    entity.slug AS entity,
    known.source,
    known.medium,
    known.channel,
    known.sessions,
    newest.as_of,
    fetched.is_provisional,
    fetched.last_synced_at,
    fetched.is_held,
    fetched.held_reason
FROM config.business_entity AS entity
CROSS JOIN LATERAL (
    SELECT max(report_date) AS as_of
    FROM ops.partition_ledger
    WHERE entity_id = entity.entity_id
        AND report = 'traffic_acquisition'
        AND published_at IS NOT NULL
) AS newest
-- Subtraction is not leakproof: behind OFFSET 0 it is a plain value by which days are looked up.
CROSS JOIN LATERAL (
    SELECT newest.as_of - 89 AS since
    OFFSET 0
) AS span
CROSS JOIN LATERAL (
    SELECT
        bool_or(is_provisional) AS is_provisional,
        max(fetched_at) AS last_synced_at,
        bool_or(held_at IS NOT NULL) AS is_held,
        string_agg(DISTINCT held_reason, '; ') AS held_reason
    FROM ops.partition_ledger
    WHERE entity_id = entity.entity_id
        AND report = 'traffic_acquisition'
        AND report_date >= span.since
        AND published_at IS NOT NULL
) AS fetched
CROSS JOIN LATERAL (
    SELECT DISTINCT ON (counted.source, counted.medium)
        counted.source,
        counted.medium,
        counted.channel,
        counted.sessions
    FROM (
        SELECT
            seen.source,
            -- An event may name no medium: then the channel is that of its source, whatever the medium.
            CASE WHEN grouping(seen.medium) = 1 THEN '(not set)' ELSE seen.medium END AS medium,
            seen.channel,
            sum(seen.sessions)::bigint AS sessions
        FROM (
            SELECT
                coalesce(nullif(lower(btrim(session_source)), ''), '(not set)') AS source,
                coalesce(nullif(lower(btrim(session_medium)), ''), '(not set)') AS medium,
                session_default_channel_group AS channel,
                sessions
            FROM facts.fact_traffic_acquisition
            WHERE entity_id = entity.entity_id
                AND report_date >= span.since
        ) AS seen
        WHERE seen.source <> '(not set)'
        GROUP BY GROUPING SETS (
            (seen.source, seen.medium, seen.channel),
            (seen.source, seen.channel)
        )
        HAVING grouping(seen.medium) = 1
            OR seen.medium <> '(not set)'
    ) AS counted
    ORDER BY
        counted.source,
        counted.medium,
        counted.sessions DESC,
        counted.channel
) AS known;
