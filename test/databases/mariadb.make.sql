-- One of each kind of thing that a dump of MariaDB must carry.
CREATE SEQUENCE tickets START WITH 1000 INCREMENT BY 7 NOCACHE;
DO NEXTVAL(tickets), NEXTVAL(tickets);
CREATE TABLE things (
  id bigint AUTO_INCREMENT PRIMARY KEY,
  ticket bigint DEFAULT NEXTVAL(tickets),
  name varchar(200) COLLATE utf8mb4_bin UNIQUE,
  old varchar(50) CHARACTER SET latin1,
  raw longblob,
  amount decimal(40, 10),
  ratio double,
  at timestamp(6) NULL,
  day date,
  span time(3),
  document json,
  feeling enum('sad', 'happy'),
  flags set('a', 'b', 'c'),
  bits bit(9),
  count int CHECK (count > 0),
  doubled int AS (count * 2) STORED,
  FULLTEXT (name)) AUTO_INCREMENT = 77 COMMENT 'Sachen, für alle';
SET time_zone = '+00:00';
INSERT INTO things (name, old, raw, amount, ratio, at, day, span, document,
                    feeling, flags, bits, count)
  VALUES
  ('Zażółć gęślą jaźń 日本語 😀 \\ '' " % \t \n end', 'für',
   UNHEX(CONCAT(REPEAT('00ff0a271a5c0d22', 500))),
   12345678901234567890.0123456789, 0.1e0 + 0.2, '2009-07-20 20:17:40.123456',
   '1000-01-01', '-838:59:59', '{"a": [1, null, "ü"]}', 'happy', 'a,c',
   b'101010101', 21),
  ('', '', '', 0, -1e308, NULL, '9999-12-31', '00:00:00.001', 'null', 'sad', '',
   b'0', 1),
  (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
DELETE FROM things WHERE name = 'never';
CREATE TABLE parts (
  thing bigint, part int, PRIMARY KEY (thing, part))
  PARTITION BY RANGE (part) (
    PARTITION low VALUES LESS THAN (10), PARTITION high VALUES LESS THAN (100));
INSERT INTO parts VALUES (1, 1), (1, 11), (2, 99);
CREATE TABLE children (thing bigint,
  FOREIGN KEY (thing) REFERENCES things (id) ON DELETE CASCADE);
INSERT INTO children VALUES (77);
CREATE VIEW happy_things AS SELECT id, name FROM things WHERE feeling = 'happy';
CREATE TABLE changes (id int AUTO_INCREMENT PRIMARY KEY, what text);
DELIMITER //
CREATE TRIGGER noted AFTER INSERT ON things FOR EACH ROW
BEGIN
  INSERT INTO changes (what) VALUES (CONCAT('INSERT ünï // ', NEW.id));
END //
CREATE FUNCTION twice(value int) RETURNS int DETERMINISTIC
BEGIN
  RETURN value * 2;
END //
CREATE PROCEDURE add_thing(title varchar(200))
BEGIN
  INSERT INTO things (name) VALUES (title);
END //
DELIMITER ;
CALL add_thing('by a procedure');
CREATE EVENT never ON SCHEDULE AT '2037-01-01 00:00:00' DO SELECT 1;
