-- name: record_audit
-- Write who changed what.
INSERT INTO ops.audit_event (happened_at, actor, action, object_kind, object_id, entity_id, before, after)
VALUES (
    %(happened_at)s,
    %(actor)s,
    %(action)s,
    %(object_kind)s,
    %(object_id)s,
    %(entity_id)s,
    %(before)s,
    %(after)s
);

-- name: insert_entity
-- Make a business entity; no row comes back if the slug is taken.
INSERT INTO config.business_entity (slug, name, country, created_at, updated_at)
VALUES (%(slug)s, %(name)s, %(country)s, %(now)s, %(now)s)
ON CONFLICT (slug) DO NOTHING
RETURNING *;

-- name: find_entity
-- The entity with a slug.
SELECT *
FROM config.business_entity
WHERE slug = %(slug)s;

-- name: lock_entity
-- The entity with a slug, kept from other changes until the transaction ends.
SELECT *
FROM config.business_entity
WHERE slug = %(slug)s
FOR UPDATE;

-- name: list_entities
-- Every entity in the order a person looks for it.
SELECT *
FROM config.business_entity
ORDER BY slug;

-- name: update_entity
-- Store what may change in an entity.
UPDATE config.business_entity
SET
    name = %(name)s,
    country = %(country)s,
    is_enabled = %(is_enabled)s,
    updated_at = %(updated_at)s
WHERE entity_id = %(entity_id)s;

-- name: insert_property
-- Give a GA4 property to an entity; no row comes back if somebody has it.
INSERT INTO config.ga4_property (
    property_id,
    entity_id,
    display_name,
    connection_id,
    time_zone,
    currency,
    created_at,
    updated_at
)
VALUES (
    %(property_id)s,
    %(entity_id)s,
    %(display_name)s,
    %(connection_id)s,
    %(time_zone)s,
    %(currency)s,
    %(now)s,
    %(now)s
)
ON CONFLICT (property_id) DO NOTHING
RETURNING *;

-- name: find_property
-- The property with an id.
SELECT *
FROM config.ga4_property
WHERE property_id = %(property_id)s;

-- name: find_owner
-- The entity that has a property.
SELECT
    entity.slug,
    property.display_name
FROM config.ga4_property AS property
JOIN config.business_entity AS entity USING (entity_id)
WHERE property.property_id = %(property_id)s;

-- name: lock_property
-- The property with an id, kept from other changes until the transaction ends.
SELECT *
FROM config.ga4_property
WHERE property_id = %(property_id)s
FOR UPDATE;

-- name: list_properties
-- The properties of one entity, or of all if it is null.
SELECT *
FROM config.ga4_property
WHERE entity_id = %(entity_id)s OR %(entity_id)s::integer IS NULL
ORDER BY entity_id, property_id;

-- name: update_property
-- Store what may change in a property.
UPDATE config.ga4_property
SET
    display_name = %(display_name)s,
    connection_id = %(connection_id)s,
    time_zone = %(time_zone)s,
    currency = %(currency)s,
    is_enabled = %(is_enabled)s,
    updated_at = %(updated_at)s
WHERE property_id = %(property_id)s;

-- name: lift_report_blocks
-- Let reports that GA4 refused for a property, or for all of an entity, be tried again.
DELETE FROM ops.report_block AS block
USING config.ga4_property AS property
WHERE block.property_id = property.property_id
    AND (property.property_id = %(property_id)s OR property.entity_id = %(entity_id)s);

-- name: close_breaker
-- Let a property that refused us be asked again at once.
DELETE FROM ops.breaker
WHERE name = 'ga4:property:' || %(property_id)s::bigint;

-- name: insert_setting
-- Make the setting of a new entity with the defaults of the table.
INSERT INTO config.sync_setting (entity_id, backfill_start_on, updated_at)
VALUES (%(entity_id)s, %(backfill_start_on)s, %(now)s);

-- name: find_setting
-- How an entity is synced.
SELECT *
FROM config.sync_setting
WHERE entity_id = %(entity_id)s;

-- name: lock_setting
-- How an entity is synced, kept from other changes until the transaction ends.
SELECT *
FROM config.sync_setting
WHERE entity_id = %(entity_id)s
FOR UPDATE;

-- name: update_setting
-- Store what may change in how an entity is synced.
UPDATE config.sync_setting
SET
    is_enabled = %(is_enabled)s,
    reports = %(reports)s,
    window_days = %(window_days)s,
    token_budget = %(token_budget)s,
    backfill_start_on = %(backfill_start_on)s,
    updated_at = %(updated_at)s
WHERE entity_id = %(entity_id)s;

-- name: find_login
-- The entity that a login role sees.
SELECT *
FROM config.entity_login
WHERE role_name = %(role_name)s;

-- name: list_logins
-- The login roles of an entity.
SELECT *
FROM config.entity_login
WHERE entity_id = %(entity_id)s
ORDER BY role_name;

-- name: insert_login
-- Let a login role see an entity; no row comes back if it sees one already.
INSERT INTO config.entity_login (role_name, entity_id, created_at)
VALUES (%(role_name)s, %(entity_id)s, %(now)s)
ON CONFLICT (role_name) DO NOTHING
RETURNING *;

-- name: delete_login
-- Take an entity away from a login role.
DELETE FROM config.entity_login
WHERE role_name = %(role_name)s;

-- name: role_exists
-- Whether the server has a role of this name.
SELECT EXISTS (
    SELECT
    FROM pg_roles
    WHERE rolname = %(role_name)s
);

-- name: create_login_role
-- Make a login role that may do nothing yet, nor keep others out; the password is a SCRAM verifier.
CREATE ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS INHERIT
    CONNECTION LIMIT 10 PASSWORD {verifier};

