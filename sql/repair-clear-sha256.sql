-- Takes back what a repair has filled in, where it is still so. $1: keys, $2: digests, $3: the database
-- that the repair was about.
UPDATE public.pfile p
   SET pfile_sha256 = NULL
  FROM unnest($1::int4[], $2::text[]) given (pk, digest)
 WHERE p.pfile_pk = given.pk
   AND p.pfile_sha256 = given.digest::bpchar
   AND current_database() = $3
