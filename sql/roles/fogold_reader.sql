-- The role that fogold reads with: check, snapshot, plan, usage, manifest, backup. An administrator
-- runs this in FOSSology's database, and again after a restore of it; twice does no harm:
--
--     psql --dbname=fossology --file=fogold_reader.sql
--
-- and then gives the role a password (\password fogold_reader) or lets pg_hba.conf know it. It may
-- read everything, for a dump holds everything. FOSSology makes a table for each upload
-- (uploadtree_<pk>): the role may read those too that are made later.
DO $$
DECLARE
  owner name;
BEGIN
  SELECT tableowner INTO STRICT owner
    FROM pg_catalog.pg_tables
   WHERE schemaname = 'public' AND tablename = 'pfile';
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'fogold_reader') THEN
    CREATE ROLE fogold_reader LOGIN;
  END IF;
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO fogold_reader', current_database());
  GRANT USAGE ON SCHEMA public TO fogold_reader;
  GRANT SELECT ON ALL TABLES IN SCHEMA public TO fogold_reader;
  GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO fogold_reader;
  EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA public
                  GRANT SELECT ON TABLES TO fogold_reader', owner);
  EXECUTE format('ALTER DEFAULT PRIVILEGES FOR ROLE %I IN SCHEMA public
                  GRANT SELECT ON SEQUENCES TO fogold_reader', owner);
END
$$;
