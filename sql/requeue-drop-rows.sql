-- Takes away rows ($1) that nothing points at; their files have gone to the quarantine.
DELETE FROM public.pfile WHERE pfile_pk = ANY ($1::int4[])
