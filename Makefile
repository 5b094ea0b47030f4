# make demo and make test do all the set-up themselves: a fresh machine needs Python 3.11+ and make.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
PYTEST := $(BIN)/python -m pytest

FULL := -n 2 --dist worksteal -m 'slow or services or statistical or fuzz'

.PHONY: demo test check lint types contracts full slow services statistical fuzz mutants prove bench clean

.venv/core: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=python3.11 …"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@echo "installing (once)"
	@$(PIP) --editable .
	@touch $@

.venv/dev: .venv/core
	@$(PIP) --editable '.[dev]'
	@touch $@

demo: .venv/core  ## make an invented district and ask it real questions
	@$(BIN)/homeroom demo

test: .venv/dev  ## what a new user runs: under a minute, no services
	@$(PYTEST) -q -n 2

check: lint types contracts full mutants  ## everything a change must pass

lint: .venv/dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: .venv/dev
	@$(BIN)/mypy

contracts: .venv/dev
	@$(BIN)/lint-imports

full: .venv/dev .venv/bench  ## slow, services, statistical and fuzz in one run, which reads all tests once
	@$(PYTEST) -q $(FULL)

slow: .venv/dev
	@$(PYTEST) -q -n 2 -m slow

services: .venv/dev .venv/bench  ## the notebook and the recipes against a server; R's are skipped where there is no R, unless HOMEROOM_SERVICES=1
	@$(PYTEST) -q -n 2 -m services

statistical: .venv/dev
	@$(PYTEST) -q -n 2 -m statistical

fuzz: .venv/dev  ## random questions on neighbouring databases; HOMEROOM_SEED and HOMEROOM_CASE repeat one
	@$(PYTEST) -q -n 2 -m fuzz tests/fuzz

mutants: .venv/dev  ## each known privacy bug, planted in a copy, must turn its test red
	@$(BIN)/python tests/mutants/run.py

prove: .venv/dev .venv/bench  ## the same tests at full size, by hand
	@HOMEROOM_PROVE=1 $(PYTEST) -q $(FULL)

.venv/bench: .venv/dev
	@$(PIP) --editable '.[plot]'
	@touch $@

bench: .venv/bench  ## speed beside plain DuckDB and a hand-written plan, in one run; writes the README's section
	@$(BIN)/python tests/bench/speed.py --growth

clean:
	rm -rf .venv build dist
