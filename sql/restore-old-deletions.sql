-- The pending deletions as they are, for the journal.
SELECT jq_pk::int8, jq_type, jq_starttime::text, jq_endtext, jq_end_bits::int8
  FROM public.jobqueue
 WHERE jq_endtime IS NULL
   AND jq_type IN ('delagent', 'maintagent')
 ORDER BY jq_pk
   FOR UPDATE
