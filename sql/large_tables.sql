-- The tables whose rows are many: pfile, and uploadtree with all tables that inherit from it. How many
-- blocks each has, and whether the role may read it by its own name: reading it as a part of uploadtree
-- takes a right on uploadtree alone. Tables without blocks have no rows.
SELECT c.relname = 'pfile',
       format('%I.%I', n.nspname, c.relname),
       pg_relation_size(c.oid) / current_setting('block_size')::int8,
       coalesce(has_table_privilege(c.oid, 'SELECT'), false)
         OR c.oid IN (to_regclass('public.pfile'), to_regclass('public.uploadtree')),
       current_setting('server_version_num')::int4
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE c.oid IN (to_regclass('public.pfile'), to_regclass('public.uploadtree'))
    OR c.oid IN (WITH RECURSIVE heirs AS (
                   SELECT i.inhrelid FROM pg_catalog.pg_inherits i
                    WHERE i.inhparent = to_regclass('public.uploadtree')
                    UNION
                   SELECT i.inhrelid FROM pg_catalog.pg_inherits i
                     JOIN heirs ON i.inhparent = heirs.inhrelid)
                 SELECT inhrelid FROM heirs)
 ORDER BY 1, 3 DESC, 2
