-- The ledger of one district. What was paid, drawn or decided is never changed and never removed: the triggers
-- below refuse it even to a hand-written statement. Balances only grow, caps only fall.

CREATE TABLE identity (
  only INTEGER PRIMARY KEY CHECK (only = 1),
  district_id TEXT NOT NULL CHECK (district_id <> ''),
  ledger_id TEXT NOT NULL CHECK (ledger_id <> ''),
  time_zone TEXT NOT NULL,
  as_of_us INTEGER
) STRICT;

CREATE TABLE cohorts (
  cohort INTEGER PRIMARY KEY,
  cap_nanorho INTEGER NOT NULL,
  spent_nanorho INTEGER NOT NULL DEFAULT 0,
  cap_attodelta INTEGER NOT NULL,
  spent_attodelta INTEGER NOT NULL DEFAULT 0,
  CHECK (0 <= spent_nanorho AND spent_nanorho <= cap_nanorho),
  CHECK (0 <= spent_attodelta AND spent_attodelta <= cap_attodelta)
) STRICT;

CREATE TABLE cohort_years (
  cohort INTEGER NOT NULL REFERENCES cohorts,
  year INTEGER NOT NULL,
  cap_nanorho INTEGER NOT NULL,
  spent_nanorho INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (cohort, year),
  CHECK (0 <= spent_nanorho AND spent_nanorho <= cap_nanorho)
) STRICT, WITHOUT ROWID;

CREATE TABLE grants (
  id TEXT PRIMARY KEY CHECK (id <> ''),
  population TEXT NOT NULL CHECK (population IN ('research', 'mandated')),
  year_numerator INTEGER NOT NULL,
  year_denominator INTEGER NOT NULL,
  CHECK (0 < year_numerator AND year_numerator <= year_denominator)
) STRICT;

CREATE TABLE allowances (
  grant_id TEXT NOT NULL REFERENCES grants,
  cohort INTEGER NOT NULL,
  year INTEGER NOT NULL,
  cap_nanorho INTEGER NOT NULL,
  spent_nanorho INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (grant_id, cohort, year),
  FOREIGN KEY (cohort, year) REFERENCES cohort_years,
  CHECK (0 <= spent_nanorho AND spent_nanorho <= cap_nanorho)
) STRICT, WITHOUT ROWID;

-- The newest epoch is the current one.
CREATE TABLE epochs (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE CHECK (id <> ''),
  file TEXT NOT NULL,
  catalog_digest TEXT NOT NULL
) STRICT;

-- Which cohort a person belongs to, for ever; a person is a keyed hash.
CREATE TABLE register (
  person BLOB PRIMARY KEY CHECK (length(person) >= 16),
  cohort INTEGER NOT NULL REFERENCES cohorts
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
  seq INTEGER PRIMARY KEY,
  at_us INTEGER NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('init', 'load', 'cap_lowered')),
  body TEXT NOT NULL CHECK (json_valid(body))
) STRICT;

CREATE TABLE releases (
  id INTEGER PRIMARY KEY,
  release_id TEXT NOT NULL UNIQUE,
  grant_id TEXT NOT NULL REFERENCES grants,
  request_id TEXT NOT NULL CHECK (request_id <> ''),
  request_hash TEXT NOT NULL,
  plan_hash TEXT NOT NULL,
  plan TEXT NOT NULL CHECK (json_valid(plan)),
  epoch TEXT NOT NULL REFERENCES epochs (id),
  population TEXT NOT NULL CHECK (population IN ('research', 'mandated')),
  year INTEGER NOT NULL,
  at_us INTEGER NOT NULL,
  UNIQUE (grant_id, request_id)
) STRICT;

CREATE TABLE progress (
  entry INTEGER PRIMARY KEY REFERENCES releases,
  state TEXT NOT NULL CHECK (state IN ('charged', 'drawing', 'measured', 'lost')),
  holder TEXT,
  CHECK (state <> 'drawing' OR holder IS NOT NULL)
) STRICT;

CREATE INDEX progress_drawing ON progress (holder) WHERE state = 'drawing';

