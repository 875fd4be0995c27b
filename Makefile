# Every command of the project; the README and CI call these targets and nothing else.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
CLUSTER ?= local
BENCH ?=
BENCH_FLAGS ?=
# Builds, images and the local cluster live here, outside the tree, keyed by version.
SIDECAR_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/sidecar-evaluation
UV_VERSION := $(shell sed -n 's/^uv==\([^ ]*\).*/\1/p' operator/uv.txt)
UV := $(SIDECAR_CACHE)/uv-$(UV_VERSION)/bin/uv
BIN := .venv/bin
RUN := PYTHONPATH=tests $(BIN)/python
# Cluster, images and demo need nothing but the standard library, and so no .venv.
BARE := PYTHONPATH=tests PYTHONDONTWRITEBYTECODE=1 $(PYTHON)
CHECKED := operator evaluator_image tests deploy/samples .ci
SUITES := lint types verify test-unit test-contract test-mounts test-integration test-e2e
# What both images and the Makefile itself install with pip: of uv.lock's dependency groups `uv` and `build`.
PINS := $(foreach folder,operator evaluator_image,$(folder)/uv.txt $(folder)/build.txt)
EXPORT = $(UV) export --quiet --frozen --no-annotate --no-header --only-group

export CLUSTER SIDECAR_CACHE
export UV_SYSTEM_CERTS := 1
export UV_PROJECT_ENVIRONMENT := $(CURDIR)/.venv
export UV_NO_PROGRESS := 1

##@ Start here

.PHONY: help
help: ## List every target with a line each
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' Makefile

.PHONY: demo
demo: cluster ## Watch a SidecarEvaluation score a real training on a local Kubernetes
	@$(MAKE) --no-print-directory images
	@$(BARE) -m demo

.PHONY: test
test: .venv/synced ## Run every check and every test, two suites at a time
	@echo "two suites at a time; what each says comes when it has ended"
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=target $(SUITES)

##@ Check and test

.PHONY: lint
lint: .venv/synced ## Check style, formatting, sizes and the layers of the architecture
	@$(BIN)/ruff check $(CHECKED)
	@$(BIN)/ruff format --check $(CHECKED)
	@$(BIN)/lint-imports --no-logo
	@$(RUN) -m checks

.PHONY: types
types: .venv/synced ## Check types (mypy, strict)
	@$(BIN)/mypy

.PHONY: verify
verify: .venv/synced ## Fail if a generated file is not what its source says
	@$(RUN) -m golden --check
	@$(RUN) -m release stamp --check
	@for path in $(PINS); do $(EXPORT) $$(basename $$path .txt) | cmp --silent - $$path \
	  || { echo "$$path is not what uv.lock says: run \`make generate\`"; exit 1; }; done

.PHONY: hygiene
hygiene: .venv/synced ## Check white space, merge markers, large files, YAML and TOML
	@SKIP=lint,types,verify $(BIN)/pre-commit run --all-files

.PHONY: test-unit
test-unit: .venv/synced ## Unit tests: no cluster, no root
	@$(BIN)/pytest tests/unit --numprocesses=2 --dist=worksteal

.PHONY: test-contract
test-contract: .venv/synced ## Hold operator, evaluator and CRD to their contract
	@$(BIN)/pytest tests/contract

.PHONY: test-mounts
test-mounts: .venv/synced ## The evaluator on gcsfuse, on s3fs and on a mount that fails (root, Linux)
	@$(BARE) -m mounts prepare
	@$(BIN)/pytest tests/mounts --numprocesses=2 --dist=loadfile

.PHONY: test-integration
test-integration: .venv/synced programs ## Tests on a real API server (no root needed)
	@$(BIN)/pytest tests/integration --numprocesses=3 --dist=loadfile

.PHONY: test-e2e
test-e2e: .venv/synced deploy ## Tests on a real node, with operator and evaluator as pods (root, Linux)
	@$(BARE) -m cluster training-operator
	@$(BIN)/pytest tests/e2e --numprocesses=4 --dist=loadfile

##@ Measure

.PHONY: coverage
coverage: .venv/synced ## Line and branch coverage of both distributions by unit and contract tests
	@$(BIN)/pytest tests/unit tests/contract --numprocesses=2 --dist=loadfile --cov --cov-report=
	@$(BIN)/coverage report --include='operator/*' --fail-under=0 --sort=cover
	@$(BIN)/coverage report --include='evaluator_image/*' --fail-under=0 --sort=cover
	@$(BIN)/coverage report --format=total

.PHONY: bench
bench: .venv/synced programs ## Measure the evaluator beside its peer, as a table (BENCH=detection,memory: some groups)
	@$(RUN) -m benchmarks --only="$(BENCH)" $(BENCH_FLAGS)

##@ Develop

.PHONY: venv
venv: .venv/synced ## Make .venv from the lock file

.PHONY: hooks
hooks: .venv/synced ## Let git run these checks before each commit (pre-commit)
	@$(BIN)/pre-commit install

.PHONY: format
format: .venv/synced ## Format the code and sort its imports
	@$(BIN)/ruff check --fix-only $(CHECKED)
	@$(BIN)/ruff format $(CHECKED)

.PHONY: generate
generate: .venv/synced ## Rewrite what is generated: golden manifests, build requirements, the version where it is named
	@$(RUN) -m golden
	@$(RUN) -m release stamp
	@for path in $(PINS); do $(EXPORT) $$(basename $$path .txt) --output-file $$path; done

.PHONY: release-check
release-check: .venv/synced ## Say whether the tree is ready to be released
	@$(RUN) -m release check --uv=$(UV)

.PHONY: clean
clean: ## Remove .venv and tool caches (builds in the cache stay)
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage*

##@ Cluster and images

.PHONY: cluster
cluster: ## Bring a local Kubernetes up (CLUSTER=current: use your kubeconfig's)
	@$(BARE) -m cluster up

.PHONY: cluster-down
cluster-down: ## Take the local Kubernetes down and leave nothing behind
	@$(BARE) -m cluster down

.PHONY: cluster-status
cluster-status: ## Say what of the local Kubernetes runs, and where its kubeconfig is
	@$(BARE) -m cluster status

.PHONY: images
images: ## Build both images and load them into the node
	@$(BARE) -m images build
	@$(BARE) -m images load

.PHONY: image-sizes
image-sizes: ## Build both images and say how large they are once compressed
	@$(BARE) -m images build
	@$(BARE) -m images sizes

.PHONY: deploy
deploy: cluster ## Install the operator into the cluster
	@$(MAKE) --no-print-directory images
	@$(BARE) -m demo install

.PHONY: programs
programs:
	@$(BARE) -m cluster build kube-apiserver etcd kubectl

$(UV):
	@echo "uv $(UV_VERSION): installing into the cache"
	@$(PYTHON) .ci/bootstrap.py $(patsubst %/bin/uv,%,$@)

.venv/synced: $(UV) uv.lock pyproject.toml operator/pyproject.toml evaluator_image/pyproject.toml
	@echo ".venv: installing the locked packages"
	@$(UV) sync --quiet --frozen --all-packages --extra cpu --no-install-package tensorflow --python $(PYTHON)
	@touch $@
