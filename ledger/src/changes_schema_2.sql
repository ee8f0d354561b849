-- Administrators: who may change the filter and read the log. Not the people who browse.
CREATE TABLE account (
    -- The name in lower case: names are compared without case.
    key TEXT PRIMARY KEY NOT NULL,
    name TEXT NOT NULL,
    -- Argon2id in PHC form; NULL: nobody can log in.
    password TEXT,
    -- Whoever set the password for somebody else: it must be changed at the next log-in. NULL: the
    -- person's own.
    set_by TEXT,
    -- Secret of the one-time codes; NULL: the password alone will do.
    code_secret BLOB,
    -- The last 30 s step whose code was taken: none is taken twice.
    code_step INTEGER,
    -- Wrong passwords and codes in a row.
    failures INTEGER NOT NULL DEFAULT 0,
    locked_until INTEGER,
    last_login INTEGER,
    created_at INTEGER NOT NULL,
    removed_at INTEGER
);

CREATE TABLE session (
    -- SHA-256 of the token: whoever reads this file cannot act with it.
    token BLOB PRIMARY KEY NOT NULL CHECK (length(token) = 32),
    -- Key of the account, or break-glass.
    account TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    last_used INTEGER NOT NULL,
    ends_at INTEGER NOT NULL,
    revoked_at INTEGER
) WITHOUT ROWID;
CREATE INDEX session_account ON session (account);

-- The emergency code in the head's safe: one at a time.
CREATE TABLE break_glass (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    -- Argon2id in PHC form.
    code TEXT NOT NULL,
    made_at INTEGER NOT NULL,
    used_at INTEGER
);
