-- The transaction that all is restored in: it must be the same one at the end.
SELECT pg_catalog.txid_current()
