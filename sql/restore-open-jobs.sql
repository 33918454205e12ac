-- What the scheduler runs again when it starts with --reset: every row that has no end.
SELECT q.jq_pk::int8, q.jq_type, j.job_upload_fk::int8,
       q.jq_starttime IS NOT NULL, coalesce(q.jq_starttime >= '9999-01-01', false)
  FROM public.jobqueue q
  LEFT JOIN public.job j ON j.job_pk = q.jq_job_fk
 WHERE q.jq_endtime IS NULL
 ORDER BY q.jq_pk
