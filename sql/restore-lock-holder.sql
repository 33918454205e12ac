-- The session of the restore that is at work on this database.
SELECT l.pid, coalesce(host(a.client_addr), 'the same machine')
  FROM pg_catalog.pg_locks l
  LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
 WHERE l.locktype = 'advisory'
   AND l.granted
   AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
   AND (l.classid::int8 << 32 | l.objid::int8) = 112628662758500
