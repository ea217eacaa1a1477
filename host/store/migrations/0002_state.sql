-- What a tenant has in a space, as a whole. It stays when the last value has gone, because versions never come back.
CREATE TABLE spaces (
    id INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    keys INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    UNIQUE (tenant, name)
) STRICT;

-- One row a value. The user is also a session's, if it is known. Keys are bytes, so that they are compared as such.
CREATE TABLE state (
    id INTEGER PRIMARY KEY,
    space INTEGER NOT NULL,
    scope TEXT NOT NULL CHECK (scope IN ('tenant', 'user', 'session')),
    user TEXT,
    session TEXT,
    key BLOB NOT NULL,
    version INTEGER NOT NULL,
    value TEXT NOT NULL
) STRICT;
CREATE INDEX state_by_key ON state (space, scope, user, session, key);
