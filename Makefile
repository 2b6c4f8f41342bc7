# Cultivar. `make` alone prints what there is.
SHELL := bash
PYTHON ?= python3.11
VENV ?= .venv
BIN := $(VENV)/bin
REQUIREMENTS := requirements/base.txt requirements/services.txt requirements/ray.txt requirements/dev.txt
PARALLEL ?= -n 2
PYTEST ?= -q
export HF_HUB_OFFLINE := 1
export RAY_USAGE_STATS_ENABLED := 0

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-browser test-model test-faults cluster-test bench lint protos requirements clean

help: ## Prints this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(VENV)/.ready ## Makes .venv and installs what is pinned in requirements/.

$(VENV)/.ready: $(REQUIREMENTS) pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "$$(grep -o '^uv==[0-9.]*' requirements/dev.txt)"
	$(BIN)/uv pip sync --quiet --python $(BIN)/python $(REQUIREMENTS)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	touch $@

demo: setup ## Runs the whole loop on the support example and writes report.html; REVIEW=me lets you review.
	$(BIN)/cultivar demo $(if $(REVIEW),--review $(REVIEW))

test: setup ## Runs the fast tests: unit, contract and integration (under 15 minutes on 2 cores).
	$(BIN)/python -m pytest tests/unit tests/contract $(PARALLEL) $(PYTEST)
	$(BIN)/python -m pytest tests/integration $(PARALLEL) $(PYTEST)

test-browser: setup ## Runs the console's tests in a real Chromium.
	$(BIN)/python -m pytest tests/browser $(PYTEST)

test-model: setup ## Runs the tests with the real small model, Ray Serve and Ray Train; LONG=1 runs them whole.
	$(BIN)/python -m pytest tests/model $(PYTEST)

test-faults: setup ## Runs the kill -9 tests and the other faults.
	$(BIN)/python -m pytest tests/faults $(PARALLEL) $(PYTEST)

test-pieces: setup ## Runs two replicas of every service as processes, with TLS, S3 and OIDC, and kills them; LONG=1 kills each.
	$(BIN)/python -m pytest tests/pieces $(PYTEST)

cluster-test: setup ## Installs the charts on a real Kubernetes of this machine and uses, hurts and upgrades them; LONG=1 hurts longer.
	tests/cluster/run $(PYTEST)

bench: setup ## Measures what our own part costs, in turns with what one would have without it (about 40 minutes).
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.memory

protos: setup ## Makes the stubs under libs/sdk from protos/, after linting them.
	$(BIN)/python protos/make.py

requirements: ## Pins requirements/*.txt anew from pyproject.toml.
	requirements/make

lint: setup ## Checks style, types, import arrows, protos and image recipes.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy libs services
	$(BIN)/lint-imports
	$(BIN)/hadolint deploy/docker/*.Dockerfile

clean: ## Removes the virtual environment and caches.
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
