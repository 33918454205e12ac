-- The last number that a sequence gave, and the greatest that is in use.
SELECT (SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM {sequence}),
       (SELECT max({column})::int8 FROM {table})
