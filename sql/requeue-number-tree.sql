-- Has the new tree of an upload ($1) numbered, in the job ($2) of its unpack and after that ($3),
-- unless a row that does it is waiting already.
WITH waiting AS (
  SELECT q.jq_pk
    FROM public.jobqueue q
    JOIN public.job j ON j.job_pk = q.jq_job_fk
   WHERE j.job_upload_fk = $1 AND q.jq_type = 'adj2nest' AND q.jq_endtime IS NULL
), queued AS (
  INSERT INTO public.jobqueue (jq_job_fk, jq_type, jq_args, jq_runonpfile, jq_starttime,
                               jq_endtime, jq_end_bits, jq_host, jq_cmd_args)
  SELECT $2::int4, 'adj2nest', $1::int4::text, NULL, NULL, NULL, 0, NULL, NULL
   WHERE NOT EXISTS (SELECT FROM waiting)
  RETURNING jq_pk
), chained AS (
  INSERT INTO public.jobdepends (jdep_jq_fk, jdep_jq_depends_fk)
  SELECT jq_pk, $3::int4 FROM queued
)
SELECT jq_pk FROM queued
