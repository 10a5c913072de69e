# Mendline: what one types. Every target that needs the environment builds it first.
# A target's help is the text after its two hashes; `make` alone prints it.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Compiled modules are half of a cold start, so nothing here may switch them off.
unexport PYTHONDONTWRITEBYTECODE
# Another project's active environment must not be mistaken for ours.
unexport VIRTUAL_ENV
export UV_COMPILE_BYTECODE := 1
# Where the machine has its own list of certificates (a proxy's, say), uv should trust it as pip does.
ifneq ($(wildcard /etc/ssl/certs/ca-certificates.crt),)
export UV_SYSTEM_CERTS ?= 1
endif

# The first interpreter that is new enough; uv builds the environment with it.
PYTHON ?= $(shell for candidate in python3 python3.13 python3.12 python3.11 python; do \
	"$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$candidate" && break; done)
# A uv that answers, or one of our own in .uv/.
UV ?= $(shell uv --version >/dev/null 2>&1 && echo uv || echo .uv/bin/uv)
UV_NEEDED := $(filter .uv/bin/uv,$(UV))

BIN := .venv/bin
# What the type checker reads.
CHECKED := $(patsubst %/__init__.py,%,$(wildcard $(addsuffix /__init__.py,shared services mend benchmarks)))
WORKERS ?= 2

.PHONY: help
help: ## Print this list.
	@grep -hE '^[a-z][a-z-]*:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-17s %s\n", $$1, $$2}'

.uv/bin/uv:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; none was found on PATH." >&2; exit 2; }
	$(PYTHON) -m venv .uv
	.uv/bin/python -m pip install --quiet --disable-pip-version-check uv

.venv/.ready: pyproject.toml uv.lock | $(UV_NEEDED)
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; none was found on PATH." >&2; exit 2; }
	$(UV) sync --frozen --python "$(PYTHON)"
	$(BIN)/python -m compileall -q shared services mend
	@touch $@

.PHONY: setup
setup: .venv/.ready ## Build the byte-compiled .venv from uv.lock (the other targets do it by themselves).

.PHONY: demo
demo: setup ## See it heal twelve months of real flights (about a minute; its store is ./demo-run).
	$(BIN)/mend demo

.PHONY: test
test: setup lint types imports ## Check everything: lint, types, import rules, all tests, each service alone (some thirteen minutes).
	$(BIN)/python -m pytest -n $(WORKERS)

.PHONY: test-fast
test-fast: setup ## Run the tests that need no environment, process or long simulation (seconds).
	$(BIN)/python -m pytest -n $(WORKERS) -m "not slow"

SEEDS ?= 200
SEED_FROM ?= 0

.PHONY: simulate
simulate: setup ## Live through random worlds in which everything fails (SEEDS=1000 SEED_FROM=0).
	$(BIN)/python -m tests.simulation.run --seeds $(SEEDS) --from $(SEED_FROM) --workers $(WORKERS)

.PHONY: simulate-mutants
simulate-mutants: setup ## Plant bugs one at a time and see that the simulation catches each (half an hour and more).
	$(BIN)/python -m tests.simulation.hunt --workers $(WORKERS)

.PHONY: lint
lint: setup ## Check lint rules and formatting (`make format` repairs what it can).
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.PHONY: format
format: setup ## Repair lint and formatting in place.
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

.PHONY: types
types: setup ## Check types, strictly.
	$(BIN)/mypy $(addprefix --package ,$(CHECKED))

.PHONY: imports
imports: setup ## Check who imports whom.
	$(BIN)/lint-imports --no-logo

.PHONY: schemas
schemas: setup ## Write schemas/events/*.avsc anew from the event models.
	$(BIN)/python -m shared.events.schemas

.PHONY: bench-env
bench-env: setup ## Build the environments that are measured, ours and the peers' (once, a minute or two).
	$(BIN)/python -m benchmarks.environments

.PHONY: bench
bench: bench-env ## Measure the whole pipeline against its peers, in one interleaved run.
	$(BIN)/python -m benchmarks.pipeline

.PHONY: bench-load
bench-load: bench-env ## Measure what the local runtime bears: events, latency, bursts, memory (half an hour).
	$(BIN)/python -m benchmarks.load

SERVICE ?=
.PHONY: stage
stage: setup ## Make build/stage/SERVICE, ready to be built and deployed alone (all services without SERVICE=; with the model that MEND_TEXT_MODEL names).
	$(BIN)/python -m mend.deploy.stage $(SERVICE)

.PHONY: emulators
emulators: setup ## Start the emulators of Pub/Sub, Firestore, BigQuery and Cloud Storage until Ctrl-C.
	$(BIN)/python -m tests.emulators

.PHONY: demo-emulators
demo-emulators: setup ## See `make demo` end on the emulators as it does here (five minutes).
	EMULATORS=required $(BIN)/python -m pytest -m minutes tests/emulators/test_whole_demo.py

N ?= 500
SEED ?= 1
ONLY ?= 0
.PHONY: kill
kill: setup ## Kill real processes N=500 times (SEED=1; ONLY=n repeats one) and compare what they end with.
	$(BIN)/python -m tests.kills --number $(N) --seed $(SEED) --only $(ONLY)

.PHONY: clean
clean: ## Remove caches, the demo's store and test environments (.venv stays).
	rm -rf build demo-run .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find shared services mend tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
