-- What waits for an unpack that failed ($1) waits no longer for that one: another takes its place.
DELETE FROM public.jobdepends d
 USING public.jobqueue q
 WHERE d.jdep_jq_depends_fk = $1 AND q.jq_pk = d.jdep_jq_fk AND q.jq_endtime IS NULL
