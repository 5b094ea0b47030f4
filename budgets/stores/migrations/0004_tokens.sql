-- By which a server knows who asks: a token of a grant, or of an officer or auditor. Of its secret only a hash is kept; the newest secret counts, and the one
-- before it until the time that the newest names. A token ends by its last day or by a revocation, and is never given again.
CREATE TABLE tokens (
  id TEXT PRIMARY KEY CHECK (length(id) = 12 AND id NOT GLOB '*[^0-9a-f]*'),
  role TEXT NOT NULL CHECK (role IN ('researcher', 'agency', 'officer', 'auditor')),
  grant_id TEXT REFERENCES grant_terms,
  holder TEXT NOT NULL CHECK (holder <> ''),
  scopes TEXT NOT NULL CHECK (json_array_length(scopes) > 0),
  expires TEXT NOT NULL CHECK (expires GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]'),
  approved_by TEXT NOT NULL CHECK (approved_by <> ''),
  at_us INTEGER NOT NULL,
  CHECK ((role IN ('researcher', 'agency')) = (grant_id IS NOT NULL))
) STRICT, WITHOUT ROWID;

CREATE TABLE token_secrets (
  seq INTEGER PRIMARY KEY,
  token TEXT NOT NULL REFERENCES tokens,
  hash BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
  at_us INTEGER NOT NULL,
  older_until_us INTEGER NOT NULL CHECK (older_until_us >= at_us)
) STRICT;

CREATE INDEX token_secrets_token ON token_secrets (token, seq);

CREATE TABLE token_revocations (
  token TEXT PRIMARY KEY REFERENCES tokens,
  by_whom TEXT NOT NULL CHECK (by_whom <> ''),
  reason TEXT NOT NULL CHECK (reason <> ''),
  at_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TRIGGER tokens_update BEFORE UPDATE ON tokens
BEGIN SELECT RAISE(ABORT, 'immutable'); END;
CREATE TRIGGER tokens_delete BEFORE DELETE ON tokens
BEGIN SELECT RAISE(ABORT, 'immutable'); END;
CREATE TRIGGER token_secrets_update BEFORE UPDATE ON token_secrets
BEGIN SELECT RAISE(ABORT, 'immutable'); END;
CREATE TRIGGER token_secrets_delete BEFORE DELETE ON token_secrets
BEGIN SELECT RAISE(ABORT, 'immutable'); END;
CREATE TRIGGER token_revocations_update BEFORE UPDATE ON token_revocations
BEGIN SELECT RAISE(ABORT, 'immutable'); END;
CREATE TRIGGER token_revocations_delete BEFORE DELETE ON token_revocations
BEGIN SELECT RAISE(ABORT, 'immutable'); END;

-- More kinds of events than there were. The trigger that reads them is made anew: SQLite renames no table that a trigger misses.
DROP TRIGGER cohorts_insert;
CREATE TABLE events_of_all_kinds (
  seq INTEGER PRIMARY KEY,
  at_us INTEGER NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('init', 'load', 'cap_lowered', 'cap_raised', 'unsealed', 'opened', 'closed',
    'grant_added', 'grant_revoked', 'clock_accepted', 'classes_added', 'sensitive_on', 'token_added', 'token_rotated',
    'token_revoked')),
  body TEXT NOT NULL CHECK (json_valid(body))
) STRICT;
INSERT INTO events_of_all_kinds SELECT seq, at_us, kind, body FROM events;
DROP TABLE events;
ALTER TABLE events_of_all_kinds RENAME TO events;
CREATE TRIGGER events_update BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'immutable'); END;
CREATE TRIGGER events_delete BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'immutable'); END;

CREATE TRIGGER cohorts_insert BEFORE INSERT ON cohorts
WHEN EXISTS (SELECT 1 FROM epochs) AND (NEW.spent_nanorho <> 0 OR NEW.spent_attodelta <> 0
  OR NEW.cap_nanorho > (SELECT json_extract(body, '$.lifetime_nanorho') FROM events WHERE kind = 'init')
  OR NEW.cap_attodelta > (SELECT json_extract(body, '$.lifetime_attodelta') FROM events WHERE kind = 'init'))
BEGIN SELECT RAISE(ABORT, 'a new class begins with what was given at the founding'); END;
