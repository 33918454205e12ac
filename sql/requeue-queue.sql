-- Queues the unpack of an upload ($1) as FOSSology's reunpack page does, but with the arguments that
-- were given at upload. All in one statement: it happens as a whole or not at all, and a scheduler
-- that is busy never sees a row without what it depends on. An upload whose unpack has no end yet, or
-- that was deleted meanwhile, is left alone. $2: the job's user. $3: uploads whose rows without an end have to wait for it; what
-- they work on is not there before.
WITH wanted AS (
  SELECT u.upload_pk
    FROM public.upload u
   WHERE u.upload_pk = $1 AND u.pfile_fk IS NOT NULL
     AND NOT EXISTS (SELECT
                       FROM public.jobqueue q
                       JOIN public.job j ON j.job_pk = q.jq_job_fk
                      WHERE j.job_upload_fk = $1 AND q.jq_type = 'ununpack'
                        AND q.jq_endtime IS NULL)
), cleared AS (
  UPDATE public.ununpack_ars
     SET ars_success = FALSE
   WHERE upload_fk = $1 AND EXISTS (SELECT FROM wanted)
), there AS (
  SELECT min(job_pk) AS job_pk
    FROM public.job
   WHERE job_name = 'reunpack' AND job_upload_fk = $1 AND job_user_fk = $2
), made AS (
  INSERT INTO public.job (job_queued, job_priority, job_name, job_upload_fk, job_user_fk)
  SELECT now(), 0, 'reunpack', $1, $2
    FROM there
   WHERE job_pk IS NULL AND EXISTS (SELECT FROM wanted)
  RETURNING job_pk
), queued AS (
  INSERT INTO public.jobqueue (jq_job_fk, jq_type, jq_args, jq_runonpfile, jq_starttime,
                               jq_endtime, jq_end_bits, jq_host, jq_cmd_args)
  SELECT chosen.job_pk, 'ununpack', $1::int4::text, NULL, NULL, NULL, 0, NULL,
         (SELECT q.jq_cmd_args
            FROM public.jobqueue q
            JOIN public.job j ON j.job_pk = q.jq_job_fk
           WHERE j.job_upload_fk = $1 AND q.jq_type = 'ununpack'
           ORDER BY q.jq_pk
           LIMIT 1)
    FROM (SELECT job_pk FROM made
          UNION ALL
          SELECT job_pk FROM there WHERE job_pk IS NOT NULL) chosen
   WHERE EXISTS (SELECT FROM wanted)
  RETURNING jq_job_fk, jq_pk
), waiting AS (
  INSERT INTO public.jobdepends (jdep_jq_fk, jdep_jq_depends_fk)
  SELECT q.jq_pk, queued.jq_pk
    FROM queued
    JOIN public.job j ON j.job_upload_fk = ANY ($3::int4[])
    JOIN public.jobqueue q ON q.jq_job_fk = j.job_pk
   WHERE q.jq_endtime IS NULL AND q.jq_type <> 'ununpack'
  RETURNING jdep_jq_fk
)
SELECT queued.jq_job_fk, queued.jq_pk,
       coalesce((SELECT array_agg(jdep_jq_fk ORDER BY jdep_jq_fk) FROM waiting), '{}')
  FROM queued
