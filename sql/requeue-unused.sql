-- The next rows of pfile above $1 that nothing at all points at; at most 500, so that a
-- lock is never held for long. The last column: another row bears the same name, so the file stays.
SELECT p.pfile_pk, p.pfile_sha1::text, p.pfile_md5::text, p.pfile_size::int8,
       EXISTS (SELECT FROM public.pfile o
                WHERE o.pfile_sha1 = p.pfile_sha1 AND o.pfile_md5 = p.pfile_md5
                  AND o.pfile_size = p.pfile_size AND o.pfile_pk <> p.pfile_pk)
  FROM public.pfile p
 WHERE p.pfile_pk > $1
   AND {unused}
 ORDER BY p.pfile_pk
 LIMIT 500
