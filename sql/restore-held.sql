-- The deletions that a restore has held.
SELECT q.jq_pk::int8, q.jq_type, j.job_upload_fk::int8,
       q.jq_starttime IS NOT NULL, coalesce(q.jq_starttime >= '9999-01-01', false)
  FROM public.jobqueue q
  LEFT JOIN public.job j ON j.job_pk = q.jq_job_fk
 WHERE q.jq_endtext = 'held by fogold'
   AND q.jq_end_bits = 2
   AND q.jq_type IN ('delagent', 'maintagent')
 ORDER BY q.jq_pk
