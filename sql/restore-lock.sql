-- Only one restore at a time works on a database. The lock goes with the session, however it ends;
-- the number spells 'fogold'.
SELECT pg_catalog.pg_try_advisory_lock(112628662758500)
