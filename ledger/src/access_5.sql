-- Fifth version of a day's file: the words of searches, and signs of themes (see ledger::notes). Few rows have
-- any. A day of this version from which rows were erased is of version 6, and has the tables of the fourth too.
-- `kind` of the words: 0 a search, 1 asked while somebody types, 2 a prompt; NULL with `site` and `words` where
-- there are only signs. Signs are `theme:points:source:severity`, with spaces between.
CREATE TABLE access_note (
  sequence INTEGER PRIMARY KEY, kind INTEGER, site TEXT, words TEXT, signs TEXT);
-- Signs found after a row was stored, for the end of that row in access_end.
CREATE TABLE end_note (sequence INTEGER PRIMARY KEY, signs TEXT NOT NULL);
CREATE TRIGGER access_note_is_append_only_update BEFORE UPDATE ON access_note
  BEGIN SELECT RAISE(ABORT, 'the access log is append-only'); END;
CREATE TRIGGER access_note_is_append_only_delete BEFORE DELETE ON access_note
  BEGIN SELECT RAISE(ABORT, 'the access log is append-only'); END;
CREATE TRIGGER end_note_is_append_only_update BEFORE UPDATE ON end_note
  BEGIN SELECT RAISE(ABORT, 'the access log is append-only'); END;
CREATE TRIGGER end_note_is_append_only_delete BEFORE DELETE ON end_note
  BEGIN SELECT RAISE(ABORT, 'the access log is append-only'); END;
