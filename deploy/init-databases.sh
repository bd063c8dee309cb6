#!/bin/sh
# Runs once, when the postgres container makes its cluster: what only a superuser may make.
set -eu
psql -v ON_ERROR_STOP=1 -U postgres \
  -v owner_password="$(cat /run/secrets/owner_password)" \
  -v airflow_password="$(cat /run/secrets/airflow_password)" <<'END'
CREATE ROLE steadfast_owner LOGIN CREATEROLE PASSWORD :'owner_password';
CREATE ROLE airflow LOGIN PASSWORD :'airflow_password';
CREATE ROLE steadfast_backup NOLOGIN BYPASSRLS;
GRANT steadfast_backup TO steadfast_owner WITH ADMIN OPTION;
CREATE DATABASE steadfast OWNER steadfast_owner;
CREATE DATABASE airflow OWNER airflow;
REVOKE ALL ON DATABASE steadfast, airflow FROM PUBLIC;
END
