-- What the queue knows of each upload: the arguments of its first unpack (as bytes), how long the
-- first completed one took, the unpack that has no end, when it was started and whether it is paused,
-- whether other rows have none, and a user who may write it: its own if that one may, else the first
-- who may. Of several unpacks one that is still to start counts: of one that was started, nobody knows
-- whether it runs, nor when one that is paused will. A row that is paused is to start in the year 9999.
WITH rows AS (
  SELECT j.job_upload_fk AS upload, q.jq_pk, q.jq_type, q.jq_starttime, q.jq_endtime,
         q.jq_end_bits, q.jq_itemsprocessed, q.jq_cmd_args,
         CASE WHEN q.jq_starttime <= now() THEN q.jq_starttime END AS began
    FROM public.jobqueue q
    JOIN public.job j ON j.job_pk = q.jq_job_fk
   WHERE j.job_upload_fk IS NOT NULL
), first AS (
  SELECT DISTINCT ON (upload) upload, textsend(jq_cmd_args) AS arguments
    FROM rows
   WHERE jq_type = 'ununpack'
   ORDER BY upload, jq_pk
), done AS (
  SELECT DISTINCT ON (upload) upload,
         extract(epoch FROM jq_endtime - jq_starttime)::float8 AS seconds
    FROM rows
   WHERE jq_type = 'ununpack' AND jq_end_bits = 1 AND jq_itemsprocessed > 0
     AND jq_endtime >= jq_starttime
   ORDER BY upload, jq_pk
), unended AS (
  SELECT upload, bool_or(jq_type <> 'ununpack') AS others
    FROM rows
   WHERE jq_endtime IS NULL
   GROUP BY upload
), unpack AS (
  SELECT DISTINCT ON (upload) upload, jq_pk,
         extract(epoch FROM date_trunc('second', began))::int8 AS began,
         coalesce(jq_starttime >= '9999-01-01', FALSE) AS paused
    FROM rows
   WHERE jq_type = 'ununpack' AND jq_endtime IS NULL
   ORDER BY upload, began IS NOT NULL, paused, jq_pk
)
SELECT u.upload_pk, first.arguments, done.seconds, unpack.jq_pk, unpack.began,
       coalesce(unpack.paused, FALSE), coalesce(unended.others, FALSE),
       coalesce((SELECT own.user_pk FROM public.users own
                  WHERE own.user_pk = u.user_fk AND own.user_perm >= 10),
                (SELECT min(other.user_pk) FROM public.users other
                  WHERE other.user_perm >= 10))
  FROM public.upload u
  LEFT JOIN first ON first.upload = u.upload_pk
  LEFT JOIN done ON done.upload = u.upload_pk
  LEFT JOIN unended ON unended.upload = u.upload_pk
  LEFT JOIN unpack ON unpack.upload = u.upload_pk
 WHERE u.pfile_fk IS NOT NULL
 ORDER BY u.upload_pk
