-- Which release the server is of: a client program must not be older.
SELECT current_setting('server_version')
