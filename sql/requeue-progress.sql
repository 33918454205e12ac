-- How far queued jobs are ($1: their keys).
SELECT jq_pk, jq_starttime IS NOT NULL AND jq_starttime < '9999-01-01', jq_endtime IS NOT NULL,
       jq_end_bits::int4, textsend(jq_endtext), coalesce(jq_itemsprocessed, 0), textsend(jq_log)
  FROM public.jobqueue
 WHERE jq_pk = ANY ($1::int4[])
