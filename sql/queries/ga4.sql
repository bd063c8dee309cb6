-- name: list_sync_targets
-- Every enabled property with its entity's settings; an empty list of slugs means all entities.
SELECT
    property.property_id,
    property.entity_id,
    property.time_zone,
    property.currency,
    property.connection_id,
    setting.reports,
    setting.window_days,
    setting.token_budget,
    setting.backfill_start_on,
    coalesce(
        (SELECT array_agg(block.report) FROM ops.report_block AS block WHERE block.property_id = property.property_id),
        '{}'
    ) AS blocked_reports
FROM config.ga4_property AS property
JOIN config.business_entity AS entity USING (entity_id)
JOIN config.sync_setting AS setting USING (entity_id)
WHERE property.is_enabled
    AND entity.is_enabled
    AND setting.is_enabled
    AND (cardinality(%(entities)s::text[]) = 0 OR entity.slug = ANY (%(entities)s::text[]))
ORDER BY property.property_id;

-- name: list_known_entities
-- Which of the given slugs exist.
SELECT slug FROM config.business_entity WHERE slug = ANY (%(entities)s::text[]);

-- name: list_published_ranges
-- What a property and report needs no fetch of, as few ranges: final days, young days, days held back for long.
SELECT
    property_id,
    report,
    range_agg(daterange(report_date, report_date + 1)) FILTER (WHERE is_published AND NOT is_provisional) AS settled,
    range_agg(daterange(report_date, report_date + 1)) FILTER (WHERE is_published AND is_provisional) AS provisional,
    range_agg(daterange(report_date, report_date + 1)) FILTER (WHERE is_waiting) AS waiting,
    min(report_date) FILTER (WHERE is_published) AS first_on,
    min(report_date) FILTER (WHERE is_published AND row_count > 0) AS first_filled_on
FROM (
    SELECT
        property_id,
        report,
        report_date,
        row_count,
        is_provisional,
        published_at IS NOT NULL AS is_published,
        held_at >= %(held_since)s AND held_at - fetched_at >= %(patience)s AS is_waiting
    FROM ops.partition_ledger
    WHERE property_id = ANY (%(property_ids)s::bigint[])
) AS ledger
GROUP BY property_id, report;

-- name: reopen_items
-- A run that was finished and is opened again was cleared by somebody: its items are wanted once more.
UPDATE ops.sync_item AS item
SET state = 'planned', attempt = 0, error = NULL, error_class = NULL, not_before = NULL, updated_at = %(now)s
FROM ops.sync_run AS run
WHERE run.run_id = item.run_id
    AND run.dag_id = %(dag_id)s
    AND run.airflow_run_id = %(airflow_run_id)s
    AND run.finished_at IS NOT NULL;

-- name: open_run
-- Record the run once; the same Airflow run opened again keeps its row.
INSERT INTO ops.sync_run (dag_id, airflow_run_id, kind, partition_on, started_at)
VALUES (%(dag_id)s, %(airflow_run_id)s, %(kind)s, %(partition_on)s, %(now)s)
ON CONFLICT (dag_id, airflow_run_id) DO UPDATE SET finished_at = NULL
RETURNING run_id;

-- name: list_shards
-- The shards of a run that was planned before.
SELECT DISTINCT shard FROM ops.sync_item WHERE run_id = %(run_id)s ORDER BY shard;

-- name: copy_items
-- Write the plan in one stream.
COPY ops.sync_item (run_id, shard, entity_id, property_id, report, start_on, end_on, is_backfill, updated_at)
FROM STDIN;

-- name: claim_items
-- What a shard still has to do: the window before the backfill, newest first, control report first.
SELECT
    item.item_id,
    item.entity_id,
    item.property_id,
    item.report,
    item.start_on,
    item.end_on,
    item.is_backfill,
    item.state,
    item.attempt,
    item.row_count,
    item.fetched_at,
    property.time_zone,
    property.currency,
    property.connection_id
FROM ops.sync_item AS item
JOIN config.ga4_property AS property USING (property_id)
WHERE item.run_id = %(run_id)s
    AND item.shard = %(shard)s
    AND (%(property_ids)s::bigint[] IS NULL OR item.property_id = ANY (%(property_ids)s::bigint[]))
    AND item.report = ANY (%(report_order)s::text[])
    AND (
        item.state IN ('planned', 'landed')
        OR (item.state = 'parked' AND item.not_before <= %(now)s)
        OR (item.state = 'failed' AND item.error_class = ANY (%(retryable)s::text[]))
    )
