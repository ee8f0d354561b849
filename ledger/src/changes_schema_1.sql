-- The change log and the users: one file, so that a user's change and its entry commit together.
CREATE TABLE change (
    sequence INTEGER PRIMARY KEY,
    -- Canonical JSON of sequence, at, actor and event: what the leaf hash covers.
    body TEXT NOT NULL CHECK (json_extract(body, '$.sequence') = sequence),
    leaf BLOB NOT NULL CHECK (length(leaf) = 32),
    at INTEGER GENERATED ALWAYS AS (json_extract(body, '$.at')) VIRTUAL,
    actor TEXT GENERATED ALWAYS AS (json_extract(body, '$.actor')) VIRTUAL,
    kind TEXT GENERATED ALWAYS AS (json_extract(body, '$.event.event')) VIRTUAL
);
CREATE INDEX change_kind ON change (kind, sequence);

-- These stop mistakes, not an administrator of the machine: that is what the signed log is for.
CREATE TRIGGER change_no_gap BEFORE INSERT ON change
WHEN NEW.sequence <> (SELECT coalesce(max(sequence) + 1, 0) FROM change)
BEGIN SELECT raise(ABORT, 'the change log is gap-free'); END;
CREATE TRIGGER change_no_update BEFORE UPDATE ON change
BEGIN SELECT raise(ABORT, 'the change log is append-only'); END;
CREATE TRIGGER change_no_delete BEFORE DELETE ON change
BEGIN SELECT raise(ABORT, 'the change log is append-only'); END;

CREATE TABLE person (
    -- The name in lower case: names are compared without case.
    key TEXT PRIMARY KEY NOT NULL,
    name TEXT NOT NULL,
    level TEXT,
    -- JSON array of texts.
    groups TEXT NOT NULL DEFAULT '[]',
    -- Argon2id in PHC form; NULL: cannot sign in with a password.
    password TEXT,
    banned_until INTEGER,
    created_at INTEGER NOT NULL,
    removed_at INTEGER
);
