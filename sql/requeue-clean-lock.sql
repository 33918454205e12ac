-- While rows are taken away, nobody may begin to use them.
SET LOCAL lock_timeout TO '10s';
LOCK TABLE public.upload, public.uploadtree, public.pfile IN SHARE ROW EXCLUSIVE MODE
