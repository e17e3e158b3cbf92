# Every target sets up what it needs: `make demo` and `make test` work on a fresh checkout.

VENV := .venv/bin
# A Prometheus and an Alertmanager of the machine's own come first; setup fetches them where there are none.
DEMO_PATH := $(PATH):$(CURDIR)/.cache/prometheus-2/usr/bin

.DEFAULT_GOAL := help
.PHONY: help demo test lint types format bench docs alerts dashboards image lock clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' Makefile

demo: ## Run a simulated Dumbella, the exporter, Prometheus and Alertmanager; Ctrl-C stops all
	@scripts/setup demo
	@PATH="$(DEMO_PATH)" exec $(VENV)/dumbella-exporter demo $(ARGS)

test: ## Run all tests; ARGS are pytest's, as in ARGS="tests/e2e -x"
	@scripts/setup test
	$(VENV)/pytest $(ARGS)

lint: ## Check style
	@scripts/setup test
	$(VENV)/ruff check
	$(VENV)/ruff format --check

types: ## Check types
	@scripts/setup test
	$(VENV)/mypy

format: ## Rewrite the code in the project's format
	@scripts/setup test
	$(VENV)/ruff check --fix-only
	$(VENV)/ruff format

bench: ## Measure reads, scrapes and kills as ratios
	@scripts/setup test
	$(VENV)/python -m tests.bench $(ARGS)
	$(VENV)/python -m tests.sidecar.bench

docs: ## Write docs/metrics.md anew from the catalogue
	@scripts/setup test
	@mkdir -p .cache
	$(VENV)/dumbella-exporter metrics > .cache/metrics.md
	mv .cache/metrics.md docs/metrics.md

alerts: ## Write docs/alerts.md and the alerts for Kubernetes anew from the rules
	@scripts/setup test
	$(VENV)/python -m alerts

dashboards: ## Write the Grafana dashboards and docs/dashboards.md anew from their generator
	@scripts/setup test
	$(VENV)/python -m dashboards

image: ## Build the container image; ARGS are docker build's, as in ARGS="--tag mine"
	@scripts/build-image $(ARGS)

lock: ## Pin anew what the container image is built from
	@scripts/setup test
	@scripts/pin-requirements

clean: ## Remove everything that was made or fetched
	rm -rf .venv .cache .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist tests/dashboards/node/node_modules tests/deploy/node/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
