-- Lets the other connections see exactly what this one sees.
SELECT pg_export_snapshot()
