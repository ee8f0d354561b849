-- What happened to alerts, one event an entry.
CREATE TABLE event (
    sequence INTEGER PRIMARY KEY,
    -- Canonical JSON of sequence, at, actor, previous and event: what the leaf hash covers.
    body TEXT NOT NULL CHECK (json_extract(body, '$.sequence') = sequence),
    leaf BLOB NOT NULL CHECK (length(leaf) = 32)
);
-- What is personal of an event, which holds SHA-256 of the salt and this body. It may be erased.
CREATE TABLE private (sequence INTEGER PRIMARY KEY, salt BLOB NOT NULL, body TEXT NOT NULL);
-- How far each school day of the access log was read: the place of a row, and which record it is.
CREATE TABLE position (
    day TEXT PRIMARY KEY NOT NULL, sequence INTEGER NOT NULL, record INTEGER NOT NULL
) WITHOUT ROWID;

-- These stop mistakes, not an administrator of the machine: that is what the hashes are for.
CREATE TRIGGER event_no_gap BEFORE INSERT ON event
WHEN NEW.sequence <> (SELECT coalesce(max(sequence) + 1, 0) FROM event)
BEGIN SELECT raise(ABORT, 'the log of alerts is gap-free'); END;
CREATE TRIGGER event_no_update BEFORE UPDATE ON event
BEGIN SELECT raise(ABORT, 'the log of alerts is append-only'); END;
CREATE TRIGGER event_no_delete BEFORE DELETE ON event
BEGIN SELECT raise(ABORT, 'the log of alerts is append-only'); END;
CREATE TRIGGER private_no_update BEFORE UPDATE ON private
BEGIN SELECT raise(ABORT, 'what is personal is erased, never changed'); END;