CREATE TABLE charges (
  entry INTEGER NOT NULL REFERENCES releases,
  cohort INTEGER NOT NULL,
  year INTEGER NOT NULL,
  nanorho INTEGER NOT NULL CHECK (nanorho > 0),
  attodelta INTEGER NOT NULL CHECK (attodelta >= 0),
  PRIMARY KEY (entry, cohort),
  FOREIGN KEY (cohort, year) REFERENCES cohort_years
) STRICT, WITHOUT ROWID;

CREATE TABLE draws (
  entry INTEGER NOT NULL REFERENCES releases,
  statistic TEXT NOT NULL CHECK (statistic <> ''),
  scale REAL NOT NULL CHECK (scale > 0),
  nanorho INTEGER NOT NULL CHECK (nanorho > 0),
  attodelta INTEGER NOT NULL CHECK (attodelta >= 0),
  cohorts TEXT NOT NULL CHECK (json_array_length(cohorts) > 0),
  position INTEGER NOT NULL,
  PRIMARY KEY (entry, statistic)
) STRICT, WITHOUT ROWID;

CREATE INDEX draws_statistic ON draws (statistic);

-- At most one measurement for a draw that was paid for: a second one has no room.
CREATE TABLE measurements (
  id INTEGER PRIMARY KEY,
  entry INTEGER NOT NULL,
  statistic TEXT NOT NULL,
  vector BLOB NOT NULL CHECK (length(vector) % 8 = 0),
  UNIQUE (entry, statistic),
  FOREIGN KEY (entry, statistic) REFERENCES draws
) STRICT;

CREATE INDEX measurements_statistic ON measurements (statistic);

CREATE TABLE reuses (
  entry INTEGER NOT NULL REFERENCES releases,
  statistic TEXT NOT NULL,
  measurement INTEGER NOT NULL REFERENCES measurements,
  PRIMARY KEY (entry, statistic)
) STRICT, WITHOUT ROWID;

-- Balances only grow, caps only fall.

CREATE TRIGGER cohorts_update BEFORE UPDATE ON cohorts
WHEN NEW.cohort <> OLD.cohort OR NEW.spent_nanorho < OLD.spent_nanorho OR NEW.cap_nanorho > OLD.cap_nanorho
  OR NEW.spent_attodelta < OLD.spent_attodelta OR NEW.cap_attodelta > OLD.cap_attodelta
BEGIN SELECT RAISE(ABORT, 'balances only grow and caps only fall'); END;

CREATE TRIGGER cohort_years_update BEFORE UPDATE ON cohort_years
WHEN NEW.cohort <> OLD.cohort OR NEW.year <> OLD.year
  OR NEW.spent_nanorho < OLD.spent_nanorho OR NEW.cap_nanorho > OLD.cap_nanorho
BEGIN SELECT RAISE(ABORT, 'balances only grow and caps only fall'); END;

CREATE TRIGGER allowances_update BEFORE UPDATE ON allowances
WHEN NEW.grant_id <> OLD.grant_id OR NEW.cohort <> OLD.cohort OR NEW.year <> OLD.year
  OR NEW.spent_nanorho < OLD.spent_nanorho OR NEW.cap_nanorho > OLD.cap_nanorho
BEGIN SELECT RAISE(ABORT, 'balances only grow and caps only fall'); END;

CREATE TRIGGER cohorts_delete BEFORE DELETE ON cohorts
BEGIN SELECT RAISE(ABORT, 'cohorts are never removed'); END;

CREATE TRIGGER cohort_years_delete BEFORE DELETE ON cohort_years
BEGIN SELECT RAISE(ABORT, 'budget years are never removed'); END;

CREATE TRIGGER allowances_delete BEFORE DELETE ON allowances
BEGIN SELECT RAISE(ABORT, 'allowances are never removed'); END;

-- charged → drawing → measured | lost, and never back. A charge may pass from hand to hand until it is drawn.

CREATE TRIGGER progress_insert BEFORE INSERT ON progress
WHEN NEW.state NOT IN ('charged', 'measured')
  OR (NEW.state = 'measured' AND EXISTS (SELECT 1 FROM draws WHERE entry = NEW.entry))
BEGIN SELECT RAISE(ABORT, 'a question starts charged'); END;

CREATE TRIGGER progress_update BEFORE UPDATE ON progress
WHEN NEW.entry <> OLD.entry OR NOT (
  (OLD.state = 'charged' AND NEW.state IN ('charged', 'drawing'))
  OR (OLD.state = 'drawing' AND NEW.state IN ('measured', 'lost') AND NEW.holder = OLD.holder))
