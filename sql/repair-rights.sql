-- Whether the database keeps sha256 at all, and whether this role may fill it in.
SELECT count(*) > 0,
       coalesce(bool_and(has_column_privilege(a.attrelid, a.attnum, 'UPDATE')
                         AND has_column_privilege(a.attrelid, a.attnum, 'SELECT')), false)
  FROM pg_catalog.pg_attribute a
 WHERE a.attrelid = to_regclass('public.pfile')
   AND a.attname = 'pfile_sha256'
   AND NOT a.attisdropped
