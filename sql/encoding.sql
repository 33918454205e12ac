-- Text is read as bytes: in a database in SQL_ASCII it has no encoding, and a conversion would fail.
SET client_encoding TO 'SQL_ASCII'
