-- name: may_create_database
-- Asked before the role is made: CREATE DATABASE knows no transaction that would take it back.
SELECT rolcreatedb OR rolsuper
FROM pg_roles
WHERE rolname = current_user;

-- name: join_role
-- A role that is no superuser may only give a database to a role that it is a member of.
GRANT {role} TO CURRENT_USER;
