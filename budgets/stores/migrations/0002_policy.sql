-- What a district decides: pilot, open, closed; grants with their terms; caps raised and classes unsealed by two names.
-- A balance still only grows. A cap rises only to what a decision with two names says.

CREATE TABLE policy (
  only INTEGER PRIMARY KEY CHECK (only = 1),
  state TEXT NOT NULL CHECK (state IN ('pilot', 'open', 'closed')),
  research_numerator INTEGER NOT NULL,
  research_denominator INTEGER NOT NULL,
  mandated_numerator INTEGER NOT NULL,
  mandated_denominator INTEGER NOT NULL,
  CHECK (0 < research_numerator AND research_numerator <= research_denominator),
  CHECK (0 < mandated_numerator AND mandated_numerator <= mandated_denominator)
) STRICT;

-- Older ledgers: a district of invented records is open and without parts, a real one is in its pilot.
INSERT INTO policy
SELECT 1, 'open', 1, 1, 1, 1 FROM identity WHERE as_of_us IS NOT NULL
UNION ALL SELECT 1, 'pilot', 7, 10, 3, 10 FROM identity WHERE as_of_us IS NULL;

-- What each population may use of a cohort's year.
CREATE TABLE population_years (
  cohort INTEGER NOT NULL,
  year INTEGER NOT NULL,
  population TEXT NOT NULL CHECK (population IN ('research', 'mandated')),
  cap_nanorho INTEGER NOT NULL,
  spent_nanorho INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (cohort, year, population),
  FOREIGN KEY (cohort, year) REFERENCES cohort_years,
  CHECK (0 <= spent_nanorho AND spent_nanorho <= cap_nanorho)
) STRICT, WITHOUT ROWID;

INSERT INTO population_years
SELECT y.cohort, y.year, s.population,
  max(s.spent, CASE
    WHEN s.population = 'research' THEN y.cap_nanorho / p.research_denominator * p.research_numerator
    WHEN y.year - y.cohort > 1 THEN y.cap_nanorho
    ELSE y.cap_nanorho / p.mandated_denominator * p.mandated_numerator END),
  s.spent
FROM policy p CROSS JOIN cohort_years y JOIN (
  SELECT c.cohort, c.year, r.population, sum(c.nanorho) AS spent
  FROM charges c JOIN releases r ON r.id = c.entry GROUP BY c.cohort, c.year, r.population) s
  ON s.cohort = y.cohort AND s.year = y.year;

CREATE TABLE grant_terms (
  grant_id TEXT PRIMARY KEY REFERENCES grants,
  kind TEXT NOT NULL CHECK (kind IN ('researcher', 'agency')),
  organisation TEXT NOT NULL CHECK (organisation <> ''),
  purpose TEXT NOT NULL CHECK (purpose <> ''),
  scope TEXT NOT NULL CHECK (json_type(scope) = 'object'),
  cohorts TEXT NOT NULL CHECK (json_array_length(cohorts) > 0),
  ceiling_nanorho INTEGER CHECK (ceiling_nanorho > 0),
  expires TEXT NOT NULL CHECK (expires GLOB '[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]'),
  approved_by TEXT NOT NULL CHECK (approved_by <> ''),
  at_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE revocations (
  grant_id TEXT PRIMARY KEY REFERENCES grant_terms,
  by_whom TEXT NOT NULL CHECK (by_whom <> ''),
  reason TEXT NOT NULL CHECK (reason <> ''),
  at_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What two people decided about a cohort: a higher lifetime cap, or one more year for mandated statistics.
CREATE TABLE decisions (
  seq INTEGER PRIMARY KEY,
  kind TEXT NOT NULL CHECK (kind IN ('cap_raised', 'unsealed')),
  cohort INTEGER NOT NULL REFERENCES cohorts,
  year INTEGER NOT NULL,
  cap_nanorho INTEGER NOT NULL,
  first TEXT NOT NULL CHECK (first <> ''),
  second TEXT NOT NULL CHECK (second <> '' AND lower(second) <> lower(first)),
  reason TEXT NOT NULL CHECK (reason <> ''),
  at_us INTEGER NOT NULL
) STRICT;

CREATE INDEX decisions_cohort ON decisions (cohort, kind, year);

-- More kinds of events than there were.
CREATE TABLE events_of_all_kinds (
  seq INTEGER PRIMARY KEY,
  at_us INTEGER NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('init', 'load', 'cap_lowered', 'cap_raised', 'unsealed', 'opened', 'closed',
    'grant_added', 'grant_revoked', 'clock_accepted')),
  body TEXT NOT NULL CHECK (json_valid(body))
) STRICT;
INSERT INTO events_of_all_kinds SELECT seq, at_us, kind, body FROM events;
DROP TABLE events;
ALTER TABLE events_of_all_kinds RENAME TO events;
CREATE TRIGGER events_update BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'immutable'); END;
CREATE TRIGGER events_delete BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'immutable'); END;