ORDER BY
    item.is_backfill,
    array_position(%(report_order)s::text[], item.report),
    item.end_on DESC,
    item.property_id;

-- name: split_item
-- Keep the first half of an item; add_half adds the second.
UPDATE ops.sync_item
SET end_on = %(end_on)s, state = 'planned', attempt = %(attempt)s, fetched_at = NULL, row_count = 0,
    updated_at = %(now)s
WHERE item_id = %(item_id)s;

-- name: add_half
-- The second half of a split item.
INSERT INTO ops.sync_item (
    run_id, shard, entity_id, property_id, report, start_on, end_on, is_backfill, attempt, updated_at
)
SELECT run_id, shard, entity_id, property_id, report, %(start_on)s, %(end_on)s, is_backfill, attempt, %(now)s
FROM ops.sync_item
WHERE item_id = %(item_id)s
ON CONFLICT (run_id, property_id, report, start_on, end_on) DO UPDATE SET updated_at = excluded.updated_at
RETURNING item_id;

-- name: land_page
-- One page as received.
INSERT INTO landing.ga4_page (
    item_id, entity_id, property_id, report, start_on, end_on,
    page_offset, page_rows, row_count, fetched_at, body
)
VALUES (
    %(item_id)s, %(entity_id)s, %(property_id)s, %(report)s, %(start_on)s, %(end_on)s,
    %(page_offset)s, %(page_rows)s, %(row_count)s, %(fetched_at)s, %(body)s
)
ON CONFLICT DO NOTHING;

-- name: mark_landed
-- The item is read completely; only publishing is left.
UPDATE ops.sync_item AS item
SET state = 'landed', fetched_at = landed.fetched_at, row_count = landed.row_count,
    token_count = item.token_count + landed.token_count, error = NULL, error_class = NULL,
    not_before = NULL, updated_at = %(now)s
FROM unnest(
    %(item_ids)s::bigint[], %(fetched_ats)s::timestamptz[], %(row_counts)s::bigint[], %(token_counts)s::integer[]
) AS landed (item_id, fetched_at, row_count, token_count)
WHERE item.item_id = landed.item_id;

-- name: read_pages
-- The landed pages of one fetch of an item, in order.
SELECT body
FROM landing.ga4_page
WHERE item_id = %(item_id)s AND fetched_at = %(fetched_at)s
ORDER BY page_offset;

-- name: mark_stopped
-- The item ended this attempt without being published.
UPDATE ops.sync_item
SET state = %(state)s, error_class = %(error_class)s, error = %(error)s, not_before = %(not_before)s,
    attempt = attempt + (%(state)s = 'failed')::integer, token_count = token_count + %(token_count)s, updated_at = %(now)s
WHERE item_id = %(item_id)s;

-- name: mark_published
-- Items whose covered dates are all decided: published, or held where a partition was held back.
UPDATE ops.sync_item AS item
SET state = decided.state, error_class = decided.error_class, error = decided.error,
    attempt = item.attempt + (decided.state = 'failed')::integer, updated_at = %(now)s
FROM unnest(
    %(item_ids)s::bigint[], %(states)s::text[], %(error_classes)s::text[], %(errors)s::text[]
) AS decided (item_id, state, error_class, error)
WHERE item.item_id = decided.item_id;

-- name: lock_slices
-- One publisher at a time for a property and report; taken in sorted order so that two never wait for each other.
SELECT pg_advisory_xact_lock(slice.lock_key)
FROM (SELECT DISTINCT unnest(%(lock_keys)s::bigint[]) AS lock_key ORDER BY 1) AS slice;

-- name: read_ledger
-- What is published now for the given partitions of one report; rows of another owner are never the same rows.
SELECT
    ledger.property_id,
    ledger.report_date,
    ledger.row_count,
    CASE WHEN ledger.entity_id = wanted.entity_id THEN ledger.content_hash END AS content_hash,
    ledger.is_provisional,
    ledger.fetched_at,
    ledger.published_at
FROM ops.partition_ledger AS ledger
JOIN unnest(%(property_ids)s::bigint[], %(dates)s::date[], %(entity_ids)s::integer[])
    AS wanted (property_id, report_date, entity_id)
    ON ledger.property_id = wanted.property_id AND ledger.report_date = wanted.report_date
