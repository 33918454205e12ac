-- How a new database stores text unless told otherwise.
SELECT pg_catalog.pg_encoding_to_char(encoding)::text
  FROM pg_catalog.pg_database
 WHERE datname = 'template0'
