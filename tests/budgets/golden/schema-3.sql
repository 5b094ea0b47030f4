BEGIN TRANSACTION;
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
INSERT INTO "allowances" VALUES('district',2022,2025,1000000,300000);
INSERT INTO "allowances" VALUES('district',2025,2025,3000000,2500007);
INSERT INTO "allowances" VALUES('district',2026,2025,2700000,2500000);
CREATE TABLE charges (
  entry INTEGER NOT NULL REFERENCES releases,
  cohort INTEGER NOT NULL,
  year INTEGER NOT NULL,
  nanorho INTEGER NOT NULL CHECK (nanorho > 0),
  attodelta INTEGER NOT NULL CHECK (attodelta >= 0),
  PRIMARY KEY (entry, cohort),
  FOREIGN KEY (cohort, year) REFERENCES cohort_years
) STRICT, WITHOUT ROWID;
INSERT INTO "charges" VALUES(1,2025,2025,2500000,0);
INSERT INTO "charges" VALUES(1,2026,2025,2500000,0);
INSERT INTO "charges" VALUES(3,2022,2025,300000,0);
INSERT INTO "charges" VALUES(4,2025,2025,7,0);
CREATE TABLE cohort_years (
  cohort INTEGER NOT NULL REFERENCES cohorts,
  year INTEGER NOT NULL,
  cap_nanorho INTEGER NOT NULL,
  spent_nanorho INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (cohort, year),
  CHECK (0 <= spent_nanorho AND spent_nanorho <= cap_nanorho)
) STRICT, WITHOUT ROWID;
INSERT INTO "cohort_years" VALUES(2022,2025,2000000,300000);
INSERT INTO "cohort_years" VALUES(2025,2025,6000000,2500007);
INSERT INTO "cohort_years" VALUES(2026,2025,5400000,2500000);
CREATE TABLE cohorts (
  cohort INTEGER PRIMARY KEY,
  cap_nanorho INTEGER NOT NULL,
  spent_nanorho INTEGER NOT NULL DEFAULT 0,
  cap_attodelta INTEGER NOT NULL,
  spent_attodelta INTEGER NOT NULL DEFAULT 0,
  CHECK (0 <= spent_nanorho AND spent_nanorho <= cap_nanorho),
  CHECK (0 <= spent_attodelta AND spent_attodelta <= cap_attodelta)
) STRICT;
INSERT INTO "cohorts" VALUES(2018,100000000,0,1000,0);
INSERT INTO "cohorts" VALUES(2022,100000000,300000,1000,0);
INSERT INTO "cohorts" VALUES(2025,100000000,2500007,1000,0);
INSERT INTO "cohorts" VALUES(2026,90000000,2500000,1000,0);
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
INSERT INTO "draws" VALUES(1,'ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb',3.5,2500000,0,'[2025, 2026]',0);
INSERT INTO "draws" VALUES(3,'3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d',3.5,300000,0,'[2022]',0);
INSERT INTO "draws" VALUES(4,'3f79bb7b435b05321651daefd374cdc681dc06faa65e374e38337b88ca046dea',3.5,7,0,'[2025]',0);
CREATE TABLE epochs (
  seq INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE CHECK (id <> ''),
  file TEXT NOT NULL,
  catalog_digest TEXT NOT NULL
) STRICT;
INSERT INTO "epochs" VALUES(1,'epoch-1','epoch-1.duckdb','digest');
INSERT INTO "epochs" VALUES(2,'epoch-2','f','d');
CREATE TABLE "events" (
  seq INTEGER PRIMARY KEY,
  at_us INTEGER NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('init', 'load', 'cap_lowered', 'cap_raised', 'unsealed', 'opened', 'closed',
    'grant_added', 'grant_revoked', 'clock_accepted', 'classes_added', 'sensitive_on')),
  body TEXT NOT NULL CHECK (json_valid(body))
) STRICT;
INSERT INTO "events" VALUES(1,1740830400000000,'init','{"as_of": null, "cohorts": [2018, 2022, 2025, 2026], "district_id": "us-xx-test", "district_year_fraction": "1/2", "ledger_id": "66449aff91e241959b556bf0b3b63f85", "lifetime_attodelta": 1000, "lifetime_nanorho": 100000000, "time_zone": "America/New_York"}');
INSERT INTO "events" VALUES(2,1740830400000000,'load','{"catalog_digest": "digest", "epoch": "epoch-1", "file": "epoch-1.duckdb"}');
INSERT INTO "events" VALUES(3,1740830400000000,'load','{"catalog_digest": "d", "epoch": "epoch-2", "file": "f"}');
INSERT INTO "events" VALUES(4,1740830400000000,'cap_lowered','{"by": "A. Officer", "cohorts": [2026], "lifetime_nanorho": 90000000}');
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
CREATE TABLE grants (
  id TEXT PRIMARY KEY CHECK (id <> ''),
  population TEXT NOT NULL CHECK (population IN ('research', 'mandated')),
  year_numerator INTEGER NOT NULL,
  year_denominator INTEGER NOT NULL,
  CHECK (0 < year_numerator AND year_numerator <= year_denominator)
) STRICT;
INSERT INTO "grants" VALUES('district','mandated',1,2);
CREATE TABLE identity (
  only INTEGER PRIMARY KEY CHECK (only = 1),
  district_id TEXT NOT NULL CHECK (district_id <> ''),
  ledger_id TEXT NOT NULL CHECK (ledger_id <> ''),
  time_zone TEXT NOT NULL,
  as_of_us INTEGER
) STRICT;
INSERT INTO "identity" VALUES(1,'us-xx-test','66449aff91e241959b556bf0b3b63f85','America/New_York',NULL);
CREATE TABLE measurements (
  id INTEGER PRIMARY KEY,
  entry INTEGER NOT NULL,
  statistic TEXT NOT NULL,
  vector BLOB NOT NULL CHECK (length(vector) % 8 = 0),
  UNIQUE (entry, statistic),
  FOREIGN KEY (entry, statistic) REFERENCES draws
) STRICT;
INSERT INTO "measurements" VALUES(1,1,'ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb',X'00000000000000000100000000000000020000000000000003000000000000000400000000000000');
CREATE TABLE opt_outs (
  seq INTEGER PRIMARY KEY,
  person BLOB NOT NULL CHECK (length(person) >= 16),
  is_out INTEGER NOT NULL CHECK (is_out IN (0, 1)),
  has_left INTEGER NOT NULL DEFAULT 0 CHECK (has_left IN (0, 1) AND has_left <= is_out)
) STRICT;
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
INSERT INTO "policy" VALUES(1,'pilot',7,10,3,10);
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
INSERT INTO "population_years" VALUES(2022,2025,'mandated',2000000,300000);
INSERT INTO "population_years" VALUES(2025,2025,'mandated',2500007,2500007);
INSERT INTO "population_years" VALUES(2026,2025,'mandated',2500000,2500000);
CREATE TABLE progress (
  entry INTEGER PRIMARY KEY REFERENCES releases,
  state TEXT NOT NULL CHECK (state IN ('charged', 'drawing', 'measured', 'lost')),
  holder TEXT,
  CHECK (state <> 'drawing' OR holder IS NOT NULL)
) STRICT;
INSERT INTO "progress" VALUES(1,'measured','d9a8608bd8f945c59e3afefe6cde79cf');
INSERT INTO "progress" VALUES(2,'measured',NULL);
INSERT INTO "progress" VALUES(3,'charged','d9a8608bd8f945c59e3afefe6cde79cf');
INSERT INTO "progress" VALUES(4,'drawing','d9a8608bd8f945c59e3afefe6cde79cf');
CREATE TABLE register (
  person BLOB PRIMARY KEY CHECK (length(person) >= 16),
  cohort INTEGER NOT NULL REFERENCES cohorts
) STRICT, WITHOUT ROWID;
INSERT INTO "register" VALUES(X'000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F',2025);
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
INSERT INTO "releases" VALUES(1,'42fac3cd208042a5a9c2c8f6cf2a3124','district','answered','68c780cd132a0299c7cd3fa8649783cbc2872a98d90cd4ed6b9696e3c61c4c68','64879f7d6b960a01909762d911a32d4582c20010c5641ee90278b644a9e3b525','{"sql": "SELECT"}','epoch-2','mandated',2025,1740830400000000);
INSERT INTO "releases" VALUES(2,'398bf1bfb0e14ef8a51c4f7e0a112742','district','reused','7ad47c54939ef72323893e6c952c5f3a118c34cc76b31d9903d3ea0a4955e874','64879f7d6b960a01909762d911a32d4582c20010c5641ee90278b644a9e3b525','{"sql": "SELECT"}','epoch-2','mandated',2025,1740830400000000);
INSERT INTO "releases" VALUES(3,'a757065909f64291855ef408e1d49042','district','late','089001a35679a33ef3db0ca350db9b9a2f0136e0e327577b04b3b98127470961','64879f7d6b960a01909762d911a32d4582c20010c5641ee90278b644a9e3b525','{"sql": "SELECT"}','epoch-2','mandated',2025,1740830400000000);
INSERT INTO "releases" VALUES(4,'8b0943e754c34ee6879ba777b03b22cd','district','drawing','27f3282691613a41f159fe0fb8f3791f3b99fa00fc62df29edeeafe496eb0fdd','64879f7d6b960a01909762d911a32d4582c20010c5641ee90278b644a9e3b525','{"sql": "SELECT"}','epoch-2','mandated',2025,1740830400000000);
CREATE TABLE reuses (
  entry INTEGER NOT NULL REFERENCES releases,
  statistic TEXT NOT NULL,
  measurement INTEGER NOT NULL REFERENCES measurements,
  PRIMARY KEY (entry, statistic)
) STRICT, WITHOUT ROWID;
INSERT INTO "reuses" VALUES(2,'ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb',1);
CREATE TABLE revocations (
  grant_id TEXT PRIMARY KEY REFERENCES grant_terms,
  by_whom TEXT NOT NULL CHECK (by_whom <> ''),
  reason TEXT NOT NULL CHECK (reason <> ''),
  at_us INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX progress_drawing ON progress (holder) WHERE state = 'drawing';
CREATE INDEX draws_statistic ON draws (statistic);
CREATE INDEX measurements_statistic ON measurements (statistic);
CREATE TRIGGER cohorts_delete BEFORE DELETE ON cohorts
BEGIN SELECT RAISE(ABORT, 'cohorts are never removed'); END;
CREATE TRIGGER cohort_years_delete BEFORE DELETE ON cohort_years
BEGIN SELECT RAISE(ABORT, 'budget years are never removed'); END;
CREATE TRIGGER allowances_delete BEFORE DELETE ON allowances
BEGIN SELECT RAISE(ABORT, 'allowances are never removed'); END;
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
CREATE TRIGGER charges_insert BEFORE INSERT ON charges
WHEN EXISTS (SELECT 1 FROM progress WHERE entry = NEW.entry)
BEGIN SELECT RAISE(ABORT, 'the question was entered already'); END;
CREATE TRIGGER draws_insert BEFORE INSERT ON draws
WHEN EXISTS (SELECT 1 FROM progress WHERE entry = NEW.entry)
BEGIN SELECT RAISE(ABORT, 'the question was entered already'); END;
CREATE TRIGGER reuses_insert BEFORE INSERT ON reuses
WHEN EXISTS (SELECT 1 FROM progress WHERE entry = NEW.entry)
BEGIN SELECT RAISE(ABORT, 'the question was entered already'); END;
CREATE TRIGGER measurements_insert BEFORE INSERT ON measurements
WHEN (SELECT state FROM progress WHERE entry = NEW.entry) IS NOT 'measured'
BEGIN SELECT RAISE(ABORT, 'a measurement belongs to a question that was drawn'); END;
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
CREATE INDEX decisions_cohort ON decisions (cohort, kind, year);
CREATE TRIGGER cohorts_update BEFORE UPDATE ON cohorts
WHEN NEW.cohort <> OLD.cohort OR NEW.spent_nanorho < OLD.spent_nanorho
  OR NEW.spent_attodelta < OLD.spent_attodelta OR NEW.cap_attodelta > OLD.cap_attodelta
  OR (NEW.cap_nanorho > OLD.cap_nanorho AND NEW.cap_nanorho IS NOT (
    SELECT cap_nanorho FROM decisions WHERE cohort = NEW.cohort AND kind = 'cap_raised' ORDER BY seq DESC LIMIT 1))
BEGIN SELECT RAISE(ABORT, 'balances only grow, and caps rise only by a decision'); END;
CREATE TRIGGER cohort_years_update BEFORE UPDATE ON cohort_years
WHEN NEW.cohort <> OLD.cohort OR NEW.year <> OLD.year OR NEW.spent_nanorho < OLD.spent_nanorho
  OR (NEW.cap_nanorho > OLD.cap_nanorho AND NOT EXISTS (
    SELECT 1 FROM decisions WHERE cohort = NEW.cohort AND kind = 'cap_raised'
    AND NEW.cap_nanorho <= cap_nanorho / 100 * 6 + 6))
BEGIN SELECT RAISE(ABORT, 'balances only grow, and caps rise only by a decision'); END;
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
CREATE INDEX opt_outs_person ON opt_outs (person, seq);
CREATE TRIGGER opt_outs_update BEFORE UPDATE ON opt_outs
BEGIN SELECT RAISE(ABORT, 'immutable'); END;
CREATE TRIGGER opt_outs_delete BEFORE DELETE ON opt_outs
BEGIN SELECT RAISE(ABORT, 'immutable'); END;
CREATE TRIGGER events_update BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'immutable'); END;
CREATE TRIGGER events_delete BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'immutable'); END;
CREATE TRIGGER cohorts_insert BEFORE INSERT ON cohorts
WHEN EXISTS (SELECT 1 FROM epochs) AND (NEW.spent_nanorho <> 0 OR NEW.spent_attodelta <> 0
  OR NEW.cap_nanorho > (SELECT json_extract(body, '$.lifetime_nanorho') FROM events WHERE kind = 'init')
  OR NEW.cap_attodelta > (SELECT json_extract(body, '$.lifetime_attodelta') FROM events WHERE kind = 'init'))
BEGIN SELECT RAISE(ABORT, 'a new class begins with what was given at the founding'); END;
COMMIT;
