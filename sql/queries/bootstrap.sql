-- name: find_role
-- Tell whether a role exists.
SELECT 1
FROM pg_roles
WHERE rolname = %(name)s;

-- name: find_database
-- Tell whether a database exists.
SELECT 1
FROM pg_database
WHERE datname = %(name)s;

-- name: create_login
-- Make a role that may log in.
CREATE ROLE {role} LOGIN PASSWORD {verifier};

-- name: set_password
-- Give a role the password that is stored beside the server.
ALTER ROLE {role} LOGIN PASSWORD {verifier};

-- name: let_owner_create_roles
-- The migrating role makes the others; it is no superuser.
ALTER ROLE steadfast_owner CREATEROLE;

-- name: create_backup_role
-- Reads all rows of all entities; only a superuser may hand out BYPASSRLS.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'steadfast_backup') THEN
        CREATE ROLE steadfast_backup NOLOGIN BYPASSRLS;
    ELSE
        ALTER ROLE steadfast_backup BYPASSRLS;
    END IF;
END
$$;

-- name: let_owner_grant_backup_role
-- The migrating role decides who backs up.
GRANT steadfast_backup TO steadfast_owner WITH ADMIN OPTION;

-- name: create_database
-- One database per owner, in the encoding and order of the server.
CREATE DATABASE {database} OWNER {owner};

-- name: close_database
-- Only its owner, and whom the owner lets in, may connect.
REVOKE ALL ON DATABASE {database} FROM PUBLIC;

-- name: close_functions
-- Advisory locks and large objects are for the machinery: with them a reader could stop a load or outlive a revoke.
DO $$
DECLARE
    guarded regprocedure;
BEGIN
    FOR guarded IN
        SELECT oid::regprocedure
        FROM pg_proc
        WHERE pronamespace = 'pg_catalog'::regnamespace
            AND (proname LIKE 'pg\_%advisory%' OR proname LIKE 'lo\_%' OR proname IN ('lowrite', 'loread'))
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', guarded);
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO steadfast_owner WITH GRANT OPTION', guarded);
    END LOOP;
END
$$;
