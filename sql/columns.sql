-- Which tables and columns there are: releases differ. From the system catalog and not from
-- information_schema, which hides what the role may not read: a missing right must be told apart
-- from a missing table.
SELECT c.relname::text, a.attname::text
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
 WHERE n.nspname = 'public'
   AND c.relname IN ('pfile', 'upload', 'uploadtree', 'job', 'jobqueue', 'ununpack_ars')
   AND a.attnum > 0
   AND NOT a.attisdropped
