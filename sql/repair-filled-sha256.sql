-- How many rows still have what a repair has filled in. $1: keys, $2: digests, $3: the database that the
-- repair was about.
SELECT count(*)
  FROM unnest($1::int4[], $2::text[]) given (pk, digest)
  JOIN public.pfile p
    ON p.pfile_pk = given.pk
   AND p.pfile_sha256 = given.digest::bpchar
   AND current_database() = $3
