# Targets to know: `make demo` and `make test` set everything up on a fresh machine.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
KAFKA := .venv/.kafka
FUZZ := .venv/.fuzz
export BENCH_S ?= 10
FUZZ_S ?= 60
CHAOS_SEED ?= 1
export SOAK_S ?= 1800
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test check chaos soak mutants fuzz bench bench-store conformance requirements system-deps clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(KAFKA) ## Run six administrations over a real Kafka on this machine
	@$(BIN)/almenara demo

test: $(KAFKA) $(FUZZ) ## Run every test
	@tests/stages

check: $(READY) ## Lint, format, types, layers, schemas
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/almenara schema check

chaos: $(KAFKA) ## Kill a thousand processes under load, and more, in an hour; again goes on (CHAOS_SEED=1)
	@$(BIN)/python tests/chaos/run.py --seed $(CHAOS_SEED)

soak: $(KAFKA) ## Watch memory, handles, stores and lag under load for SOAK_S seconds (default 1800)
	@$(BIN)/python tests/soak/run.py

mutants: $(READY) ## Take each control away and see that a test notices
	@$(BIN)/python tests/mutants/run.py

fuzz: $(FUZZ) ## Fuzz everything that reads others' bytes, FUZZ_S seconds in all (default 60)
	@$(BIN)/python tests/fuzz/run.py $(FUZZ_S)

bench: $(KAFKA) ## Measure every path for BENCH_S seconds (default 10)
	@$(BIN)/python tests/benchmarks/run.py

bench-store: $(READY) ## Open, ask, trim and back up a store of a million messages
	@$(BIN)/python tests/benchmarks/million.py

conformance: $(READY) ## Rebuild the golden records; fails if one byte changes
	$(BIN)/python tests/conformance/build.py
	git diff --exit-code tests/conformance

requirements: $(READY) ## Pin requirements/*.in again, with hashes
	for list in runtime dev fuzz; do $(BIN)/pip-compile --quiet --upgrade --no-header --generate-hashes \
	  --no-strip-extras --allow-unsafe --no-emit-index-url --no-emit-trusted-host --no-emit-find-links \
	  --output-file requirements/$$list.txt requirements/$$list.in; done

# What marked tests need from the system, and only what is missing.
system-deps: ## Install the system programs that some tests use
	@missing=; command -v openssl >/dev/null || missing=openssl; \
	  command -v faketime >/dev/null || missing="$$missing faketime"; \
	  command -v softhsm2-util >/dev/null || missing="$$missing softhsm2"; \
	  command -v systemd-analyze >/dev/null || missing="$$missing systemd"; \
	  compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null || \
	    missing="$$missing postgresql"; \
	  [ -z "$$missing" ] || \
	  { as_root=; [ "$$(id -u)" = 0 ] || as_root=sudo; \
	    $$as_root apt-get update -qq && $$as_root apt-get install -y -qq $$missing; }

clean: ## Remove everything made here: environment, builds, caches
	@rm -rf .venv build dist .coverage* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find services tests -name __pycache__ -type d -prune -exec rm -rf {} +

# pip refuses `-e .` beside --require-hashes, hence two installs (the build backend is in the first).
$(READY): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "almenara: $$($(PYTHON) --version) is too old; install Python 3.11 or later, or run make PYTHON=python3.12" >&2; exit 2; }
	@echo "[1/4] virtual environment: .venv"
	@[ -x $(BIN)/pip ] || $(PYTHON) -m venv .venv
	@echo "[2/4] libraries and tools, each checked by hash (a minute or two the first time)"
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/dev.txt
	@echo "[3/4] almenara itself, editable"
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

# Into the user's cache folder, shared by all checkouts.
$(KAFKA): $(READY) $(wildcard services/almenara/bus/kafka-*-artifacts.json)
	@echo "[4/4] Apache Kafka, each file checked by hash (once for all checkouts)"
	@$(BIN)/almenara broker fetch
	@touch $@

# Only some Pythons and machines have a wheel of it: elsewhere its tests say that they are skipped.
$(FUZZ): $(READY) requirements/fuzz.txt
	@echo "atheris, the fuzzer, checked by hash"
	@if $(BIN)/python -m pip install --quiet --require-hashes -r requirements/fuzz.txt; then touch $@; \
	  else echo "almenara: no atheris for this machine; its tests are skipped" >&2; fi
