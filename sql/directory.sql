-- The tables of users and folders that the role may read, by the few columns that are wanted: a
-- right on these columns alone is enough.
SELECT c.relname::text
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
 WHERE n.nspname = 'public'
   AND (c.relname, a.attname) IN (
         ('users', 'user_pk'), ('users', 'user_name'),
         ('folder', 'folder_pk'), ('folder', 'folder_name'),
         ('foldercontents', 'parent_fk'), ('foldercontents', 'foldercontents_mode'),
         ('foldercontents', 'child_id'))
   AND NOT a.attisdropped
 GROUP BY c.relname
HAVING count(*) >= 2
   AND bool_and(has_column_privilege(c.oid, a.attnum, 'SELECT'))
 ORDER BY 1
