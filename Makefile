# Every command that a developer types. `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help setup demo serve test judges node check audit bench chaos proofs lock fmt clean
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
# Tests at a time: as many as there are cores, up to 4.
JOBS ?= $(shell cores=$$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2); echo $$((cores > 4 ? 4 : cores)))
TESTS ?= tests
# They run whole campaigns with damage planted, a minute together, and have a command of their own.
JUDGES := $(foreach area,access chaos egress media simulation,tests/$(area)/test_campaign.py)
CODE := src tests bench
# The Node client is tested where there is a Node that can; NODE=required fails where there is none.
NODE_MAJOR = $(shell node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)
NPM := npm --loglevel=error

# `make demo` reads its wishes from the environment, so that a prompt needs no quoting of its own. Only what is
# said to make counts: many shells have a PROMPT that means something else.
said = $(if $(findstring command,$(origin $(1))),$($(1)))
export DEMO_PROMPT := $(call said,PROMPT)
export DEMO_IMAGE := $(call said,IMAGE)
export DEMO_OUT := $(call said,OUT)
export DEMO_MODEL := $(call said,MODEL)

help: ## List these commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo '  make demo PROMPT="a sailboat in a storm" OUT=boat.mp4     make demo IMAGE=photo.jpg PROMPT="slow zoom in"'

setup: .venv/.installed ## Install into .venv; .venv/bin/fairstack works afterwards

.venv/.installed: requirements.lock pyproject.toml scripts/setup
	@scripts/setup run
	@touch $@

.venv/.installed-dev: .venv/.installed requirements-dev.lock
	@scripts/setup dev
	@touch $@

demo: setup ## Start a server, make a clip, save it: PROMPT="…" IMAGE=path-or-url OUT=clip.mp4
	@$(BIN)/python -m fairstack_server.demo

serve: setup ## Run the server until Ctrl-C
	@exec $(BIN)/fairstack serve

test: .venv/.installed-dev ## Run the tests: TESTS=tests/db for some of them
	@$(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(TESTS) $(if $(filter tests,$(TESTS)),$(JUDGES:%=--ignore=%))
	@if [ '$(TESTS)' != tests ]; then exit 0; \
	elif [ $(NODE_MAJOR) -ge 20 ]; then $(MAKE) node; \
	else echo; echo '  NOT TESTED: the Node client (sdks/node). Its tests need Node 20 or later on the PATH.'; echo; \
	  [ '$(NODE)' != required ]; fi

judges: .venv/.installed-dev ## Test that the long proofs would notice damage: it is planted, and must be found
	@$(BIN)/python -m pytest -n $(JOBS) $(JUDGES)

node: .venv/.installed sdks/node/node_modules/.installed ## Check, build and test the Node client, on a real server
	@cd sdks/node && $(NPM) run check && $(NPM) run build && $(NPM) test && $(NPM) run lint:package

sdks/node/node_modules/.installed: sdks/node/package-lock.json
	@cd sdks/node && $(NPM) ci --no-audit --no-fund --prefer-offline
	@touch $@

check: .venv/.installed-dev ## Format, lint, types, imports, generated files
	@$(BIN)/ruff format --check $(CODE)
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m fairstack_server.spec --check
	@$(BIN)/python -m fairstack_server.catalog.generate --check
	@$(BIN)/python -m fairstack_server.settings_page --check
	@$(BIN)/python -m fairstack_server.providers.stories_page --check
	@$(BIN)/python -m bench.client_weight

audit: .venv/.installed-dev ## Packages as locked, licences, bill of materials, the wheel built twice
	@$(BIN)/python -m tests.access.supply

bench: .venv/.installed-dev ## Measure submits/s, gets/s and the overhead of a job
	@$(BIN)/python -m bench

# PYTHON=python3.12 compares those clients, too, that want a newer Python than ours.
chaos: .venv/.installed-dev ## Kill it everywhere, then simulate years of faults: half an hour and more
	@$(BIN)/python -m tests.chaos.campaign
	@$(BIN)/python -m tests.simulation.campaign

proofs: .venv/.installed-dev ## Prove egress, books, webhooks, lost answers, media, access: see docs/explain/proofs.md
	@for area in egress wallet webhooks lost_answers media access; do \
	  echo; echo "  $$area"; $(BIN)/python -m tests.$$area.campaign || exit 1; done

parity: ## Compare our requests with the vendors' own clients, installed for this alone
	@venv=$$(mktemp -d) && trap 'rm -rf "$$venv"' EXIT && \
	  $(or $(PYTHON),$(firstword $(wildcard $(BIN)/python) python3)) -m venv "$$venv" && \
	  "$$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
	    -r tests/upstreams/parity-requirements.txt && \
	  PYTHONPATH=src "$$venv/bin/python" -m tests.upstreams.parity

.PHONY: guards signatures
guards: .venv/.installed-dev ## Compare our guard against SSRF with the public ones, installed for this alone
	@venvs=$$(mktemp -d) && trap 'rm -rf "$$venvs"' EXIT && for lock in guards advocate; do \
	  $(BIN)/python -m venv "$$venvs/$$lock" && \
	  "$$venvs/$$lock/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
	    -r tests/egress/$$lock-requirements.txt || \
	  echo "  NOT COMPARED: what tests/egress/$$lock-requirements.txt names cannot be installed here."; done && \
	  $(BIN)/python -m tests.egress.guards --venv "$$venvs/guards/bin/python" --venv "$$venvs/advocate/bin/python"

.PHONY: fuzz
fuzz: .venv/.installed-dev ## Have the HTTP API attacked and judged by schemathesis, installed for this alone
	@venv=$$(mktemp -d) && trap 'rm -rf "$$venv"' EXIT && $(BIN)/python -m venv "$$venv" && \
	  "$$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
	    -r tests/access/schemathesis-requirements.txt && \
	  $(BIN)/python -m tests.access.judged_by --venv "$$venv/bin/python"

signatures: .venv/.installed-dev sdks/node/node_modules/.installed ## Have our webhooks verified by libraries of others
	@venv=$$(mktemp -d) && trap 'rm -rf "$$venv"' EXIT && $(BIN)/python -m venv "$$venv" && \
	  "$$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes \
	    -r tests/upstreams/parity-requirements.txt && \
	  $(BIN)/python -m tests.webhooks.campaign --messages 300 --samples "$$venv/samples.json" && \
	  $(BIN)/python -m tests.webhooks.verified_by "$$venv/samples.json" --venv "$$venv/bin/python"

fmt: .venv/.installed-dev ## Format the code and mend what can be mended
	@$(BIN)/ruff format $(CODE)
	@$(BIN)/ruff check --fix $(CODE)

lock: .venv/.installed-dev ## Write both lock files anew from pyproject.toml
	@$(BIN)/python -m uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 \
	  --extra all pyproject.toml -o requirements.lock
	@$(BIN)/python -m uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 \
	  --extra all --group dev -c requirements.lock pyproject.toml -o requirements-dev.lock

clean: ## Remove .venv and caches; your data folder stays
	@rm -rf sdks/node/node_modules sdks/node/dist
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	@find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
