# What a person runs. `make` alone lists the targets from their ## comments.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= $(firstword $(shell command -v python3.11 python3.12 python3))
UV_VERSION := 0.13.8
SOURCE ?=
export PYTHONPATH := .

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
	@.venv/bin/uv sync -q --frozen --all-extras --all-groups
	@touch $@

.PHONY: setup
setup: .venv/.ready ## make .venv from the lock (the other targets call it)

##@ Measure
.PHONY: bench
bench: setup ## Longshore against the limit, psql, dlt and pandas (QUICK=1: a small one, fast contenders only)
	@.venv/bin/python -m scripts.bench $(if $(QUICK),--quick)
