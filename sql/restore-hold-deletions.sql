-- Ends the pending deletions: neither does the scheduler pick up a row that has failed, nor does
-- its --reset touch one that has an end.
UPDATE public.jobqueue
   SET jq_endtime = now(), jq_end_bits = 2, jq_endtext = 'held by fogold'
 WHERE jq_endtime IS NULL
   AND jq_type IN ('delagent', 'maintagent')
