-- Who is in no research statistic, and of whom somebody said that they have left: the newest row of a person counts. Nobody is ever removed, and no row is counted
-- anywhere that is public.
CREATE TABLE opt_outs (
  seq INTEGER PRIMARY KEY,
  person BLOB NOT NULL CHECK (length(person) >= 16),
  is_out INTEGER NOT NULL CHECK (is_out IN (0, 1)),
  has_left INTEGER NOT NULL DEFAULT 0 CHECK (has_left IN (0, 1) AND has_left <= is_out)
) STRICT;

CREATE INDEX opt_outs_person ON opt_outs (person, seq);

CREATE TRIGGER opt_outs_update BEFORE UPDATE ON opt_outs
BEGIN SELECT RAISE(ABORT, 'immutable'); END;
CREATE TRIGGER opt_outs_delete BEFORE DELETE ON opt_outs
BEGIN SELECT RAISE(ABORT, 'immutable'); END;

-- More kinds of events than there were.
CREATE TABLE events_of_all_kinds (
  seq INTEGER PRIMARY KEY,
  at_us INTEGER NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('init', 'load', 'cap_lowered', 'cap_raised', 'unsealed', 'opened', 'closed',
    'grant_added', 'grant_revoked', 'clock_accepted', 'classes_added', 'sensitive_on')),
  body TEXT NOT NULL CHECK (json_valid(body))
) STRICT;
INSERT INTO events_of_all_kinds SELECT seq, at_us, kind, body FROM events;
DROP TABLE events;
ALTER TABLE events_of_all_kinds RENAME TO events;
CREATE TRIGGER events_update BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'immutable'); END;
CREATE TRIGGER events_delete BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'immutable'); END;

-- A class that comes with a load has no more than the classes before it were given at the founding.
CREATE TRIGGER cohorts_insert BEFORE INSERT ON cohorts
WHEN EXISTS (SELECT 1 FROM epochs) AND (NEW.spent_nanorho <> 0 OR NEW.spent_attodelta <> 0
  OR NEW.cap_nanorho > (SELECT json_extract(body, '$.lifetime_nanorho') FROM events WHERE kind = 'init')
  OR NEW.cap_attodelta > (SELECT json_extract(body, '$.lifetime_attodelta') FROM events WHERE kind = 'init'))
BEGIN SELECT RAISE(ABORT, 'a new class begins with what was given at the founding'); END;
