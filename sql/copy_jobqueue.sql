-- How far the fetching and unpacking of each upload got. Only the agents concerned: a queue holds
-- many rows of others.
COPY (
  SELECT jq_pk, jq_job_fk, jq_type, jq_args, jq_starttime, jq_endtime, jq_end_bits,
         jq_itemsprocessed, {jq_cmd_args}
    FROM public.jobqueue
   WHERE jq_type IN ('wget_agent', 'ununpack', 'adj2nest')
) TO STDOUT (FORMAT binary)
