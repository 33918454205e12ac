-- The columns that queueing needs and that old releases lack.
SELECT wanted.name || '.' || wanted.attribute
  FROM (VALUES ('jobqueue', 'jq_cmd_args'),
               ('jobqueue', 'jq_host'),
               ('jobdepends', 'jdep_jq_fk'),
               ('ununpack_ars', 'ars_success'),
               ('users', 'user_perm')) wanted (name, attribute)
 WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a
                    WHERE a.attrelid = to_regclass('public.' || wanted.name)
                      AND a.attname = wanted.attribute
                      AND NOT a.attisdropped)
 ORDER BY 1
