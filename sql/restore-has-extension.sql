-- Whether the database has an extension.
SELECT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = $1)
