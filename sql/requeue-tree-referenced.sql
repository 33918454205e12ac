-- Whether anything in a column of a table points at a tree row of an upload ($1).
SELECT EXISTS (SELECT
                 FROM public.{table} x
                 JOIN public.uploadtree t ON t.uploadtree_pk = x.{column}
                WHERE t.upload_fk = $1)
