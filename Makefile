# Slipway's commands. `make` alone lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
UV := .cache/uv/bin/uv
UV_VERSION := 0.13.9
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: env engine images ## bring up the demo from nothing: 6 hosts, releases, a rollback, backups, a drill, an attack, a report (some 7 minutes, and 2 for the images the first time)
	@testbed/demo.sh

demo-clean: env ## remove the demo's containers, network and generated secrets
	@testbed/demo-clean.sh

test: env engine images ## lint, unit tests, and what the change touches of integration tests and scenarios; says which and why, and what it puts off when that is much (some fifty minutes on 2 cores)
	@pytest -v -rfEs --durations=0 --durations-min=1 --numprocesses 2 --max-worker-restart 0 --only-changed tests

test-all: env engine images ## the same with every integration test and every scenario
	@pytest -v -rfEs --durations=0 --durations-min=1 --numprocesses 2 --max-worker-restart 0 tests

test-unit: env ## only what needs no engine (seconds)
	@pytest -q --numprocesses 2 tests/unit

lint: env ## ansible-lint (production profile), yamllint, ruff, mypy, plugins' and roles' documentation (about two minutes)
	@pytest -q --numprocesses 2 tests/lint

env: $(VENV)/.installed ## the Python environment, from requirements.lock (20 seconds the first time)

$(VENV)/.installed: requirements.lock | $(UV)
	@echo "── environment: Python packages from requirements.lock into $(VENV) (about 20 seconds)"
	@$(UV) venv --quiet --allow-existing --python "$$(command -v $(PYTHON))" $(VENV)
	@VIRTUAL_ENV=$(VENV) $(UV) pip sync --quiet --require-hashes --compile-bytecode requirements.lock
	@touch $@

$(UV):
	@testbed/uv.sh $(UV_VERSION)

engine: ## a running Docker engine: installed and started when missing and you are root
	@testbed/engine.sh

images: env engine ## the test bed's images, built when their sources changed (2 minutes the first time)
	@ansible-playbook -i localhost, testbed/images.yml

lock: $(UV) ## write requirements.lock anew from pyproject.toml
	@$(UV) pip compile --quiet --universal --generate-hashes --upgrade --group dev --custom-compile-command 'make lock' \
		--output-file requirements.lock pyproject.toml

docs: env ## write the variables of every role into its README
	@python docs/generate.py

build: env ## the collection archive for ansible-galaxy
	@ansible-galaxy collection build --force

clean: ## remove the environment and caches (not the demo)
	@rm -rf $(VENV) .cache

.PHONY: help demo demo-clean test test-all test-unit lint env engine images lock docs build clean
