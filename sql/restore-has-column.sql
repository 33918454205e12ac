-- Whether a table has a column: releases differ.
SELECT EXISTS (SELECT FROM pg_catalog.pg_attribute
                WHERE attrelid = to_regclass('public.' || quote_ident($1))
                  AND attname = $2 AND NOT attisdropped)
