-- The tables that the role may not read, so that all missing rights are named at once.
SELECT c.relname::text, current_user::text
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = 'public'
   AND c.relname IN ('pfile', 'upload', 'uploadtree', 'job', 'jobqueue', 'ununpack_ars')
   AND NOT has_table_privilege(c.oid, 'SELECT')
   AND NOT has_any_column_privilege(c.oid, 'SELECT')
 ORDER BY 1
