-- Second version of a day's file: why requests were blocked, how far the filter saw into what ended,
-- and who refuses its certificate. Days stored before have none of them.
-- Blocked requests by reason, each once; person 0 is nobody proved. The categories of rollup_hour and
-- rollup_person count blocked requests only where a category decided.
CREATE TABLE rollup_reason (
  person INTEGER NOT NULL, level INTEGER NOT NULL, reason INTEGER NOT NULL,
  requests INTEGER NOT NULL, PRIMARY KEY (person, level, reason)) WITHOUT ROWID;
-- Allowed accesses that ended, by the hour they began in; `depth` in the end. `outcome`: 0 something
-- passed, 1 the client would not have the filter's certificate, 2 nothing passed.
CREATE TABLE rollup_ended (
  hour INTEGER NOT NULL, level INTEGER NOT NULL, scheme INTEGER NOT NULL, depth INTEGER NOT NULL,
  outcome INTEGER NOT NULL, accesses INTEGER NOT NULL,
  PRIMARY KEY (hour, level, scheme, depth, outcome)) WITHOUT ROWID;
-- Hosts whose clients refuse the certificate; `first` and `last` in milliseconds since 1970. Host 0
-- and client 0: all that came once the day had as many rows as it may.
CREATE TABLE rollup_rejected (
  host INTEGER NOT NULL, client INTEGER NOT NULL, first INTEGER NOT NULL, last INTEGER NOT NULL,
  times INTEGER NOT NULL, PRIMARY KEY (host, client)) WITHOUT ROWID;
-- What was looked into at a host, to hold against refusals of the same host: connections that took
-- the certificate, and requests inside.
CREATE TABLE rollup_opened (
  host INTEGER PRIMARY KEY, connections INTEGER NOT NULL, requests INTEGER NOT NULL);

DROP VIEW access_row;
CREATE VIEW access_row AS
  SELECT a.sequence, a.id, a.at, p.name AS user, l.value AS level, c.address AS client,
    m.value AS method, w.scheme, h.name AS host, w.port, a.path, trim(s.names) AS categories,
    CASE w.verdict WHEN 0 THEN 'allow' ELSE 'block' END AS verdict, w.reason, r.value AS rule,
    w.unblock, coalesce(nullif(coalesce(a."end", e."end") >> 4, 0) - 1, w.depth & 15) AS depth,
    x.policy_hash, x.list_version, coalesce(a."end", e."end") & 15 AS "end",
    coalesce(a.status, e.status) AS status, coalesce(a.bytes_up, e.bytes_up) AS bytes_up,
    coalesce(a.bytes_down, e.bytes_down) AS bytes_down,
    coalesce(a.duration_us, e.duration_us) AS duration_us
  FROM access a
  JOIN who o ON o.id = a.who LEFT JOIN person p ON p.id = o.person
  JOIN client c ON c.id = o.client JOIN name l ON l.id = o.level
  JOIN what w ON w.id = a.what JOIN name m ON m.id = w.method JOIN host h ON h.id = w.host
  JOIN category_set s ON s.id = w.category_set JOIN context x ON x.id = w.context
  LEFT JOIN name r ON r.id = w.rule LEFT JOIN access_end e ON e.sequence = a.sequence;
