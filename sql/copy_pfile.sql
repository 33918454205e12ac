-- All pfiles, or those in a range of the table's blocks.
COPY (
  SELECT pfile_pk, pfile_sha1, pfile_md5, pfile_size, {pfile_sha256}
    FROM public.pfile
    {range}
) TO STDOUT (FORMAT binary)
