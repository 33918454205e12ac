-- The tree rows of uploadtree and every table that inherits from it, or of one of them, or of a range
-- of its blocks. Of names and modes only what tells an archive's listing is needed (268435456 is
-- 1<<28, the artifact bit).
COPY (
  SELECT upload_fk, pfile_fk,
         ufile_mode & 268435456 <> 0 AND ufile_name = 'artifact.meta'
    FROM {table}
    {range}
) TO STDOUT (FORMAT binary)
