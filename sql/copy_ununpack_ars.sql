-- Each run of the unpack agent, and whether it came to its end.
COPY (
  SELECT upload_fk, ars_success, ars_endtime
    FROM public.ununpack_ars
) TO STDOUT (FORMAT binary)
