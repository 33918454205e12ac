-- Where the catalog comes from, and when.
SELECT current_database()::text,
       current_setting('server_version'),
       (extract(epoch FROM now()) * 1000000)::int8
