-- What requeue asks of the database is answered soon or not at all: a table that another session
-- has locked must not hold it for ever. Text is taken as bytes, for a database may have no encoding.
SET client_encoding TO 'SQL_ASCII';
SET lock_timeout TO '60s';
SET statement_timeout TO '1h';
SET idle_in_transaction_session_timeout TO '10min'
