-- name: record_signal
-- Store a signal unless its key is known.
INSERT INTO ops.signal (dedup_key, kind, severity, entity_id, subject, body, link, created_at)
VALUES (%(dedup_key)s, %(kind)s, %(severity)s, %(entity_id)s, %(subject)s, %(body)s, %(link)s, %(now)s)
ON CONFLICT (dedup_key) DO NOTHING;

-- name: find_signal
-- Look for a signal by its key.
SELECT 1
FROM ops.signal
WHERE dedup_key = %(dedup_key)s;

-- name: claim_signal
-- Lock the next signal that waits for its mail, unless another delivery has it.
SELECT
    signal_id,
    dedup_key,
    kind,
    severity,
    subject,
    body,
    link,
    entity_id
FROM ops.signal
WHERE mailed_at IS NULL
    AND signal_id > %(last_id)s
    AND created_at >= %(oldest)s
ORDER BY signal_id
LIMIT 1
FOR UPDATE SKIP LOCKED;

-- name: mark_mailed
-- Remember that the mail server took the signal.
UPDATE ops.signal
SET mailed_at = %(now)s
WHERE signal_id = %(signal_id)s;

-- name: read_run
-- The sync run of an Airflow run, with what it has published so far.
SELECT
    run.run_id,
    run.partition_on,
    run.started_at,
    run.finished_at,
    count(DISTINCT item.property_id) AS property_count,
    count(DISTINCT item.property_id) FILTER (WHERE item.state = 'published') AS published_property_count
FROM ops.sync_run AS run
LEFT JOIN ops.sync_item AS item USING (run_id)
WHERE run.dag_id = %(dag_id)s
    AND run.airflow_run_id = %(airflow_run_id)s
GROUP BY run.run_id;

-- name: list_gaps
-- What a run has not published, one row a property, state and reason; history that waits for quota is no gap.
SELECT
    item.property_id,
    coalesce(property.display_name, '') AS display_name,
    coalesce(entity.slug, item.entity_id::text) AS entity,
    item.state,
    coalesce(item.error, '') AS reason,
    array_agg(DISTINCT item.report ORDER BY item.report) AS reports,
    min(item.start_on) AS start_on,
    max(item.end_on) AS end_on,
    min(item.not_before) AS not_before
FROM ops.sync_item AS item
LEFT JOIN config.ga4_property AS property USING (property_id)
LEFT JOIN config.business_entity AS entity ON entity.entity_id = item.entity_id
WHERE item.run_id = %(run_id)s
    AND item.state <> 'published'
    AND NOT (item.state = 'parked' AND item.is_backfill)
GROUP BY item.property_id, property.display_name, entity.slug, item.entity_id, item.state, item.error
ORDER BY entity, item.property_id, item.state, reason;
