-- The role that fogold queues unpacks with: requeue, and a check before it. An administrator runs
-- this in FOSSology's database, and again after a restore of it; twice does no harm:
--
--     psql --dbname=fossology --file=fogold_requeue.sql
--
-- and then gives the role a password (\password fogold_requeue) or lets pg_hba.conf know it. It may
-- do what queueing takes and nothing else: not read passwords, not delete rows of files
-- (requeue --clean and --rebuild-trees need the role that owns the tables).
DO $$
DECLARE
  tree name;
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'fogold_requeue') THEN
    CREATE ROLE fogold_requeue LOGIN;
  END IF;
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO fogold_requeue', current_database());
  GRANT USAGE ON SCHEMA public TO fogold_requeue;
  GRANT SELECT ON public.pfile, public.upload, public.uploadtree, public.job, public.jobqueue,
                  public.jobdepends, public.ununpack_ars TO fogold_requeue;
  GRANT SELECT (user_pk, user_perm) ON public.users TO fogold_requeue;
  GRANT INSERT ON public.job, public.jobqueue, public.jobdepends TO fogold_requeue;
  GRANT DELETE ON public.jobdepends TO fogold_requeue;
  GRANT UPDATE ON public.ununpack_ars TO fogold_requeue;
  GRANT USAGE ON SEQUENCE public.job_job_pk_seq, public.jobqueue_jq_pk_seq TO fogold_requeue;
  -- Tables of uploads that are made later are read as parts of uploadtree, for which its right is
  -- enough; these can be read side by side.
  FOR tree IN SELECT c.relname
                FROM pg_catalog.pg_inherits i
                JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
               WHERE i.inhparent = 'public.uploadtree'::regclass
  LOOP
    EXECUTE format('GRANT SELECT ON public.%I TO fogold_requeue', tree);
  END LOOP;
END
$$;
