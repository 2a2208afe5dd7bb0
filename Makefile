# Everything that one does with this repository. `make` lists it.
# Needs Python 3.11 or newer with its venv module; uses uv when it is there, else pip.

BIN := .venv/bin
DATA := src/zoe zapps demo tests
FIND_PYTHON := for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& command -v $$p && break; done
PYTHON ?= $(shell $(FIND_PYTHON))
UV ?= $(shell command -v uv)

SERVICES := tests/conformance tests/integration
UNIT := tests $(foreach part,$(SERVICES) tests/e2e tests/bench,--ignore=$(part))
FUZZED := tests/properties tests/conformance/test_store_twins.py $(foreach of, \
	simulation simulation_failures forecast,tests/sim/test_$(of).py)
SEEDS ?= 20
START ?= 0
SCALE ?= 5
TRACES ?= ../shared/traces

.DEFAULT_GOAL := help
.PHONY: help install dev demo test check lint unit services bench sim fuzz docs lock clean

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile

install: .venv/.installed ## Make .venv with the zoe command and what the demo needs.

dev: .venv/.installed-dev ## Make .venv with the tools for working on Zoe, too.

demo: .venv/.installed ## Run a distributed application, and a second one that takes room from it.
	$(BIN)/python demo/run.py

test: unit services ## Run every test; says which were skipped, and why.

check: lint unit ## Format, lint, types, contracts, and the tests that need no service.

lint: .venv/.installed-dev
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python scripts/vendor_web.py --check

unit: .venv/.installed-dev
	$(BIN)/pytest $(UNIT) -n 2 --dist worksteal -q

# They wait for programs more than they compute, so there are more workers than cores. The demo and
# the browser have time limits of their own and go one by one.
services: .venv/.installed-dev ## Run the tests that need databases, programs or a browser.
	$(BIN)/pytest $(SERVICES) -n 3 --dist worksteal -q
	$(BIN)/pytest tests/e2e -q

bench: .venv/.installed-dev ## Measure, as JSON lines; SUITE=name for one suite.
	PYTHONPATH=tests $(BIN)/python tests/bench/run.py $(SUITE)

sim: SEEDS = 5
sim: .venv/.installed ## Run the published experiment; SCALE=5 for 25 machines, SEEDS=5, TRACES=folder.
	@for policy in fifo sjf size3d; do \
		echo "In the order of $$policy:" && $(BIN)/zoe simulate --policy $$policy \
			--workload paper --paper-exact --scale $(SCALE) --traces $(TRACES) --lost-work 1e12 \
			--seeds $(START)..$$(($(START) + $(SEEDS) - 1)) \
			--compare published,rigid,malleable,flexible || exit 1; \
	done

fuzz: .venv/.installed-dev ## More examples of the properties, with SEEDS=20 seeds from START=0.
	@for seed in $$(seq $(START) $$(($(START) + $(SEEDS) - 1))); do \
		SEED=$$seed $(BIN)/pytest $(FUZZED) -n 2 -q --timeout=600 \
			--hypothesis-profile=fuzz --hypothesis-seed=$$seed || \
		{ echo "to see it again: make fuzz SEEDS=1 START=$$seed"; exit 1; }; \
	done

docs: .venv/.installed-dev ## Build the documentation in site/; a broken link is an error.
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

clean: ## Remove what the other targets made, except .venv.
	rm -rf .demo site build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		.import_linter_cache .coverage
	find $(DATA) -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "Zoe needs Python 3.11 or newer with venv:" \
		"apt-get install python3 python3-venv" >&2; exit 1; }
	$(if $(UV),$(UV) venv --quiet --python "$(PYTHON)" .venv,"$(PYTHON)" -m venv .venv)

# The stamps make the second time quick. --inexact: installing for the demo removes no tools.
.venv/.installed: pyproject.toml uv.lock | .venv/bin/python
ifneq ($(UV),)
	$(UV) sync --quiet --frozen --inexact --no-dev --extra demo
else
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[demo]'
endif
	@touch $@

.venv/.installed-dev: .venv/.installed
ifneq ($(UV),)
	$(UV) sync --quiet --frozen --inexact --extra demo
else
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --group dev
endif
	@touch $@
