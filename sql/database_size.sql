-- How large the database is with all that agents have found: how long a restore takes is reckoned
-- from it.
SELECT pg_database_size(current_database())
