-- Compiling a scan of some hundred tables that inherit takes longer than running it. Servers before
-- PostgreSQL 11 know no such setting.
SELECT set_config(name, 'off', true) FROM pg_catalog.pg_settings WHERE name = 'jit'
