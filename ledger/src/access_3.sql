-- Third version of a day's file: what its rows are proved with (see ledger::evidence).
-- Ends that came by themselves are counted from 0 in the order of their coming; those stored before this
-- version have no place.
ALTER TABLE access_end ADD COLUMN place INTEGER;
-- Batches, numbered over all days. `record` is canonical JSON and the leaf of the access log's tree;
-- `marks` are the first two bytes of each leaf in the batch, to find the row where a root does not fit.
CREATE TABLE batch (number INTEGER PRIMARY KEY, record TEXT NOT NULL, marks BLOB NOT NULL);
CREATE TRIGGER batch_is_append_only_update BEFORE UPDATE ON batch
  BEGIN SELECT RAISE(ABORT, 'the access log is append-only'); END;
CREATE TRIGGER batch_is_append_only_delete BEFORE DELETE ON batch
  BEGIN SELECT RAISE(ABORT, 'the access log is append-only'); END;
