# What a person runs. `make` alone lists the targets from their ## comments.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= $(firstword $(shell command -v python3.11 python3.12 python3))
UV_VERSION := 0.13.8
SOURCE ?=
export PYTHONPATH := .
unexport PYTHONDONTWRITEBYTECODE # importing Prefect takes 2 s with byte code, 10 s without

##@ Start here
.PHONY: help
help: ## list what there is
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/.ready: pyproject.toml uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' \
	  || { echo "Longshore needs Python 3.11 or 3.12; $(PYTHON) is $$($(PYTHON) -V 2>&1). Say which: make PYTHON=/path/to/python3.11"; exit 1; }
	@test -x .venv/bin/python || $(PYTHON) -m venv .venv \
	  || { echo "$(PYTHON) cannot make a venv. On Debian or Ubuntu: apt install python3-venv"; exit 1; }
	@test -x .venv/bin/uv || .venv/bin/python -m pip install -q --disable-pip-version-check uv==$(UV_VERSION)
	@.venv/bin/uv sync -q --frozen --all-extras
	@touch $@

.PHONY: setup
setup: .venv/.ready ## make .venv from the lock (the other targets call it)

.PHONY: demo psql
demo: setup ## load three months of taxi trips into Postgres and BigQuery, no Docker needed [SOURCE=live]
	@.venv/bin/python -m scripts.demo $(if $(filter live,$(SOURCE)),--live)

psql: export SQL := $(value SQL)
psql: setup ## look at what the demo loaded [SQL='SELECT …']
	@.venv/bin/python -m scripts.demo --psql $(if $(SQL),--sql "$$SQL")

##@ Develop
.PHONY: test check fmt new-job
test: setup check ## all checks and tests; those with containers where a Docker engine is there
	@.venv/bin/python -m pytest

check: setup ## lint, format and types, as CI does
	@.venv/bin/uv lock -q --check
	@.venv/bin/ruff check -q
	@.venv/bin/ruff format -q --check
	@.venv/bin/mypy --no-error-summary

fmt: setup ## put the code into shape
	@.venv/bin/ruff check -q --fix
	@.venv/bin/ruff format -q

new-job: setup ## make a job that runs at once, to build on: NAME=late-buses
	@.venv/bin/python -m scripts.new_job "$(NAME)"

##@ Measure
.PHONY: bench
bench: setup ## Longshore against limits, psql, dlt and pandas [QUICK=1: a small one] [ONLY=postgres|gcs|bigquery]
	@.venv/bin/uv sync -q --frozen --all-extras --group bench
	@.venv/bin/python -m scripts.bench $(if $(QUICK),--quick) $(addprefix --only ,$(ONLY))

##@ Containers (Docker; settings in .env.example)
.PHONY: base images up down clean deploy run logs
base: .venv/.ready ## have the base images: pulled, or made from Debian's packages
	@.venv/bin/python -m scripts.images --base

images: .venv/.ready ## build all images, tagged with the git revision, and import-check each
	@.venv/bin/python -m scripts.images

up: .venv/.ready ## start Postgres, Prefect and a worker [SOURCE=live|demo]
	@.venv/bin/python -m scripts.stack up --source $(or $(SOURCE),live)

down: .venv/.ready ## stop them; the data stay
	@.venv/bin/python -m scripts.stack down

clean: .venv/.ready ## stop them and delete the data; asks first [YES=1]
	@.venv/bin/python -m scripts.stack clean $(if $(YES),--yes)

logs: .venv/.ready ## follow what they print
	@.venv/bin/python -m scripts.stack logs

deploy: .venv/.ready ## register database block, work pool and deployments with Prefect
	@.venv/bin/python -m scripts.deploy

run: export LONGSHORE_PARAMS := $(or $(PARAMS),{})
run: .venv/.ready ## run a job and follow it: JOB=web-to-postgres PARAMS='{"months": [1]}'
	@.venv/bin/python -m scripts.run "$(JOB)" --params "$$LONGSHORE_PARAMS"
