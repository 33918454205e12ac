-- Keeps the tables of upload trees from being dropped while they are read one by one, as pg_dump does.
-- Locks the tables that inherit from it as well; nobody who reads or writes is held up. Where the role
-- may not, the transaction goes on without.
SAVEPOINT before_lock;
LOCK TABLE public.uploadtree IN ACCESS SHARE MODE
