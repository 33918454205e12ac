-- Room for a statement of a dump whose text is in no encoding that the driver can send.
CREATE TEMPORARY TABLE IF NOT EXISTS fogold_statement (text text) ON COMMIT DROP
