-- Takes away the tree rows of an upload ($1) whose unpack was killed. While a single one is there,
-- the agent takes the tree for whole and adds nothing to it.
DELETE FROM public.uploadtree WHERE upload_fk = $1
