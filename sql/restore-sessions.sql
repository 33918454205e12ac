-- Who is connected to a database: it cannot be renamed meanwhile. The kind of a session is known
-- since PostgreSQL 10.
SELECT a.pid, coalesce(a.usename, '?')::text, coalesce(nullif(a.application_name, ''), 'a program')::text,
       coalesce(host(a.client_addr), 'the same machine')
  FROM pg_catalog.pg_stat_activity a
 WHERE a.datname = $1
   AND a.pid <> pg_backend_pid()
   AND coalesce(to_jsonb(a) ->> 'backend_type', 'client backend') = 'client backend'
 ORDER BY a.pid
