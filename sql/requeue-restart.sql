-- Has a row that was killed ($1) run again, as the scheduler's own reset does it: what waits for it
-- goes on waiting.
UPDATE public.jobqueue
   SET jq_starttime = NULL, jq_endtext = NULL, jq_schedinfo = NULL, jq_end_bits = 0
 WHERE jq_pk = $1 AND jq_endtime IS NULL
