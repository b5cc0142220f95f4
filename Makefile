# Every target runs in the virtual environment that the README makes; PYTHON names another.
PYTHON ?= .venv/bin/python
BIN := $(dir $(PYTHON))

.PHONY: install test unit lint format bench bench-smoke docs stand-ins

install:  ## an editable install of everything, for working on tocsin
	python3 -m venv .venv
	$(PYTHON) -m pip install -e '.[test]' $(foreach plugin,$(wildcard plugins/*),-e ./$(plugin))

test:  ## all tests, in as many processes as there are cores
	$(BIN)pytest -n auto

unit:  ## all but the acceptance tests: what to run while writing, in under two minutes
	$(BIN)pytest -n $$(($$(getconf _NPROCESSORS_ONLN) * 2)) --ignore=tests/acceptance  # many of them wait for something

lint:
	$(BIN)ruff check .
	$(BIN)ruff format --check .
	$(BIN)mypy -p tocsin_hooks -p tocsin $(foreach plugin,$(wildcard plugins/*/tocsin_*),-p $(notdir $(plugin)))
	$(BIN)lint-imports

format:
	$(BIN)ruff check --fix .
	$(BIN)ruff format .

bench:  ## measures, in minutes; the figures go to docs/performance.md
	$(BIN)python -m tests.bench.report

bench-smoke:  ## runs each benchmark briefly, the long ones with little to do, to see that it works
	$(BIN)pytest tests/bench --benchmark-disable -q -o addopts=

docs:  ## writes the generated pages anew
	$(PYTHON) docs/generate.py

stand-ins:  ## local Slack, PagerDuty, webhook and SMTP stand-ins that print what they receive
	$(PYTHON) tests/support/stand_ins.py