-- name: change_role_password
-- Replace the password of a login role.
ALTER ROLE {role} PASSWORD {verifier};

-- name: grant_dashboard
-- Let a role read the marts of the entities it may see.
GRANT steadfast_dashboard TO {role};

-- name: shut_login_role
-- Let a login role in no more.
ALTER ROLE {role} NOLOGIN;

-- name: drop_owned_objects
-- Remove what a login role made in this database, and its grants; only a member of the role may.
GRANT {role} TO CURRENT_USER;
DROP OWNED BY {role};

-- name: drop_login_role
-- Remove a login role.
DROP ROLE IF EXISTS {role};

-- name: zone_is_known
-- Whether the server can compute in a time zone.
SELECT EXISTS (
    SELECT
    FROM pg_timezone_names
    WHERE name = %(time_zone)s
);

-- name: insert_source
-- Give a webhook source to an entity; no row comes back if it has one of that slug.
INSERT INTO config.webhook_source (
    entity_id,
    slug,
    name,
    auth,
    tolerance_seconds,
    max_bytes,
    rate_per_second,
    burst,
    dedup_days,
    conflict_policy,
    is_strict,
    time_zone,
    n8n_connection_id,
    n8n_workflow_id,
    n8n_node,
    created_at,
    updated_at
)
VALUES (
    %(entity_id)s,
    %(slug)s,
    %(name)s,
    %(auth)s,
    %(tolerance_seconds)s,
    %(max_bytes)s,
    %(rate_per_second)s,
    %(burst)s,
    %(dedup_days)s,
    %(conflict_policy)s,
    %(is_strict)s,
    %(time_zone)s,
    %(n8n_connection_id)s,
    %(n8n_workflow_id)s,
    %(n8n_node)s,
    %(now)s,
    %(now)s
)
ON CONFLICT (entity_id, slug) DO NOTHING
RETURNING *;

-- name: find_source
-- The webhook source of an entity with a slug.
SELECT *
FROM config.webhook_source
WHERE entity_id = %(entity_id)s
    AND slug = %(slug)s;

-- name: lock_source
-- The webhook source of an entity with a slug, kept from other changes until the transaction ends.
SELECT *
FROM config.webhook_source
WHERE entity_id = %(entity_id)s
    AND slug = %(slug)s
FOR UPDATE;

-- name: list_sources
-- The webhook sources of one entity, or of all if it is null.
SELECT *
FROM config.webhook_source
WHERE entity_id = %(entity_id)s OR %(entity_id)s::integer IS NULL
ORDER BY entity_id, slug;

-- name: update_source
-- Store what may change in a webhook source.
UPDATE config.webhook_source
SET
    name = %(name)s,
    tolerance_seconds = %(tolerance_seconds)s,
    max_bytes = %(max_bytes)s,
    rate_per_second = %(rate_per_second)s,
    burst = %(burst)s,
    dedup_days = %(dedup_days)s,
    conflict_policy = %(conflict_policy)s,
    is_strict = %(is_strict)s,
    time_zone = %(time_zone)s,
    n8n_connection_id = %(n8n_connection_id)s,
    n8n_workflow_id = %(n8n_workflow_id)s,
    n8n_node = %(n8n_node)s,
    is_enabled = %(is_enabled)s,
    updated_at = %(updated_at)s
WHERE source_id = %(source_id)s;

-- name: insert_key
-- Give a source a key that is valid from now on.
INSERT INTO config.webhook_key (source_id, sealed_secret, token_hash, not_before, created_at)
VALUES (%(source_id)s, %(sealed_secret)s, %(token_hash)s, %(now)s, %(now)s)
RETURNING key_id;

-- name: lock_source_keys
-- The keys of a source, kept from other changes until the transaction ends.
SELECT
    issued.key_id,
    issued.source_id,
    source.entity_id,
    issued.not_before,
    issued.not_after,
    issued.created_at
FROM config.webhook_key AS issued
JOIN config.webhook_source AS source USING (source_id)
WHERE source_id = %(source_id)s
ORDER BY issued.key_id
FOR UPDATE OF issued;

-- name: list_key_uses
-- The keys of a source and the last minute in which each opened a request.
SELECT
    issued.key_id,
    issued.not_before,
    issued.not_after,
    issued.created_at,
    traffic.last_used_at
FROM config.webhook_key AS issued
CROSS JOIN LATERAL (
    SELECT max(used.minute) AS last_used_at
    FROM ops.webhook_traffic AS used
    WHERE used.key_id = issued.key_id
) AS traffic
WHERE issued.source_id = %(source_id)s
ORDER BY issued.key_id;

-- name: end_key
-- Say when a key ceases to be valid.
UPDATE config.webhook_key
SET not_after = %(not_after)s
WHERE key_id = %(key_id)s;

-- name: list_sealed_keys
-- The keys with a sealed secret that are valid or will be, and whose they are.
SELECT
    issued.key_id,
    issued.source_id,
    source.entity_id,
    issued.not_before,
    issued.not_after,
    issued.created_at,
    issued.sealed_secret,
    entity.slug || '/' || source.slug AS owner
FROM config.webhook_key AS issued
JOIN config.webhook_source AS source USING (source_id)
JOIN config.business_entity AS entity USING (entity_id)
WHERE issued.sealed_secret IS NOT NULL
    AND (issued.not_after IS NULL OR issued.not_after > %(now)s)
ORDER BY issued.key_id;

-- name: reseal_key
-- Replace the sealed secret of a key by the same secret, sealed anew.
UPDATE config.webhook_key
SET sealed_secret = %(sealed_secret)s
WHERE key_id = %(key_id)s;
