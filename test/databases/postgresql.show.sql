-- What there is of each, as text.
SELECT id, ticket, name, encode(raw, 'hex'), amount, ratio, at AT TIME ZONE 'UTC',
  day, span, words, document, address, feeling, count, doubled
  FROM things ORDER BY id;
SELECT * FROM parts ORDER BY part;
SELECT tableoid::regclass::text, count(*) FROM parts GROUP BY 1 ORDER BY 1;
SELECT * FROM happy_things;
SELECT number FROM counted;
SELECT * FROM changes ORDER BY id;
SELECT last_value, is_called FROM tickets;
SELECT last_value, is_called FROM changes_id_seq;
SELECT md5(lo_get(object)) FROM large;
SELECT obj_description('things'::regclass);
SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1;
SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1;
SELECT pg_get_functiondef(oid) FROM pg_proc
  WHERE pronamespace = 'public'::regnamespace ORDER BY proname;
SELECT polname FROM pg_policy;
SELECT relacl FROM pg_class WHERE relname = 'things';
SELECT rolname, rolconnlimit, rolconfig FROM pg_roles
  WHERE rolname !~ '^pg_' ORDER BY 1;
SELECT roleid::regrole, member::regrole FROM pg_auth_members
  WHERE roleid::regrole::text = 'reader' ORDER BY 1, 2;
SELECT setconfig FROM pg_db_role_setting s JOIN pg_database d
  ON d.oid = s.setdatabase AND d.datname = current_database();
SELECT pg_encoding_to_char(encoding), datcollate FROM pg_database
  WHERE datname = current_database();
SHOW statement_timeout;
