-- Every stream of a catalog reads one and the same snapshot; nothing is written, not even a
-- temporary table. Row-level security must not hide rows: a role that it binds is refused.
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL row_security = off
