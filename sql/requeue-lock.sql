-- Two requeues at once would queue an upload twice. The lock belongs to the session: it goes with
-- it, however it ends. The number is 'fogold' in ASCII.
SELECT pg_try_advisory_lock(112628662758500)
