-- name: join_role
-- A role that is no superuser may only give a database to a role that it is a member of.
GRANT {role} TO CURRENT_USER;
