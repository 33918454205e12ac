-- What repair writes to the database is written soon or not at all: a table that another session has
-- locked must not hold it for ever.
SET client_encoding TO 'SQL_ASCII';
SET lock_timeout TO '60s';
SET statement_timeout TO '1h'