BEGIN SELECT RAISE(ABORT, 'the state of a question never goes back'); END;

CREATE TRIGGER progress_delete BEFORE DELETE ON progress
BEGIN SELECT RAISE(ABORT, 'the state of a question is never removed'); END;

-- A question is complete when it starts: nothing is added to what was paid for.

CREATE TRIGGER charges_insert BEFORE INSERT ON charges
WHEN EXISTS (SELECT 1 FROM progress WHERE entry = NEW.entry)
BEGIN SELECT RAISE(ABORT, 'the question was entered already'); END;

CREATE TRIGGER draws_insert BEFORE INSERT ON draws
WHEN EXISTS (SELECT 1 FROM progress WHERE entry = NEW.entry)
BEGIN SELECT RAISE(ABORT, 'the question was entered already'); END;

CREATE TRIGGER reuses_insert BEFORE INSERT ON reuses
WHEN EXISTS (SELECT 1 FROM progress WHERE entry = NEW.entry)
BEGIN SELECT RAISE(ABORT, 'the question was entered already'); END;

-- Measurements enter in the transaction that ends their drawing.
CREATE TRIGGER measurements_insert BEFORE INSERT ON measurements
WHEN (SELECT state FROM progress WHERE entry = NEW.entry) IS NOT 'measured'
BEGIN SELECT RAISE(ABORT, 'a measurement belongs to a question that was drawn'); END;

-- Immutable rows.

CREATE TRIGGER identity_update BEFORE UPDATE ON identity
BEGIN SELECT RAISE(ABORT, 'immutable'); END;
CREATE TRIGGER identity_delete BEFORE DELETE ON identity
BEGIN SELECT RAISE(ABORT, 'immutable'); END;
CREATE TRIGGER grants_update BEFORE UPDATE ON grants
BEGIN SELECT RAISE(ABORT, 'immutable'); END;
CREATE TRIGGER grants_delete BEFORE DELETE ON grants
BEGIN SELECT RAISE(ABORT, 'immutable'); END;
CREATE TRIGGER epochs_update BEFORE UPDATE ON epochs
BEGIN SELECT RAISE(ABORT, 'immutable'); END;
CREATE TRIGGER epochs_delete BEFORE DELETE ON epochs
BEGIN SELECT RAISE(ABORT, 'immutable'); END;
CREATE TRIGGER register_update BEFORE UPDATE ON register
BEGIN SELECT RAISE(ABORT, 'immutable'); END;
CREATE TRIGGER register_delete BEFORE DELETE ON register
BEGIN SELECT RAISE(ABORT, 'immutable'); END;
CREATE TRIGGER events_update BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'immutable'); END;
CREATE TRIGGER events_delete BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'immutable'); END;
CREATE TRIGGER releases_update BEFORE UPDATE ON releases
BEGIN SELECT RAISE(ABORT, 'immutable'); END;
CREATE TRIGGER releases_delete BEFORE DELETE ON releases
BEGIN SELECT RAISE(ABORT, 'immutable'); END;
CREATE TRIGGER charges_update BEFORE UPDATE ON charges
BEGIN SELECT RAISE(ABORT, 'immutable'); END;
CREATE TRIGGER charges_delete BEFORE DELETE ON charges
BEGIN SELECT RAISE(ABORT, 'immutable'); END;
CREATE TRIGGER draws_update BEFORE UPDATE ON draws
BEGIN SELECT RAISE(ABORT, 'immutable'); END;
CREATE TRIGGER draws_delete BEFORE DELETE ON draws
BEGIN SELECT RAISE(ABORT, 'immutable'); END;
CREATE TRIGGER measurements_update BEFORE UPDATE ON measurements
BEGIN SELECT RAISE(ABORT, 'immutable'); END;
CREATE TRIGGER measurements_delete BEFORE DELETE ON measurements
BEGIN SELECT RAISE(ABORT, 'immutable'); END;
CREATE TRIGGER reuses_update BEFORE UPDATE ON reuses
BEGIN SELECT RAISE(ABORT, 'immutable'); END;
CREATE TRIGGER reuses_delete BEFORE DELETE ON reuses
BEGIN SELECT RAISE(ABORT, 'immutable'); END;
