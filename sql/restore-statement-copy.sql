-- Takes such a statement, byte for byte.
COPY pg_temp.fogold_statement FROM STDIN
