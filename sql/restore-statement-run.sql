-- Runs it.
DO $fogold$
BEGIN
  EXECUTE (SELECT text FROM pg_temp.fogold_statement);
  DELETE FROM pg_temp.fogold_statement;
END
$fogold$
