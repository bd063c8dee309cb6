-- Rights narrowed where one was too many, and widened where a dump would miss something.

-- Alembic makes its table before the first revision, so the grant on all tables of ops took it in.
REVOKE INSERT, UPDATE, DELETE ON ops.alembic_version FROM steadfast_pipeline;

-- A dump reads each partition and each sequence by itself, also those made later.
GRANT SELECT ON ALL TABLES IN SCHEMA landing TO steadfast_backup;
GRANT SELECT ON ALL SEQUENCES IN SCHEMA config, landing, facts, quality, ops TO steadfast_backup;
ALTER DEFAULT PRIVILEGES IN SCHEMA config, landing, facts, quality, ops
    GRANT SELECT ON TABLES TO steadfast_backup;
ALTER DEFAULT PRIVILEGES IN SCHEMA config, landing, facts, quality, ops
    GRANT SELECT ON SEQUENCES TO steadfast_backup;

-- As before, and an entity's login that somebody also made a backend names no entity by SET ROLE either.
CREATE OR REPLACE FUNCTION config.visible_entities(role_name name) RETURNS SETOF integer
LANGUAGE sql STABLE SECURITY DEFINER PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT login.entity_id
    FROM config.entity_login AS login
    WHERE login.role_name = visible_entities.role_name
        AND pg_has_role(session_user, visible_entities.role_name, 'MEMBER')
    UNION ALL
    SELECT nullif(current_setting('steadfast.entity_id', true), '')::integer
    WHERE pg_has_role(visible_entities.role_name, 'steadfast_backend', 'USAGE')
        AND pg_has_role(session_user, visible_entities.role_name, 'MEMBER')
        AND NOT EXISTS (
            SELECT FROM config.entity_login AS login
            WHERE login.role_name IN (visible_entities.role_name, session_user)
        )
$$;
