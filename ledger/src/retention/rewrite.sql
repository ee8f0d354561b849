-- Copies a day from the database `old` without the rows and ends that `erased` names. Each table of texts
-- gets the rows that are pointed to, numbered anew in their order.
CREATE TEMP TABLE kept_who AS
  SELECT who AS old, row_number() OVER (ORDER BY who) AS new FROM (
    SELECT DISTINCT a.who FROM old.access a
    WHERE NOT EXISTS (SELECT 1 FROM main.erased e WHERE e.kind = 0 AND e.place = a.sequence));
CREATE TEMP TABLE kept_what AS
  SELECT what AS old, row_number() OVER (ORDER BY what) AS new FROM (
    SELECT DISTINCT a.what FROM old.access a
    WHERE NOT EXISTS (SELECT 1 FROM main.erased e WHERE e.kind = 0 AND e.place = a.sequence));
CREATE TEMP TABLE kept_person AS
  SELECT id AS old, row_number() OVER (ORDER BY id) AS new FROM old.person
  WHERE id IN (SELECT o.person FROM old.who o JOIN kept_who k ON k.old = o.id);
CREATE TEMP TABLE kept_client AS
  SELECT id AS old, row_number() OVER (ORDER BY id) AS new FROM old.client
  WHERE id IN (SELECT o.client FROM old.who o JOIN kept_who k ON k.old = o.id);
CREATE TEMP TABLE kept_context AS
  SELECT id AS old, row_number() OVER (ORDER BY id) AS new FROM old.context
  WHERE id IN (SELECT w.context FROM old.what w JOIN kept_what k ON k.old = w.id);
CREATE TEMP TABLE kept_host AS
  SELECT id AS old, row_number() OVER (ORDER BY id) AS new FROM old.host
  WHERE id IN (SELECT w.host FROM old.what w JOIN kept_what k ON k.old = w.id);
CREATE TEMP TABLE kept_site AS
  SELECT id AS old, row_number() OVER (ORDER BY id) AS new FROM old.site
  WHERE id IN (SELECT h.site FROM old.host h JOIN kept_host k ON k.old = h.id);
CREATE TEMP TABLE kept_set AS
  SELECT id AS old, row_number() OVER (ORDER BY id) AS new FROM old.category_set
  WHERE id IN (SELECT w.category_set FROM old.what w JOIN kept_what k ON k.old = w.id);
CREATE TEMP TABLE kept_name AS
  SELECT id AS old, row_number() OVER (ORDER BY id) AS new FROM old.name n
  WHERE id IN (SELECT o.level FROM old.who o JOIN kept_who k ON k.old = o.id)
    OR id IN (SELECT w.method FROM old.what w JOIN kept_what k ON k.old = w.id)
    OR id IN (SELECT w.rule FROM old.what w JOIN kept_what k ON k.old = w.id WHERE w.rule IS NOT NULL)
    OR EXISTS (SELECT 1 FROM old.category_set s JOIN kept_set k ON k.old = s.id
      WHERE instr(s.names, ' ' || n.value || ' ') > 0);

INSERT INTO main.name SELECT k.new, n.value FROM old.name n JOIN kept_name k ON k.old = n.id;
INSERT INTO main.person SELECT k.new, p.name FROM old.person p JOIN kept_person k ON k.old = p.id;
INSERT INTO main.client SELECT k.new, c.address FROM old.client c JOIN kept_client k ON k.old = c.id;
INSERT INTO main.site SELECT k.new, s.name FROM old.site s JOIN kept_site k ON k.old = s.id;
INSERT INTO main.host SELECT k.new, h.name, s.new FROM old.host h JOIN kept_host k ON k.old = h.id
  JOIN kept_site s ON s.old = h.site;
INSERT INTO main.category_set
  SELECT k.new, s.names, s.locked FROM old.category_set s JOIN kept_set k ON k.old = s.id;
INSERT INTO main.context SELECT k.new, c.policy_hash, c.list_version, c.zone FROM old.context c
  JOIN kept_context k ON k.old = c.id;
INSERT INTO main.who SELECT k.new, p.new, c.new, l.new FROM old.who o JOIN kept_who k ON k.old = o.id
  LEFT JOIN kept_person p ON p.old = o.person JOIN kept_client c ON c.old = o.client
  JOIN kept_name l ON l.old = o.level;
INSERT INTO main.what
  SELECT k.new, x.new, m.new, w.scheme, h.new, w.port, s.new, w.verdict, w.reason, r.new, w.unblock, w.depth
  FROM old.what w JOIN kept_what k ON k.old = w.id JOIN kept_context x ON x.old = w.context
  JOIN kept_name m ON m.old = w.method JOIN kept_host h ON h.old = w.host
  JOIN kept_set s ON s.old = w.category_set LEFT JOIN kept_name r ON r.old = w.rule;
CREATE UNIQUE INDEX temp.by_old_who ON kept_who (old);
CREATE UNIQUE INDEX temp.by_old_what ON kept_what (old);
INSERT INTO main.access
  SELECT a.sequence, a.id, a.at, o.new, w.new, a.path, a."end", a.status, a.bytes_up, a.bytes_down,
    a.duration_us
  FROM old.access a JOIN kept_who o ON o.old = a.who JOIN kept_what w ON w.old = a.what
  WHERE NOT EXISTS (SELECT 1 FROM main.erased e WHERE e.kind = 0 AND e.place = a.sequence)
  ORDER BY a.sequence;
INSERT INTO main.access_end (sequence, "end", status, bytes_up, bytes_down, duration_us, place)
  SELECT x.sequence, x."end", x.status, x.bytes_up, x.bytes_down, x.duration_us, x.place
  FROM old.access_end x
  WHERE NOT EXISTS (SELECT 1 FROM main.erased e WHERE e.kind = 1 AND e.place = x.place)
  ORDER BY x.sequence;
INSERT INTO main.batch SELECT number, record, marks FROM old.batch;
INSERT INTO main.position SELECT segment, offset, held FROM old.position;
INSERT OR REPLACE INTO main.meta SELECT key, value FROM old.meta WHERE key <> 'secret';

DROP TABLE kept_who;
DROP TABLE kept_what;
DROP TABLE kept_person;
DROP TABLE kept_client;
DROP TABLE kept_context;
DROP TABLE kept_host;
DROP TABLE kept_site;
DROP TABLE kept_set;
DROP TABLE kept_name;
