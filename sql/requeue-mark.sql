-- The greatest pfile_pk before anything is queued, and the database it belongs to: what comes later
-- and is used by nothing was made by unpack jobs.
SELECT coalesce((SELECT max(pfile_pk) FROM public.pfile), 0), current_database()::text,
       (extract(epoch FROM now()) * 1000000)::int8
