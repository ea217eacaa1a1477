-- One row a trace. The id counts acceptances; what happens to a trace names it by its id, because a text key costs a page each.
CREATE TABLE traces (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    tenant TEXT NOT NULL,
    caller TEXT,
    accepted_ms INTEGER NOT NULL,
    ended_ms INTEGER,
    "end" TEXT,
    delivered_ms INTEGER
) STRICT;

-- In the order of the appends. Never changed, and deleted only together with the trace.
CREATE TABLE records (
    id INTEGER PRIMARY KEY,
    trace INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL
) STRICT;
CREATE INDEX records_of_trace ON records (trace);

-- How far the input has been read (`input`) and the output written (`output`).
CREATE TABLE cursors (
    name TEXT PRIMARY KEY,
    line INTEGER NOT NULL,
    offset INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What was started: one row of JSON.
CREATE TABLE run (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    info TEXT NOT NULL
) STRICT;

-- The code that the traces began with, by the SHA-256 of its bytes.
CREATE TABLE components (
    digest TEXT PRIMARY KEY,
    bytes BLOB NOT NULL
) STRICT;
