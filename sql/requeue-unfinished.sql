-- What makes it too early to clean up: a row that fetches, unpacks or numbers and has no end; and an
-- upload that was unpacked for the first time with -I since $1 (microseconds since 1970), whose
-- version-control files are used by no tree row, by right.
SELECT j.job_upload_fk, q.jq_type, q.jq_endtime IS NULL
  FROM public.jobqueue q
  LEFT JOIN public.job j ON j.job_pk = q.jq_job_fk
 WHERE (q.jq_type IN ('wget_agent', 'ununpack', 'adj2nest') AND q.jq_endtime IS NULL)
    OR (q.jq_type = 'ununpack' AND q.jq_cmd_args ~ '(^|\s)-I'
        AND q.jq_starttime >= to_timestamp($1::int8 / 1000000.0)
        AND NOT EXISTS (SELECT FROM public.jobqueue e
                          JOIN public.job f ON f.job_pk = e.jq_job_fk
                         WHERE f.job_upload_fk = j.job_upload_fk AND e.jq_type = 'ununpack'
                           AND e.jq_pk < q.jq_pk))
 ORDER BY q.jq_pk
 LIMIT 20
