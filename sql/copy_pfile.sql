-- All pfiles.
COPY (
  SELECT pfile_pk, pfile_sha1, pfile_md5, pfile_size, {pfile_sha256}
    FROM public.pfile
) TO STDOUT (FORMAT binary)
