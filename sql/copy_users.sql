-- The users' names, for figures about who has what. Nothing else of them is wanted.
COPY (
  SELECT user_pk, user_name
    FROM public.users
) TO STDOUT (FORMAT binary)
