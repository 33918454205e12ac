-- What lies in which folder: folders (mode 1) and uploads (mode 2).
COPY (
  SELECT parent_fk, foldercontents_mode, child_id
    FROM public.foldercontents
) TO STDOUT (FORMAT binary)
