-- Has the agent unpack an upload ($1) anew: while a run of it counts as a success, it does nothing.
UPDATE public.ununpack_ars SET ars_success = FALSE WHERE upload_fk = $1
