# Every target with a `##` is listed by `make help`.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest
LAB := $(BIN)/python -m lab

.DEFAULT_GOAL := help
.PHONY: help venv lint format manifests constraints test test-unit test-scan test-cluster test-services test-e2e bench-app bench-operator bench-scaling \
        lab-up lab-down lab-status lab-env lab-images image docs pictures demo demo-down

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-15s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(VENV)/.ready ## make the Python environment in .venv
# --no-compile: Python compiles what is imported when it is imported, a small part of all that is installed.
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --constraint constraints.txt --editable
$(VENV)/.ready: $(VENV)/.lab
	@echo "Installing the Python packages of the tests into $(VENV) ..." >&2
	@$(PIP_INSTALL) '.[operator,app,lab,dev,e2e]'
	@touch $@

# The little that the lab and the demo need.
$(VENV)/.lab: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed, this is " + sys.version.split()[0])'
	@echo "Installing the Python packages of the lab into $(VENV) ..." >&2
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv $(VENV)
	@$(PIP_INSTALL) '.[lab]'
	@touch $@

lint: venv ## ruff, mypy, yamllint and shellcheck
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy operator/fiboperator app/fibapp worker/fibworker lab demo bench tools
	$(BIN)/yamllint --strict .
	git ls-files '*.sh' .ci/run | xargs $(BIN)/shellcheck

format: venv ## let ruff format and mend the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test: lint test-unit ## everything: lint, unit, services, cluster and end-to-end tests, with one lab for all of them
	$(LAB) run -- $(MAKE) test-scan test-services test-cluster test-e2e

test-unit: venv ## pure code only: a few seconds
	$(PYTEST) tests/unit

test-scan: venv .venv-scan/.ready ## checkov and kubernetes-validate over everything that gets into a cluster
	$(LAB) build && $(PYTEST) tests/scan

.venv-scan/.ready: tests/scan/requirements.txt
	@$(PYTHON) -m venv --clear .venv-scan
	@.venv-scan/bin/pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

test-services: venv /usr/bin/chromium ## API, relay, workers and Flower on a real RabbitMQ and PostgreSQL
	$(LAB) run -- $(PYTEST) tests/services

test-cluster: venv ## the operator against a real API server
	$(LAB) run -- $(PYTEST) tests/cluster

test-e2e: venv /usr/bin/chromium ## everything as pods, through the Ingress, in a browser
	$(LAB) run -- bash -c '$(LAB) images && $(PYTEST) tests/e2e'

/usr/bin/chromium:
	apt-get update --quiet --quiet && DEBIAN_FRONTEND=noninteractive apt-get install --quiet --quiet --yes chromium

/usr/bin/pngquant:
	apt-get update --quiet --quiet && DEBIAN_FRONTEND=noninteractive apt-get install --quiet --quiet --yes pngquant

/usr/bin/wrk:
	apt-get update --quiet --quiet && DEBIAN_FRONTEND=noninteractive apt-get install --quiet --quiet --yes wrk

bench-app: venv /usr/bin/wrk ## measure API, relay and workers beside a stock peer (about 10 minutes; an idle machine helps)
	$(BIN)/python -m bench.app

bench-scaling: venv ## measure scaling by the backlog beside other rules on the lab, and draw docs/images/scaling.svg (about 20 minutes)
	$(LAB) run -- bash -c '$(LAB) images && $(BIN)/python -m bench.scaling'

bench-operator: venv ## measure the operator on a real API server, beside kubectl and usual kopf operators (about 10 minutes)
	$(LAB) build && $(BIN)/python -m bench.operator

lab-up: $(VENV)/.lab ## a real Kubernetes on this machine, from packages (the first time builds it: about 7 minutes)
	$(LAB) up

lab-down: $(VENV)/.lab ## stop the lab and leave nothing behind
	$(LAB) down

lab-status: $(VENV)/.lab ## what runs in the lab, and how long its parts took to build
	$(LAB) status

lab-env: $(VENV)/.lab ## the exports for kubectl: eval "$(make -s lab-env)"
	@$(LAB) env

lab-images: $(VENV)/.lab ## rebuild the project's images and load them into the running lab
	$(LAB) images

image: ## build both images with docker
	docker build --target operator --tag fibpipeline.invalid/operator:0.1.0 .
	docker build --target app --tag fibpipeline.invalid/app:0.1.0 .

manifests: venv ## render deploy/install.yaml (needs kubectl)
	kubectl kustomize deploy/base > deploy/install.yaml

docs: venv ## bring docs/spec.md and the list of reasons up to the schema and the code
	$(BIN)/python -m tools.reference

pictures: venv /usr/bin/chromium /usr/bin/pngquant ## take the pictures in docs/images of a pipeline at work (about 5 minutes)
	$(BIN)/python -m tools.pictures

constraints: venv ## pin the versions that are installed now
	( sed -n '/^#/p' constraints.txt; $(BIN)/pip freeze --exclude-editable ) > constraints.new && mv constraints.new constraints.txt

demo: $(VENV)/.lab ## from nothing to a Ready pipeline (CLUSTER=lab|kind|current)
	$(BIN)/python -m demo up

demo-down: $(VENV)/.lab ## undo the demo
	$(BIN)/python -m demo down
