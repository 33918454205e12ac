-- Whether anything uses the pfile of this name, as maintagent asks it of each file: found by md5, sha1
-- and size, and looked for in all tree rows and all uploads.
WITH wanted AS (
  SELECT pfile_pk
    FROM public.pfile
   WHERE pfile_md5 = $1 AND pfile_sha1 = $2 AND pfile_size = $3::int8
)
SELECT 1
  FROM public.uploadtree t
  JOIN wanted ON wanted.pfile_pk = t.pfile_fk
UNION ALL
SELECT 1
  FROM public.upload u
  JOIN wanted ON wanted.pfile_pk = u.pfile_fk
