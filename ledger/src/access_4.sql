-- Fourth version of a day's file: rows were erased from it, and their hashes stay (see ledger::retention).
-- Kind 0: rows, by their place in the day; kind 1: ends that came by themselves, by theirs.
CREATE TABLE erased (
  kind INTEGER NOT NULL, place INTEGER NOT NULL, leaf BLOB NOT NULL, PRIMARY KEY (kind, place)) WITHOUT ROWID;
-- Salts of what is left. The secret that they came from is gone, so that nobody finds by trial what was
-- erased; the secret in `meta` is another, for what may still come.
CREATE TABLE salt (
  kind INTEGER NOT NULL, place INTEGER NOT NULL, salt BLOB NOT NULL, PRIMARY KEY (kind, place)) WITHOUT ROWID;
CREATE TRIGGER erased_is_append_only_update BEFORE UPDATE ON erased
  BEGIN SELECT RAISE(ABORT, 'the access log is append-only'); END;
CREATE TRIGGER erased_is_append_only_delete BEFORE DELETE ON erased
  BEGIN SELECT RAISE(ABORT, 'the access log is append-only'); END;
CREATE TRIGGER salt_is_append_only_update BEFORE UPDATE ON salt
  BEGIN SELECT RAISE(ABORT, 'the access log is append-only'); END;
CREATE TRIGGER salt_is_append_only_delete BEFORE DELETE ON salt
  BEGIN SELECT RAISE(ABORT, 'the access log is append-only'); END;
