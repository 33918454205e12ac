-- Of some uploads ($1) what a killed unpack has left: how many tree rows there are, the row of an
-- unpack that was started and has no end, and whether a run of the agent is recorded without an end.
SELECT u.upload_pk,
       (SELECT count(*) FROM public.uploadtree t WHERE t.upload_fk = u.upload_pk),
       (SELECT min(q.jq_pk)
          FROM public.jobqueue q
          JOIN public.job j ON j.job_pk = q.jq_job_fk
         WHERE j.job_upload_fk = u.upload_pk AND q.jq_type = 'ununpack'
           AND q.jq_starttime < '9999-01-01' AND q.jq_endtime IS NULL),
       (SELECT min(q.jq_pk)
          FROM public.jobqueue q
          JOIN public.job j ON j.job_pk = q.jq_job_fk
         WHERE j.job_upload_fk = u.upload_pk AND q.jq_type = 'ununpack'
           AND (q.jq_starttime IS NULL OR q.jq_starttime >= '9999-01-01')
           AND q.jq_endtime IS NULL),
       EXISTS (SELECT FROM public.ununpack_ars a
                WHERE a.upload_fk = u.upload_pk AND NOT a.ars_success AND a.ars_endtime IS NULL)
  FROM public.upload u
 WHERE u.upload_pk = ANY ($1::int4[])
 ORDER BY u.upload_pk
