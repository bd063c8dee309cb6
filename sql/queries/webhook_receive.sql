-- name: list_sources
-- Every source that may send.
SELECT
    source.source_id,
    source.entity_id,
    entity.slug AS entity,
    source.slug,
    source.auth,
    source.tolerance_seconds,
    source.max_bytes,
    source.rate_per_second,
    source.burst,
    source.conflict_policy,
    source.is_strict
FROM config.webhook_source AS source
JOIN config.business_entity AS entity USING (entity_id)
WHERE source.is_enabled
    AND entity.is_enabled;

-- name: list_keys
-- The keys of those sources that are not over yet, their windows in epoch seconds.
SELECT
    key.key_id,
    key.source_id,
    key.sealed_secret,
    key.token_hash,
    extract(epoch FROM key.not_before)::double precision AS not_before,
    coalesce(extract(epoch FROM key.not_after), 'infinity')::double precision AS not_after
FROM config.webhook_key AS key
WHERE key.not_after IS NULL
    OR key.not_after > now();

-- name: store_events
-- Keep the events that are new; one row an event, by its place in the arrays.
SELECT
    place,
    inbox_id,
    is_new,
    body_hash
FROM landing.store_events($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);

-- name: keep_conflicts
-- Evidence of ids that came again with other bytes.
INSERT INTO landing.webhook_conflict (
    entity_id, source_id, event_id, first_inbox_id, received_at, policy, body
)
SELECT
    entity_id,
    source_id,
    event_id,
    first_inbox_id,
    $1::timestamptz,
    policy,
    body
FROM unnest($2::integer[], $3::integer[], $4::text[], $5::bigint[], $6::text[], $7::bytea[])
    AS refused (entity_id, source_id, event_id, first_inbox_id, policy, body);

-- name: ensure_inbox_days
-- Make the partitions that the next events need; usually they are there.
SELECT landing.ensure_inbox_day(day::date)
FROM generate_series($1::date, $2::date, interval '1 day') AS day;

-- name: record_traffic
-- What was answered in the minutes that are over.
INSERT INTO ops.webhook_traffic (
    minute, source_id, key_id, status, request_count, event_count, byte_count
)
SELECT *
FROM unnest(
    $1::timestamptz[],
    $2::integer[],
    $3::integer[],
    $4::smallint[],
    $5::bigint[],
    $6::bigint[],
    $7::bigint[]
);
