-- Every column that may point at a row of pfile, by its name or by a foreign key.
SELECT DISTINCT c.relname::text, a.attname::text
  FROM pg_catalog.pg_attribute a
  JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')
   AND a.attnum > 0 AND NOT a.attisdropped
   AND a.atttypid IN ('int4'::regtype, 'int8'::regtype)
   AND (a.attname = 'pfile_fk'
        OR EXISTS (SELECT FROM pg_catalog.pg_constraint k
                    WHERE k.conrelid = c.oid AND k.contype = 'f' AND a.attnum = ANY (k.conkey)
                      AND k.confrelid = to_regclass('public.pfile')))
 ORDER BY 1, 2
