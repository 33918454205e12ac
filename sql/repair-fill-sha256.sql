-- Fills in the sha256 of rows that have none. $1: their keys, $2: the digests, $3: the names that the
-- rows must still bear. Not where another row of the name has the digest already: these columns are
-- unique together.
UPDATE public.pfile p
   SET pfile_sha256 = given.digest
  FROM unnest($1::int4[], $2::text[], $3::text[]) given (pk, digest, name)
 WHERE p.pfile_pk = given.pk
   AND p.pfile_sha256 IS NULL
   AND lower(p.pfile_sha1) || '.' || lower(p.pfile_md5) || '.' || p.pfile_size = given.name
   AND NOT EXISTS (SELECT
                     FROM public.pfile o
                    WHERE o.pfile_sha1 = p.pfile_sha1
                      AND o.pfile_md5 = p.pfile_md5
                      AND o.pfile_size = p.pfile_size
                      AND o.pfile_sha256 = given.digest::bpchar)
RETURNING p.pfile_pk
