-- The folders' names.
COPY (
  SELECT folder_pk, folder_name
    FROM public.folder
) TO STDOUT (FORMAT binary)
