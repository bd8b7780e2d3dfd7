-- What there is of each, as text.
SET time_zone = '+00:00';
SELECT id, ticket, name, old, HEX(raw), amount, ratio, at, day, span, document,
  feeling, flags, BIN(bits), count, doubled FROM things ORDER BY id;
SELECT * FROM parts ORDER BY part;
SELECT * FROM children;
SELECT * FROM happy_things;
SELECT * FROM changes ORDER BY id;
SELECT next_not_cached_value FROM tickets;
SELECT twice(21);
SHOW CREATE TABLE things;
SHOW CREATE TABLE parts;
SHOW CREATE TABLE children;
SHOW CREATE VIEW happy_things;
SELECT trigger_name, action_statement FROM information_schema.triggers
  WHERE trigger_schema = DATABASE();
SELECT routine_name, routine_definition FROM information_schema.routines
  WHERE routine_schema = DATABASE() ORDER BY 1;
SELECT event_name, event_definition FROM information_schema.events
  WHERE event_schema = DATABASE();
SHOW GRANTS;
SELECT @@character_set_database, @@collation_database, @@character_set_server;
