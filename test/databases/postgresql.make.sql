-- One of each kind of thing that a dump of PostgreSQL must carry.
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE SEQUENCE tickets START 1000 INCREMENT 7;
SELECT nextval('tickets'), nextval('tickets');
CREATE TABLE things (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  ticket bigint DEFAULT nextval('tickets'),
  name text COLLATE "C" UNIQUE,
  raw bytea,
  amount numeric(30, 10),
  ratio double precision,
  at timestamptz,
  day date,
  span interval,
  words text[],
  document jsonb,
  address inet,
  feeling mood,
  count positive,
  doubled int GENERATED ALWAYS AS (count * 2) STORED);
INSERT INTO things (name, raw, amount, ratio, at, day, span, words, document,
                    address, feeling, count)
  VALUES
  (E'Zażółć gęślą jaźń \u65E5\u672C\u8A9E \U0001F600 \\ '' " % \t \n end',
   decode((SELECT string_agg(lpad(to_hex(i), 2, '0'), '' ORDER BY i)
           FROM generate_series(0, 255) i), 'hex'),
   12345678901234567890.0123456789, 0.1::float8 + 0.2, '1969-07-20 20:17:40.123456+00',
   '-infinity', '1 year 2 days 03:04:05.6', '{a,NULL,"b c","{}"}',
   '{"a": [1, null, "ü"]}', '2001:db8::1/64', 'happy', 21),
  ('', '', 'NaN', 'Infinity', 'infinity', '0001-01-01 BC', '-1 month', '{}',
   'null', '192.0.2.0/24', 'sad', 1),
  (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
CREATE TABLE parts (
  thing bigint REFERENCES things ON DELETE CASCADE, part int,
  PRIMARY KEY (thing, part)) PARTITION BY RANGE (part);
CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (0) TO (10);
CREATE TABLE parts_high PARTITION OF parts FOR VALUES FROM (10) TO (100);
INSERT INTO parts VALUES (1, 1), (1, 11), (2, 99);
CREATE VIEW happy_things AS SELECT id, name FROM things WHERE feeling = 'happy';
CREATE MATERIALIZED VIEW counted AS SELECT count(*) AS number FROM things;
CREATE INDEX things_document ON things USING gin (document);
CREATE TABLE changes (id serial PRIMARY KEY, what text);
CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  INSERT INTO changes (what) VALUES (TG_OP || ' ünï $$ ');
  RETURN NEW;
END
$body$;
CREATE TRIGGER noted AFTER INSERT ON things
  FOR EACH ROW EXECUTE FUNCTION note_change();
CREATE PROCEDURE add_thing(INOUT title text) LANGUAGE SQL AS
  $body$ INSERT INTO things (name) VALUES (title) RETURNING name $body$;
CALL add_thing('by a procedure');
CREATE TABLE large (object oid);
INSERT INTO large VALUES (lo_from_bytea(0, decode(repeat('00ff0a', 3000), 'hex')));
-- As it is when a dump is loaded: made anew.
REFRESH MATERIALIZED VIEW counted;
COMMENT ON TABLE things IS 'Sachen, für alle';
ALTER TABLE things ENABLE ROW LEVEL SECURITY;
CREATE POLICY everything ON things USING (true);
GRANT SELECT ON things TO reader;
