-- One school day's accesses. Texts that repeat are kept once; `access_row` joins them for people.
CREATE TABLE meta (key TEXT PRIMARY KEY, value) WITHOUT ROWID;
-- How far each journal file is stored here: all bytes before `offset`, but for the decisions that
-- start at the offsets in `held` (little-endian 8-byte numbers), which still waited for their end.
CREATE TABLE position (segment INTEGER PRIMARY KEY, offset INTEGER NOT NULL, held BLOB NOT NULL);

CREATE TABLE name (id INTEGER PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE person (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE client (id INTEGER PRIMARY KEY, address TEXT NOT NULL);
CREATE TABLE site (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
CREATE TABLE host (id INTEGER PRIMARY KEY, name TEXT NOT NULL, site INTEGER NOT NULL);
-- Names joined by spaces, with one space before and after.
CREATE TABLE category_set (id INTEGER PRIMARY KEY, names TEXT NOT NULL, locked INTEGER NOT NULL);
CREATE TABLE context (
  id INTEGER PRIMARY KEY, policy_hash TEXT NOT NULL, list_version TEXT NOT NULL, zone TEXT NOT NULL);
-- Who asked: `person` is NULL where nobody was proved.
CREATE TABLE who (
  id INTEGER PRIMARY KEY, person INTEGER, client INTEGER NOT NULL, level INTEGER NOT NULL);
-- For what, and the answer. Numbers of verdict, reason, scheme and depth are never reassigned.
CREATE TABLE what (
  id INTEGER PRIMARY KEY, context INTEGER NOT NULL, method INTEGER NOT NULL, scheme INTEGER NOT NULL,
  host INTEGER NOT NULL, port INTEGER NOT NULL, category_set INTEGER NOT NULL,
  verdict INTEGER NOT NULL, reason INTEGER NOT NULL, rule INTEGER, unblock INTEGER,
  depth INTEGER NOT NULL);

-- `at` in milliseconds since 1970; `end` NULL: see access_end, or the access is still open. `end & 15`
-- tells how it ended; `end >> 4` is 0 where the depth is as decided, else the depth in the end plus 1.
CREATE TABLE access (
  sequence INTEGER PRIMARY KEY, id INTEGER NOT NULL, at INTEGER NOT NULL, who INTEGER NOT NULL,
  what INTEGER NOT NULL, path TEXT, "end" INTEGER, status INTEGER, bytes_up INTEGER,
  bytes_down INTEGER, duration_us INTEGER);
CREATE TABLE access_end (
  sequence INTEGER PRIMARY KEY, "end" INTEGER NOT NULL, status INTEGER NOT NULL,
  bytes_up INTEGER NOT NULL, bytes_down INTEGER NOT NULL, duration_us INTEGER NOT NULL);

-- Rollups. Category 0 counts each request once, whatever its categories; person 0 is nobody proved.
CREATE TABLE rollup_hour (
  hour INTEGER NOT NULL, level INTEGER NOT NULL, category INTEGER NOT NULL, verdict INTEGER NOT NULL,
  requests INTEGER NOT NULL, bytes_up INTEGER NOT NULL, bytes_down INTEGER NOT NULL,
  PRIMARY KEY (hour, level, category, verdict)) WITHOUT ROWID;
CREATE TABLE rollup_person (
  person INTEGER NOT NULL, level INTEGER NOT NULL, category INTEGER NOT NULL,
  verdict INTEGER NOT NULL, requests INTEGER NOT NULL,
  PRIMARY KEY (person, level, category, verdict)) WITHOUT ROWID;
CREATE TABLE rollup_site (
  site INTEGER NOT NULL, level INTEGER NOT NULL, verdict INTEGER NOT NULL, requests INTEGER NOT NULL,
  PRIMARY KEY (site, level, verdict)) WITHOUT ROWID;
CREATE TABLE rollup_depth (
  depth INTEGER NOT NULL, identified INTEGER NOT NULL, level INTEGER NOT NULL,
  verdict INTEGER NOT NULL, requests INTEGER NOT NULL,
  PRIMARY KEY (depth, identified, level, verdict)) WITHOUT ROWID;
CREATE TABLE hour_person (
  hour INTEGER NOT NULL, person INTEGER NOT NULL, PRIMARY KEY (hour, person)) WITHOUT ROWID;

CREATE VIEW access_row AS
  SELECT a.sequence, a.id, a.at, p.name AS user, l.value AS level, c.address AS client,
    m.value AS method, w.scheme, h.name AS host, w.port, a.path, trim(s.names) AS categories,
    CASE w.verdict WHEN 0 THEN 'allow' ELSE 'block' END AS verdict, w.reason, r.value AS rule,
    w.unblock, w.depth, x.policy_hash, x.list_version, coalesce(a."end", e."end") AS "end",
    coalesce(a.status, e.status) AS status, coalesce(a.bytes_up, e.bytes_up) AS bytes_up,
    coalesce(a.bytes_down, e.bytes_down) AS bytes_down,
    coalesce(a.duration_us, e.duration_us) AS duration_us
  FROM access a
  JOIN who o ON o.id = a.who LEFT JOIN person p ON p.id = o.person
  JOIN client c ON c.id = o.client JOIN name l ON l.id = o.level
  JOIN what w ON w.id = a.what JOIN name m ON m.id = w.method JOIN host h ON h.id = w.host
  JOIN category_set s ON s.id = w.category_set JOIN context x ON x.id = w.context
  LEFT JOIN name r ON r.id = w.rule LEFT JOIN access_end e ON e.sequence = a.sequence;

CREATE TRIGGER access_is_append_only_update BEFORE UPDATE ON access
  BEGIN SELECT RAISE(ABORT, 'the access log is append-only'); END;
CREATE TRIGGER access_is_append_only_delete BEFORE DELETE ON access
  BEGIN SELECT RAISE(ABORT, 'the access log is append-only'); END;
CREATE TRIGGER access_end_is_append_only_update BEFORE UPDATE ON access_end
  BEGIN SELECT RAISE(ABORT, 'the access log is append-only'); END;
CREATE TRIGGER access_end_is_append_only_delete BEFORE DELETE ON access_end
  BEGIN SELECT RAISE(ABORT, 'the access log is append-only'); END;
CREATE TRIGGER who_is_append_only_update BEFORE UPDATE ON who
  BEGIN SELECT RAISE(ABORT, 'the access log is append-only'); END;
CREATE TRIGGER who_is_append_only_delete BEFORE DELETE ON who
  BEGIN SELECT RAISE(ABORT, 'the access log is append-only'); END;
CREATE TRIGGER what_is_append_only_update BEFORE UPDATE ON what
  BEGIN SELECT RAISE(ABORT, 'the access log is append-only'); END;
CREATE TRIGGER what_is_append_only_delete BEFORE DELETE ON what
  BEGIN SELECT RAISE(ABORT, 'the access log is append-only'); END;
