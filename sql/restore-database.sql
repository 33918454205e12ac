-- The database that is restored into: its encoding, and the remark that an unfinished restore left.
SELECT pg_catalog.pg_encoding_to_char(d.encoding)::text,
       pg_catalog.shobj_description(d.oid, 'pg_database')
  FROM pg_catalog.pg_database d
 WHERE d.datname = current_database()
