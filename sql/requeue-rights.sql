-- Which rights are missing, so that all are named at once, before anything is changed: what each is
-- for, and what to grant. Of users only two columns are read: another holds passwords. A sequence is
-- asked for under the name that FOSSology's schema gives it.
SELECT wanted.privilege, wanted.granted, wanted.kind, wanted.name, current_user::text
  FROM (VALUES ('INSERT', 'INSERT', 'table', 'job'),
               ('SELECT', 'SELECT', 'table', 'job'),
               ('INSERT', 'INSERT', 'table', 'jobqueue'),
               ('SELECT', 'SELECT', 'table', 'jobqueue'),
               ('INSERT', 'INSERT', 'table', 'jobdepends'),
               ('SELECT', 'SELECT', 'table', 'jobdepends'),
               ('DELETE', 'DELETE', 'table', 'jobdepends'),
               ('UPDATE', 'UPDATE', 'table', 'ununpack_ars'),
               ('SELECT', 'SELECT', 'table', 'ununpack_ars'),
               ('SELECT', 'SELECT (user_pk, user_perm)', 'table', 'users'),
               ('USAGE', 'USAGE', 'sequence', 'job_job_pk_seq'),
               ('USAGE', 'USAGE', 'sequence', 'jobqueue_jq_pk_seq'))
       wanted (privilege, granted, kind, name)
  JOIN pg_catalog.pg_class c ON c.oid = to_regclass('public.' || wanted.name)
 WHERE NOT CASE
             WHEN wanted.kind = 'sequence' THEN has_sequence_privilege(c.oid, wanted.privilege)
             WHEN wanted.name = 'users'
               THEN has_column_privilege(c.oid, 'user_pk', 'SELECT')
                    AND has_column_privilege(c.oid, 'user_perm', 'SELECT')
             ELSE has_table_privilege(c.oid, wanted.privilege)
           END
 ORDER BY wanted.kind DESC, wanted.privilege, wanted.name
