-- Whether a role is there.
SELECT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = $1)
