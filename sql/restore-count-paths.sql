-- Rows that name a file below a directory ($1, with a slash at its end).
SELECT count(*) FROM public.{table} WHERE left({column}, length($1)) = $1