WHERE ledger.report = %(report)s;

-- name: read_control_totals
-- The published control totals of the given partitions; nulls where a day is published as one without rows.
SELECT ledger.property_id, ledger.report_date, ledger.fetched_at, ledger.is_provisional, {columns}
FROM ops.partition_ledger AS ledger
JOIN unnest(%(property_ids)s::bigint[], %(dates)s::date[]) AS wanted (property_id, report_date)
    ON ledger.property_id = wanted.property_id AND ledger.report_date = wanted.report_date
LEFT JOIN facts.fact_daily_totals AS total
    ON total.property_id = ledger.property_id
    AND total.report_date = ledger.report_date
    AND total.report_date BETWEEN %(first_on)s AND %(last_on)s
WHERE ledger.report = %(control)s AND ledger.published_at IS NOT NULL;

-- name: delete_partitions
-- Remove the published rows of the given partitions; the bounds let PostgreSQL skip other months.
DELETE FROM facts.{table} AS fact
USING unnest(%(property_ids)s::bigint[], %(dates)s::date[]) AS gone (property_id, report_date)
WHERE fact.property_id = gone.property_id
    AND fact.report_date = gone.report_date
    AND fact.report_date BETWEEN %(first_on)s AND %(last_on)s;

-- name: copy_facts
-- Load rows in one stream.
COPY facts.{table} ({columns}) FROM STDIN (FORMAT csv);

-- name: record_published
-- The ledger of what was swapped in, or found unchanged.
INSERT INTO ops.partition_ledger AS ledger (
    property_id, report, report_date, entity_id, row_count, content_hash, control_delta, flags,
    is_provisional, time_zone, currency, run_id, fetched_at, published_at
)
SELECT
    swapped.property_id, %(report)s, swapped.report_date, swapped.entity_id, swapped.row_count,
    swapped.content_hash, swapped.control_delta, coalesce(string_to_array(nullif(swapped.flags, ''), ','), '{}'),
    swapped.is_provisional, swapped.time_zone, swapped.currency, %(run_id)s, swapped.fetched_at, %(now)s
FROM unnest(
    %(property_ids)s::bigint[], %(dates)s::date[], %(entity_ids)s::integer[], %(row_counts)s::bigint[],
    %(content_hashes)s::bytea[], %(control_deltas)s::double precision[], %(flags)s::text[],
    %(provisionals)s::boolean[], %(time_zones)s::text[], %(currencies)s::text[], %(fetched_ats)s::timestamptz[]
) AS swapped (
    property_id, report_date, entity_id, row_count, content_hash, control_delta, flags,
    is_provisional, time_zone, currency, fetched_at
)
ON CONFLICT (property_id, report, report_date) DO UPDATE SET
    entity_id = excluded.entity_id,
    row_count = excluded.row_count,
    content_hash = excluded.content_hash,
    control_delta = excluded.control_delta,
    flags = excluded.flags,
    is_provisional = excluded.is_provisional,
    time_zone = excluded.time_zone,
    currency = excluded.currency,
    run_id = excluded.run_id,
    fetched_at = excluded.fetched_at,
    published_at = excluded.published_at,
    held_at = NULL,
    held_reason = NULL;

-- name: record_held
-- A newer fetch was held back: the published rows stay and say so.
INSERT INTO ops.partition_ledger AS ledger (
    property_id, report, report_date, entity_id, run_id, fetched_at, held_at, held_reason
)
SELECT held.property_id, %(report)s, held.report_date, held.entity_id, %(run_id)s, held.fetched_at, %(now)s, held.reason
FROM unnest(
    %(property_ids)s::bigint[], %(dates)s::date[], %(entity_ids)s::integer[],
    %(fetched_ats)s::timestamptz[], %(reasons)s::text[]
) AS held (property_id, report_date, entity_id, fetched_at, reason)
ON CONFLICT (property_id, report, report_date) DO UPDATE SET
    held_at = excluded.held_at,
    held_reason = excluded.held_reason;

-- name: clear_findings
-- A partition checked again in the same run replaces what was found before.
DELETE FROM quality.check_result AS result
USING unnest(%(property_ids)s::bigint[], %(first_ons)s::date[], %(last_ons)s::date[])
    AS again (property_id, first_on, last_on)
