-- The second look: rows of names that were in doubt, as they are now. $1: digests in the letter
-- case of the column; compared as bpchar, for a cast of the column itself would lose its index.
-- $2: keys of rows that the catalog knows, for a digest may be written in any letter case.
SELECT p.pfile_sha1, p.pfile_md5, p.pfile_size::int8,
       EXISTS (SELECT FROM public.upload u WHERE u.pfile_fk = p.pfile_pk),
       EXISTS (SELECT FROM public.uploadtree t WHERE t.pfile_fk = p.pfile_pk)
  FROM public.pfile p
 WHERE p.pfile_sha1 = ANY ($1::text[]::bpchar[])
    OR p.pfile_pk = ANY ($2::int4[])
