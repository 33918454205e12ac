-- Which upload a job is for.
COPY (
  SELECT job_pk, job_upload_fk, job_queued
    FROM public.job
) TO STDOUT (FORMAT binary)