WHERE result.run_id = %(run_id)s
    AND result.table_name = %(table)s
    AND result.property_id = again.property_id
    AND result.report_date BETWEEN again.first_on AND again.last_on;

-- name: clear_quarantine
-- The rows of a partition checked again; a row without a day of its own is kept under `first/last`.
DELETE FROM quality.quarantine AS kept
USING unnest(%(property_ids)s::bigint[], %(first_ons)s::date[], %(last_ons)s::date[])
    AS again (property_id, first_on, last_on)
WHERE kept.run_id = %(run_id)s
    AND kept.table_name = %(table)s
    AND kept.property_id = again.property_id
    AND kept.report_date >= to_char(again.first_on, 'YYYY-MM-DD')
    AND kept.report_date < to_char(again.last_on + 1, 'YYYY-MM-DD');

-- name: record_check_results
-- One row a broken rule and partition.
INSERT INTO quality.check_result (
    run_id, entity_id, property_id, table_name, report_date, check_name, severity, failed_count, detail, checked_at
)
SELECT
    %(run_id)s, broken.entity_id, broken.property_id, %(table)s, broken.report_date, broken.check_name,
    broken.severity, broken.failed_count, broken.detail, %(now)s
FROM unnest(
    %(entity_ids)s::integer[], %(property_ids)s::bigint[], %(dates)s::date[], %(names)s::text[],
    %(severities)s::text[], %(failed_counts)s::bigint[], %(details)s::text[]
) AS broken (entity_id, property_id, report_date, check_name, severity, failed_count, detail);

-- name: quarantine_rows
-- Keep the rows that broke a rule, with the rules.
INSERT INTO quality.quarantine (
    run_id, entity_id, property_id, table_name, report_date, row_number, content, rules, created_at
)
SELECT
    %(run_id)s, bad.entity_id, bad.property_id, %(table)s, bad.report_date, bad.row_number,
    bad.content::jsonb, string_to_array(bad.rules, ','), %(now)s
FROM unnest(
    %(entity_ids)s::integer[], %(property_ids)s::bigint[], %(dates)s::text[], %(row_numbers)s::bigint[],
    %(contents)s::text[], %(rules)s::text[]
) AS bad (entity_id, property_id, report_date, row_number, content, rules)
ON CONFLICT (run_id, property_id, table_name, report_date, row_number)
DO UPDATE SET content = excluded.content, rules = excluded.rules, created_at = excluded.created_at;

-- name: block_report
-- GA4 refuses this report for this property: leave it out until somebody changes something.
INSERT INTO ops.report_block (property_id, report, reason, blocked_at)
VALUES (%(property_id)s, %(report)s, %(reason)s, %(now)s)
ON CONFLICT (property_id, report) DO UPDATE SET reason = excluded.reason;

-- name: read_gates
-- Until when each property is parked, by its quota or by its breaker. A run by hand asks again where only
-- a refusal opened the breaker: somebody may have repaired it.
SELECT property_id, until, reason
FROM (
    SELECT property_id, parked_until AS until, parked_reason AS reason FROM ops.ga4_quota
    UNION ALL
    SELECT wanted.property_id, breaker.open_until, breaker.reason
    FROM unnest(%(property_ids)s::bigint[]) AS wanted (property_id)
    JOIN ops.breaker AS breaker ON breaker.name = 'ga4:property:' || wanted.property_id
    JOIN ops.sync_run AS run ON run.run_id = %(run_id)s
    WHERE run.kind <> 'manual' OR breaker.failure_count > 0
) AS gate
WHERE property_id = ANY (%(property_ids)s::bigint[]) AND until > %(now)s
ORDER BY until;

-- name: record_quota
-- The last quota that a property's answers told.
INSERT INTO ops.ga4_quota (
    property_id, observed_at, day_remaining, hour_remaining, project_hour_remaining, parked_until, parked_reason
)
VALUES (
    %(property_id)s, %(now)s, %(day_remaining)s, %(hour_remaining)s, %(project_hour_remaining)s,
    %(parked_until)s, %(parked_reason)s
)
ON CONFLICT (property_id) DO UPDATE SET
    observed_at = excluded.observed_at,
    day_remaining = coalesce(excluded.day_remaining, ops.ga4_quota.day_remaining),
    hour_remaining = coalesce(excluded.hour_remaining, ops.ga4_quota.hour_remaining),
    project_hour_remaining = coalesce(excluded.project_hour_remaining, ops.ga4_quota.project_hour_remaining),
    parked_until = excluded.parked_until,
    parked_reason = excluded.parked_reason;

