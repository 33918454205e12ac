-- Has the rows that name a file below a directory ($1) name it below another ($2).
UPDATE public.{table}
   SET {column} = $2 || substr({column}, length($1) + 1)
 WHERE left({column}, length($1)) = $1
