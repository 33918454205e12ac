-- Every column that may point at a tree row: by its name, for FOSSology's schema has no foreign key
-- on most of them, or by a foreign key. Agents and plug-ins bring tables of their own.
SELECT DISTINCT c.relname::text, a.attname::text
  FROM pg_catalog.pg_attribute a
  JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p')
   AND a.attnum > 0 AND NOT a.attisdropped
   AND a.atttypid IN ('int4'::regtype, 'int8'::regtype)
   AND (a.attname ~ '^uploadtree_fk[0-9]*$'
        OR EXISTS (SELECT FROM pg_catalog.pg_constraint k
                    WHERE k.conrelid = c.oid AND k.contype = 'f' AND a.attnum = ANY (k.conkey)
                      AND k.confrelid IN (to_regclass('public.uploadtree'),
                                          to_regclass('public.uploadtree_a'))))
   AND c.relname !~ '^uploadtree(_a|_[0-9]+)?$'
 ORDER BY 1, 2
