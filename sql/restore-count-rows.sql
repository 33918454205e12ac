-- The rows of a table. {only} is ONLY where those of the tables that inherit from it do not count.
SELECT count(*) FROM {only} public.{table}
