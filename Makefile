# make demo   haul the Python standard library over an emulated satellite link, then verify it
# make test   run the tests
# make flink-demo   the same haul on a real Flink cluster of this machine, beside the local runner
# All set up .venv first; a second call finds it ready. PYTHON=/path/to/python3 picks another Python.

VENV ?= .venv
CANDIDATES = python3 python3.13 python3.12 python3.11 python3.14 python
NEW_ENOUGH = import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for p in $(CANDIDATES); do "$$p" -c '$(NEW_ENOUGH)' >/dev/null 2>&1 && { command -v "$$p"; break; }; done)

BIN := $(VENV)/bin
SKYHAUL := $(BIN)/skyhaul
PIP_INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo flink-demo test slow lint dead format types bench docs site constraints clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(VENV)/.ready-demo  ## Haul the standard library over an emulated LEO link into out/, and verify it
	@set -e; SKYHAUL_STDLIB="$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')"; \
	export SKYHAUL_STDLIB; \
	echo "export SKYHAUL_STDLIB=$$SKYHAUL_STDLIB"; \
	echo "skyhaul run examples/demo.yaml"; $(SKYHAUL) run examples/demo.yaml; \
	echo; echo "skyhaul verify examples/demo.yaml"; $(SKYHAUL) verify examples/demo.yaml

flink-demo: $(VENV)/.ready-dev  ## Haul on Flink (a JobManager, two TaskManagers) and S3 as on the local runner; the same bytes
	$(BIN)/python examples/flink/demo.py $(ARGS)

test: $(VENV)/.ready-dev  ## Run the tests (not the slow campaigns)
	$(BIN)/python -m pytest -n 3 --dist loadscope --no-loadscope-reorder $(ARGS)

slow: $(VENV)/.ready-dev  ## Run the slow campaigns
	$(BIN)/python -m pytest -m slow -n 2 --dist loadscope $(ARGS)

# Without the cache: it does not notice that a module which an import names has come or gone.
lint: $(VENV)/.ready-dev  ## Check style
	$(BIN)/ruff check --no-cache .
	$(BIN)/ruff format --no-cache --check .

dead: $(VENV)/.ready-dev  ## Look for code that nothing in the product uses; pyproject.toml names what is passed over
	$(BIN)/python -m vulture

format: $(VENV)/.ready-dev  ## Put style right
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.ready-dev  ## Check types strictly
	$(BIN)/mypy

bench: $(VENV)/.ready-dev  ## Run the benchmarks side by side with their peers
	@set -e; for script in benchmarks/bench_*.py; do echo "== $$script"; $(BIN)/python "$$script" $(ARGS); done

docs: $(VENV)/.ready-dev  ## Write docs/cli.md, job.md, schemas.md and formats.md anew from the program
	$(BIN)/python -m skyhaul.cli.reference > docs/cli.md
	$(BIN)/python -m skyhaul.job_reference > docs/job.md
	$(BIN)/python -m skyhaul_schemas.reference > docs/schemas.md
	$(BIN)/python -m skyhaul_connectors.formats.reference > docs/formats.md

site: $(VENV)/.ready-dev  ## Build the documentation site into site/, strictly; it opens offline
	rm -rf site
	$(BIN)/python -m sphinx -q --fail-on-warning --keep-going --builder html --conf-dir docs \
	  --doctree-dir $(VENV)/doctrees . site
	$(BIN)/python docs/offline.py site

constraints:  ## Pin the newest versions that pyproject.toml allows
	$(check-python)
	rm -rf $(VENV)-constraints
	"$(PYTHON)" -m venv $(VENV)-constraints
	$(VENV)-constraints/bin/python -m pip install --quiet --disable-pip-version-check -e '.[dev,docs,s3,sftp,gcs,azure,redis,certify,spark,language,bench,dataflow-test]'
	{ sed -n '/^#/p' constraints.txt; $(VENV)-constraints/bin/python -m pip freeze --exclude-editable; } > constraints.new
	mv constraints.new constraints.txt
	rm -rf $(VENV)-constraints

clean:  ## Remove the virtual environment, the demo's output and caches
	rm -rf $(VENV) $(VENV)-constraints out site .skyhaul .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: what is set up stays set up until pyproject.toml or constraints.txt change.
$(VENV)/.ready-demo: pyproject.toml constraints.txt | $(BIN)/python
	@echo "setting up $(VENV) (once; fetches packages)"
	$(PIP_INSTALL) -e .
	@touch $@

$(VENV)/.ready-dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo "setting up $(VENV) for tests (once; fetches packages)"
	$(PIP_INSTALL) -e '.[dev,docs,s3,sftp,azure,redis,certify,spark,language]'
	@touch $@ $(VENV)/.ready-demo

$(BIN)/python:
	$(check-python)
	"$(PYTHON)" -m venv $(VENV)

define check-python
@if [ -z "$(PYTHON)" ]; then \
  echo "skyhaul needs Python 3.11 or newer with venv; found none of: $(CANDIDATES)." >&2; \
  echo "Install one (Debian, Ubuntu: apt install python3 python3-venv), or: make PYTHON=/path/to/python3.11 ..." >&2; \
  exit 1; \
elif ! "$(PYTHON)" -c '$(NEW_ENOUGH)' >/dev/null 2>&1; then \
  echo "$(PYTHON) is $$("$(PYTHON)" --version 2>/dev/null || echo no Python that runs); skyhaul needs Python 3.11 or newer with venv." >&2; \
  echo "Say which one: make PYTHON=/path/to/python3.11 ..." >&2; \
  exit 1; \
fi
endef
