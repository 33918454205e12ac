-- How much there is to sort: bytes of pfile, and of the upload trees with all tables that inherit.
-- Tables that are not there count nothing: that this is no FOSSology database is said later.
SELECT coalesce(sum(pg_relation_size(c.oid)) FILTER (WHERE c.relname = 'pfile'), 0)::int8,
       coalesce(sum(pg_relation_size(c.oid)) FILTER (WHERE c.relname <> 'pfile'), 0)::int8
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = 'public'
   AND (c.relname IN ('pfile', 'uploadtree')
        OR c.oid IN (SELECT i.inhrelid FROM pg_catalog.pg_inherits i
                      WHERE i.inhparent = to_regclass('public.uploadtree')))
