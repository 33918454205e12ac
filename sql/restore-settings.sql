-- The settings that this server knows: a dump of a newer one names some that it does not.
SELECT lower(name) FROM pg_catalog.pg_settings
