-- name: last_runs
-- The newest sync runs with their items by state; the ingest of webhooks has no items and a status of its own.
SELECT
    run.run_id,
    run.dag_id,
    run.kind,
    run.partition_on,
    run.started_at,
    run.finished_at,
    item.published,
    item.waiting,
    item.held,
    item.parked,
    item.failed,
    item.row_count
FROM ops.sync_run AS run
CROSS JOIN LATERAL (
    SELECT
        count(*) AS total,
        count(*) FILTER (WHERE state = 'published') AS published,
        count(*) FILTER (WHERE state IN ('planned', 'landed')) AS waiting,
        count(*) FILTER (WHERE state = 'held') AS held,
        count(*) FILTER (WHERE state = 'parked') AS parked,
        count(*) FILTER (WHERE state = 'failed') AS failed,
        coalesce(sum(row_count) FILTER (WHERE state = 'published'), 0)::bigint AS row_count
    FROM ops.sync_item
    WHERE run_id = run.run_id
        AND (entity_id = %(entity_id)s OR %(entity_id)s::integer IS NULL)
) AS item
WHERE run.dag_id <> 'webhook_ingest'
    AND (item.total > 0 OR %(entity_id)s::integer IS NULL)
ORDER BY run.started_at DESC
LIMIT %(limit)s;

-- name: open_items
-- The latest word on every source and report that is not published, newest first.
SELECT
    latest.property_id,
    latest.report,
    latest.state,
    latest.start_on,
    latest.end_on,
    latest.not_before,
    latest.error,
    latest.updated_at
FROM (
    SELECT DISTINCT ON (property_id, report, is_backfill)
        *
    FROM ops.sync_item
    WHERE updated_at >= %(since)s
        AND (entity_id = %(entity_id)s OR %(entity_id)s::integer IS NULL)
    ORDER BY property_id, report, is_backfill, updated_at DESC, item_id DESC
) AS latest
WHERE latest.state IN ('held', 'parked', 'failed')
ORDER BY latest.updated_at DESC, latest.property_id, latest.report
LIMIT %(limit)s;

-- name: held_partitions
-- Days whose newer fetch was held back, and when the one that is shown was published.
SELECT
    property_id,
    report,
    report_date,
    held_at,
    held_reason,
    published_at
FROM ops.partition_ledger
WHERE held_at IS NOT NULL
    AND (entity_id = %(entity_id)s OR %(entity_id)s::integer IS NULL)
ORDER BY held_at DESC, property_id, report, report_date
LIMIT %(limit)s;

-- name: parked_properties
-- Properties that wait for their quota.
SELECT
    quota.property_id,
    quota.parked_until,
    quota.parked_reason
FROM ops.ga4_quota AS quota
JOIN config.ga4_property AS property USING (property_id)
WHERE quota.parked_until > %(now)s
    AND (property.entity_id = %(entity_id)s OR %(entity_id)s::integer IS NULL)
ORDER BY quota.parked_until, quota.property_id;

-- name: blocked_reports
-- Reports that GA4 refuses for a property until somebody changes something.
SELECT
    block.property_id,
    block.report,
    block.blocked_at,
    block.reason
FROM ops.report_block AS block
JOIN config.ga4_property AS property USING (property_id)
WHERE property.entity_id = %(entity_id)s OR %(entity_id)s::integer IS NULL
ORDER BY block.property_id, block.report;

-- name: open_breakers
-- What we stopped asking after repeated failures; breakers belong to no entity.
SELECT
    name,
    state,
    open_until,
    reason
FROM ops.breaker
WHERE state <> 'closed'
ORDER BY name;

-- name: present_roles
-- Which of some roles the server has, and whether they may log in.
SELECT
    rolname,
    rolcanlogin
FROM pg_roles
WHERE rolname = ANY(%(roles)s);

-- name: receiver_rights
-- Whether this login finds an inbox and may put events into it.
SELECT
    current_user AS role,
    current_database() AS database,
    current_setting('transaction_read_only')::boolean AS is_read_only,
    count(stored.oid) > 0 AS has_inbox,
    coalesce(
        bool_and(
            has_schema_privilege(stored.pronamespace, 'USAGE')
            AND has_function_privilege(stored.oid, 'EXECUTE')
        ),
        false
    ) AS may_store
FROM pg_namespace AS place
LEFT JOIN pg_proc AS stored
    ON stored.pronamespace = place.oid
    AND stored.proname = 'store_events'
WHERE place.nspname = 'landing';

-- name: used_connections
-- The Airflow Connections that enabled properties ask for.
SELECT DISTINCT connection_id
FROM config.ga4_property
WHERE is_enabled
ORDER BY connection_id;

-- name: schema_revision
-- The revision that the schema is at.
SELECT version_num
FROM ops.alembic_version;
