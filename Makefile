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

.PHONY: demo demo-buses psql
demo: setup ## load three months of taxi trips into Postgres and BigQuery, no Docker needed [SOURCE=live]
	@.venv/bin/python -m scripts.demo $(if $(filter live,$(SOURCE)),--live)

demo-buses: setup ## watch a small city's buses, the late ones on a map at http://127.0.0.1:8501 [CYCLES=]
	@.venv/bin/python -m scripts.demo.buses $(if $(CYCLES),--cycles $(CYCLES))

psql: export SQL := $(value SQL)
psql: setup ## look at what the demo loaded [SQL='SELECT …']
	@.venv/bin/python -m scripts.demo --psql $(if $(SQL),--sql "$$SQL")

##@ Develop
.PHONY: test check audit fmt new-job test-containers test-others test-fast
test: setup check ## all checks and tests; those with containers where a Docker engine is there [FAST=1: no containers, no pages]
	@$(MAKE) -s -k -j 2 $(if $(filter output-sync,$(.FEATURES)),--output-sync=target) $(if $(FAST),test-fast,test-containers test-others)

test-fast:
	@.venv/bin/python -m pytest tests/unit tests/contract tests/integration

test-containers test-others: # side by side: 40 minutes on two cores, the images being there
	@env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL .venv/bin/python -m pytest $(if $(filter test-containers,$@),tests/containers,--ignore=tests/containers)

check: setup ## lint, format and types, workflows too, as CI does
	@.venv/bin/uv lock -q --check
	@.venv/bin/ruff check -q
	@.venv/bin/ruff format -q --check
	@.venv/bin/mypy --no-error-summary
	@said=$$(.venv/bin/zizmor --quiet --offline --no-progress .github 2>&1) || { echo "$$said"; exit 1; }
	@.venv/bin/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	@.venv/bin/check-jsonschema --quiet --builtin-schema vendor.dependabot .github/dependabot.yml
	@.venv/bin/shellcheck .ci/run docker/*.sh docker/*/*.sh docker/*/*/*.sh terraform/worker/*.sh
	@$(MAKE) -s .venv/.terraform-checked

.venv/.terraform-checked: $(wildcard terraform/*.tf terraform/checks/*) # 10 s, so only after a change
	@.venv/bin/uv run -q --python .venv/bin/python --script terraform/checks/policies.py
	@touch $@

audit: setup ## does the lock hold a version with a known vulnerability? Asks osv.dev
	@.venv/bin/python -m scripts.audit

fmt: setup ## put the code into shape
	@.venv/bin/ruff check -q --fix
	@.venv/bin/ruff format -q

new-job: setup ## make a job that runs at once, to build on: NAME=late-buses
	@.venv/bin/python -m scripts.new_job "$(NAME)"

##@ Measure
.PHONY: bench chaos
bench: setup ## Longshore against limits, psql, its peers, dlt and pandas [QUICK=1: a small one] [ONLY=postgres|gcs|bigquery|timetable|cycle]
	@.venv/bin/uv sync -q --frozen --all-extras --group bench --compile-bytecode
	@.venv/bin/python -m scripts.bench $(if $(QUICK),--quick) $(addprefix --only ,$(ONLY))

chaos: .venv/.ready ## break the running stack of SOURCE=demo again and again, and count rows and runs [ROUNDS=] [FAULTS=a round] [SEED=] [ONLY=words]
	@.venv/bin/python -m scripts.chaos $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(FAULTS),--faults $(FAULTS)) $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only "$(ONLY)")

##@ Containers (Docker; settings in .env.example)
.PHONY: base images up down clean logs
base: .venv/.ready ## have the base images: pulled, or made from Debian's packages
	@.venv/bin/python -m scripts.images --base

images: .venv/.ready ## build all images, tagged with the git revision, and import-check each
	@.venv/bin/python -m scripts.images

up: .venv/.ready ## start Postgres, Prefect, a worker and the map [SOURCE=live|demo]
	@.venv/bin/python -m scripts.stack up --source $(or $(SOURCE),live)

down: .venv/.ready ## stop them; the data stay
	@.venv/bin/python -m scripts.stack down

clean: .venv/.ready ## stop them and delete the data; asks first [YES=1]
	@.venv/bin/python -m scripts.stack clean $(if $(YES),--yes)

logs: .venv/.ready ## follow what they print
	@.venv/bin/python -m scripts.stack logs

##@ Deploy (the work pool: POOL=docker|process|cloud-run|cloud-run-v2; what differs there: environments/)
.PHONY: deploy deploy-diff worker run status prefect
DEPLOY = --pool "$(or $(POOL),docker)" --job "$(JOB)" --environment "$(ENVIRONMENT)"
deploy: .venv/.ready ## register blocks, work pool and deployments [POOL=] [JOB=] [ENVIRONMENT=] [PRUNE=1: delete removed ones]
	@.venv/bin/python -m scripts.deploy $(DEPLOY) $(if $(PRUNE),--prune)

deploy-diff: .venv/.ready ## what `make deploy` would change [POOL=] [JOB=] [ENVIRONMENT=]
	@.venv/bin/python -m scripts.deploy_diff $(DEPLOY)

worker: .venv/.ready ## start a worker on this machine [POOL=] [ENVIRONMENT=]
	@.venv/bin/python -m scripts.worker --pool "$(or $(POOL),docker)" --environment "$(ENVIRONMENT)"

run: export LONGSHORE_PARAMS := $(or $(PARAMS),{})
run: .venv/.ready ## run a job and follow it: JOB=web-to-postgres PARAMS='{"months": [1]}' [ENVIRONMENT=]
	@.venv/bin/python -m scripts.run "$(JOB)" --params "$$LONGSHORE_PARAMS"

status: .venv/.ready ## pools, workers, runs and their containers on one screen, and what wants attention (then it fails) [ENVIRONMENT=]
	@.venv/bin/python -m scripts.status

prefect: export LONGSHORE_DO := $(value DO)
prefect: .venv/.ready ## Prefect's own command line, logged in: DO='flow-run cancel ID' [ENVIRONMENT=]
	@.venv/bin/python -m scripts.prefect_command "$$LONGSHORE_DO"

##@ Cloud (docs/cloud.md)
.PHONY: outputs push push-dry-run
outputs: ## note what Terraform made, for `make push` and `make deploy`: terraform/outputs.json
	@command -v terraform >/dev/null || { echo "terraform is not installed; terraform/.terraform-version says which"; exit 1; }
	@terraform -chdir=terraform output -json > terraform/outputs.json.new || { rm -f terraform/outputs.json.new; exit 1; }
	@grep -q registry terraform/outputs.json.new || { rm terraform/outputs.json.new; echo "terraform/ has no outputs yet: terraform -chdir=terraform apply"; exit 1; }
	@mv terraform/outputs.json.new terraform/outputs.json

push: .venv/.ready ## push the images to REGISTRY, tagged with the git revision, and note their digests [DIRTY=1]
	@.venv/bin/python -m scripts.push $(if $(DIRTY),--dirty)

push-dry-run: .venv/.ready ## show what would go where, and what is there already
	@.venv/bin/python -m scripts.push --dry-run
