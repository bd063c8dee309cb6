-- name: list_property_ids
-- What an earlier start of the demo has already added.
SELECT property_id
FROM config.ga4_property;

-- name: list_slugs
-- The entities that are there.
SELECT slug
FROM config.business_entity;

-- name: has_numbers
-- Tell whether a dashboard would show a number.
SELECT EXISTS (
    SELECT
    FROM marts.daily_overview
    WHERE sessions > 0
);

-- name: count_published
-- How much is published, in all.
SELECT
    count(*) AS partitions,
    coalesce(sum(row_count), 0)::bigint AS rows,
    count(DISTINCT property_id) AS properties,
    count(DISTINCT entity_id) AS entities,
    min(report_date) AS first_on,
    max(report_date) AS last_on
FROM ops.partition_ledger
WHERE published_at IS NOT NULL;

-- name: count_items
-- How far one run of Airflow has come.
SELECT
    count(*) AS planned,
    count(*) FILTER (WHERE item.state = 'published') AS published,
    count(*) FILTER (WHERE item.state IN ('held', 'parked', 'failed')) AS stuck
FROM ops.sync_run AS run
JOIN ops.sync_item AS item USING (run_id)
WHERE run.airflow_run_id = %(airflow_run_id)s;

-- name: list_problems
-- Why items of one run are not published, the most frequent reason first.
SELECT
    item.state,
    coalesce(item.error, 'no reason given') AS reason,
    count(*) AS items
FROM ops.sync_run AS run
JOIN ops.sync_item AS item USING (run_id)
WHERE run.airflow_run_id = %(airflow_run_id)s
    AND item.state <> 'published'
GROUP BY item.state, item.error
ORDER BY items DESC
LIMIT 5;

-- name: count_events
-- How many webhook events are in the inbox, and how many of them n8n could not deliver itself.
SELECT
    count(*) AS received,
    count(*) FILTER (WHERE origin = 'reconcile') AS recovered
FROM landing.webhook_inbox;

-- name: count_sales
-- What a dashboard would show of the orders of one entity.
SELECT
    coalesce(sum(order_count), 0)::bigint AS orders,
    coalesce(sum(revenue), 0) AS revenue,
    coalesce(string_agg(DISTINCT currency, ', '), '') AS currencies
FROM marts.orders
WHERE entity = %(entity)s;

-- name: count_dead_letters
-- Events that could not be loaded, and why.
SELECT
    count(*) AS dead,
    string_agg(DISTINCT reason, ', ') AS reasons
FROM landing.dead_letter
WHERE state = 'dead';
