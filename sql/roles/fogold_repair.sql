-- The role that fogold fills in sha256 with: repair --fill-sha256, and the check before it. A repair
-- without that option writes no row, and the role fogold_reader is enough for it. An administrator
-- runs this in FOSSology's database, and again after a restore of it; twice does no harm:
--
--     psql --dbname=fossology --file=fogold_repair.sql
--
-- and then gives the role a password (\password fogold_repair) or lets pg_hba.conf know it. Of all
-- that it may read, it may change one column.
DO $$
DECLARE
  tree name;
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'fogold_repair') THEN
    CREATE ROLE fogold_repair LOGIN;
  END IF;
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO fogold_repair', current_database());
  GRANT USAGE ON SCHEMA public TO fogold_repair;
  GRANT SELECT ON public.pfile, public.upload, public.uploadtree, public.job, public.jobqueue,
                  public.ununpack_ars TO fogold_repair;
  GRANT UPDATE (pfile_sha256) ON public.pfile TO fogold_repair;
  -- Tables of uploads that are made later are read as parts of uploadtree, for which its right is
  -- enough; these can be read side by side.
  FOR tree IN SELECT c.relname
                FROM pg_catalog.pg_inherits i
                JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
               WHERE i.inhparent = 'public.uploadtree'::regclass
  LOOP
    EXECUTE format('GRANT SELECT ON public.%I TO fogold_repair', tree);
  END LOOP;
END
$$;