-- Caps rise to what was decided, and no further.

DROP TRIGGER cohorts_update;
CREATE TRIGGER cohorts_update BEFORE UPDATE ON cohorts
WHEN NEW.cohort <> OLD.cohort OR NEW.spent_nanorho < OLD.spent_nanorho
  OR NEW.spent_attodelta < OLD.spent_attodelta OR NEW.cap_attodelta > OLD.cap_attodelta
  OR (NEW.cap_nanorho > OLD.cap_nanorho AND NEW.cap_nanorho IS NOT (
    SELECT cap_nanorho FROM decisions WHERE cohort = NEW.cohort AND kind = 'cap_raised' ORDER BY seq DESC LIMIT 1))
BEGIN SELECT RAISE(ABORT, 'balances only grow, and caps rise only by a decision'); END;

DROP TRIGGER cohort_years_update;
CREATE TRIGGER cohort_years_update BEFORE UPDATE ON cohort_years
WHEN NEW.cohort <> OLD.cohort OR NEW.year <> OLD.year OR NEW.spent_nanorho < OLD.spent_nanorho
  OR (NEW.cap_nanorho > OLD.cap_nanorho AND NOT EXISTS (
    SELECT 1 FROM decisions WHERE cohort = NEW.cohort AND kind = 'cap_raised'
    AND NEW.cap_nanorho <= cap_nanorho / 100 * 6 + 6))
BEGIN SELECT RAISE(ABORT, 'balances only grow, and caps rise only by a decision'); END;

DROP TRIGGER allowances_update;
CREATE TRIGGER allowances_update BEFORE UPDATE ON allowances
WHEN NEW.grant_id <> OLD.grant_id OR NEW.cohort <> OLD.cohort OR NEW.year <> OLD.year
  OR NEW.spent_nanorho < OLD.spent_nanorho
  OR (NEW.cap_nanorho > OLD.cap_nanorho AND NOT EXISTS (
    SELECT 1 FROM decisions d JOIN cohort_years y ON y.cohort = d.cohort AND y.year = NEW.year
    WHERE d.cohort = NEW.cohort AND d.kind = 'cap_raised' AND NEW.cap_nanorho <= y.cap_nanorho))
BEGIN SELECT RAISE(ABORT, 'balances only grow, and caps rise only by a decision'); END;

CREATE TRIGGER population_years_update BEFORE UPDATE ON population_years
WHEN NEW.cohort <> OLD.cohort OR NEW.year <> OLD.year OR NEW.population <> OLD.population
  OR NEW.spent_nanorho < OLD.spent_nanorho
  OR (NEW.cap_nanorho > OLD.cap_nanorho AND NOT EXISTS (
    SELECT 1 FROM decisions d JOIN cohort_years y ON y.cohort = d.cohort AND y.year = NEW.year
    WHERE d.cohort = NEW.cohort AND d.kind = 'cap_raised' AND NEW.cap_nanorho <= y.cap_nanorho))
BEGIN SELECT RAISE(ABORT, 'balances only grow, and caps rise only by a decision'); END;

CREATE TRIGGER population_years_delete BEFORE DELETE ON population_years
BEGIN SELECT RAISE(ABORT, 'budget years are never removed'); END;

-- The pilot ends once; a district opens and closes after it.
CREATE TRIGGER policy_update BEFORE UPDATE ON policy
WHEN NEW.state = 'pilot' OR NEW.state = OLD.state
  OR NEW.research_numerator <> OLD.research_numerator OR NEW.research_denominator <> OLD.research_denominator
  OR NEW.mandated_numerator <> OLD.mandated_numerator OR NEW.mandated_denominator <> OLD.mandated_denominator
BEGIN SELECT RAISE(ABORT, 'the pilot ends once'); END;
CREATE TRIGGER policy_delete BEFORE DELETE ON policy
BEGIN SELECT RAISE(ABORT, 'immutable'); END;

CREATE TRIGGER grant_terms_update BEFORE UPDATE ON grant_terms
BEGIN SELECT RAISE(ABORT, 'immutable'); END;
CREATE TRIGGER grant_terms_delete BEFORE DELETE ON grant_terms
BEGIN SELECT RAISE(ABORT, 'immutable'); END;
CREATE TRIGGER revocations_update BEFORE UPDATE ON revocations
BEGIN SELECT RAISE(ABORT, 'immutable'); END;
CREATE TRIGGER revocations_delete BEFORE DELETE ON revocations
BEGIN SELECT RAISE(ABORT, 'immutable'); END;
CREATE TRIGGER decisions_update BEFORE UPDATE ON decisions
BEGIN SELECT RAISE(ABORT, 'immutable'); END;
CREATE TRIGGER decisions_delete BEFORE DELETE ON decisions
BEGIN SELECT RAISE(ABORT, 'immutable'); END;
