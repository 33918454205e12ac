-- The second look at temporary trees: the earliest moment at which a job that has no end can have
-- begun to write to one, in microseconds since 1970; NULL when there is no such job. A paused job
-- has the start 9999-12-31; one of which no time is known may have been at work for ever.
SELECT (extract(epoch FROM min(coalesce(started, job_queued, 'epoch'))) * 1000000)::int8
  FROM (SELECT CASE WHEN q.jq_starttime < '9999-01-01' THEN q.jq_starttime END AS started, j.job_queued
          FROM public.jobqueue q
          LEFT JOIN public.job j ON j.job_pk = q.jq_job_fk
         WHERE q.jq_type IN ('wget_agent', 'ununpack')
           AND q.jq_endtime IS NULL) open_jobs
