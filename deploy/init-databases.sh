#!/bin/sh
# Runs once, when the postgres container makes its cluster: what only a superuser may make.
set -eu
psql -v ON_ERROR_STOP=1 -U postgres <<'END_OF_SQL'
-- Read here: as arguments of psql every process of the host could see them.
\set owner_password `cat /run/secrets/owner_password`
\set airflow_password `cat /run/secrets/airflow_password`
CREATE ROLE steadfast_owner LOGIN CREATEROLE PASSWORD :'owner_password';
CREATE ROLE airflow LOGIN PASSWORD :'airflow_password';
CREATE ROLE steadfast_backup NOLOGIN BYPASSRLS;
GRANT steadfast_backup TO steadfast_owner WITH ADMIN OPTION;
CREATE DATABASE steadfast OWNER steadfast_owner;
CREATE DATABASE airflow OWNER airflow;
REVOKE ALL ON DATABASE steadfast, airflow FROM PUBLIC;

\connect steadfast
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
END_OF_SQL
