-- The databases of the server, for one that an earlier try may have renamed.
SELECT datname::text FROM pg_catalog.pg_database
