-- All uploads, deleted ones too.
COPY (
  SELECT upload_pk, upload_filename, upload_mode, pfile_fk, upload_origin, upload_ts, user_fk,
         {uploadtree_tablename}, {expire_action}
    FROM public.upload
) TO STDOUT (FORMAT binary)