-- name: count_outcomes
-- How a shard stands: items by state, rows, and when the earliest retry makes sense.
SELECT
    count(*) FILTER (WHERE state = 'published') AS published,
    count(*) FILTER (WHERE state = 'held') AS held,
    count(*) FILTER (WHERE state = 'parked') AS parked,
    count(*) FILTER (WHERE state = 'failed') AS failed,
    count(*) FILTER (WHERE state = 'failed' AND error_class = ANY (%(retryable)s::text[])) AS retryable,
    coalesce(sum(row_count) FILTER (WHERE state = 'published'), 0)::bigint AS rows,
    min(not_before) FILTER (WHERE state = 'parked' AND NOT is_backfill) AS retry_at
FROM ops.sync_item
WHERE run_id = %(run_id)s AND (%(shard)s::integer IS NULL OR shard = %(shard)s);

-- name: list_problems
-- What went wrong in a run, one row a property and reason.
SELECT
    entity.slug,
    item.property_id,
    item.state,
    item.error,
    count(*) AS item_count,
    string_agg(DISTINCT item.report, ', ' ORDER BY item.report) AS reports
FROM ops.sync_item AS item
JOIN config.business_entity AS entity USING (entity_id)
WHERE item.run_id = %(run_id)s
    AND item.state <> 'published'
    AND (%(shard)s::integer IS NULL OR item.shard = %(shard)s)
GROUP BY entity.slug, item.property_id, item.state, item.error
ORDER BY entity.slug, item.property_id;

-- name: close_run
-- The run is over.
UPDATE ops.sync_run SET finished_at = %(now)s WHERE run_id = %(run_id)s RETURNING partition_on;

-- name: summarise_run
-- What a run did in numbers.
SELECT
    count(DISTINCT item.property_id) AS properties,
    coalesce(sum(item.row_count) FILTER (WHERE item.state = 'published'), 0)::bigint AS rows,
    coalesce(sum(item.token_count), 0) AS tokens,
    (SELECT count(*) FROM ops.partition_ledger AS ledger
     WHERE ledger.run_id = %(run_id)s AND ledger.published_at IS NOT NULL) AS partitions
FROM ops.sync_item AS item
WHERE item.run_id = %(run_id)s;

-- name: count_states
-- Items of a run by state.
SELECT state, count(*) AS item_count FROM ops.sync_item WHERE run_id = %(run_id)s GROUP BY state;

-- name: list_landed_items
-- Items whose landed pages can be published again without asking GA4, oldest fetch first.
SELECT
    item.item_id,
    item.entity_id,
    item.property_id,
    item.report,
    item.start_on,
    item.end_on,
    item.is_backfill,
    item.state,
    item.attempt,
    item.row_count,
    item.fetched_at,
    property.time_zone,
    property.currency,
    property.connection_id
FROM ops.sync_item AS item
JOIN config.ga4_property AS property USING (property_id)
WHERE item.property_id = %(property_id)s
    AND item.report = ANY (%(reports)s::text[])
    AND item.start_on <= %(end_on)s
    AND item.end_on >= %(start_on)s
    AND EXISTS (
        SELECT FROM landing.ga4_page AS page
        WHERE page.item_id = item.item_id AND page.fetched_at = item.fetched_at
    )
ORDER BY array_position(%(reports)s::text[], item.report), item.fetched_at;

-- name: try_turns
-- Take the turn of every property that nobody else is asking GA4 about.
SELECT wanted.property_id, pg_try_advisory_lock(hashtextextended('ga4 turn', wanted.property_id))
FROM unnest(%(property_ids)s::bigint[]) AS wanted (property_id);

-- name: wait_for_turn
-- Wait for the turn of one property, a quarter of an hour at most.
SELECT set_config('lock_timeout', '15min', true), pg_advisory_lock(hashtextextended('ga4 turn', %(property_id)s));

-- name: end_turns
-- Let others ask GA4 about these properties.
SELECT pg_advisory_unlock(hashtextextended('ga4 turn', done.property_id))
FROM unnest(%(property_ids)s::bigint[]) AS done (property_id);
