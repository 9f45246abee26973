# Everything a newcomer needs: `make demo` and `make test`. Both install the project into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DEMO := demo-$(shell date +%Y%m%d-%H%M%S)

.PHONY: demo test chaos bench lint clean help

help:
	@echo "make demo   a whole search on this machine's CPU, in minutes"
	@echo "make test   lint, types, layer contract and all tests"
	@echo "make chaos  a search while workers are killed and PostgreSQL comes and goes"
	@echo "make bench  tables of what a worker does beside training, in half an hour"
	@echo "make clean  remove .venv and caches"

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "found $$($(PYTHON) --version), needed: Python 3.11 or newer; try make PYTHON=python3.12 ..."; exit 2; }
	@sh docs/install.sh $(PYTHON) $(VENV)
	@touch $@

demo: $(INSTALLED)
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh docs/demo.sh $(DEMO)

test: $(INSTALLED) lint
	$(BIN)/pytest -n auto --dist worksteal

chaos: $(INSTALLED)
	$(BIN)/python -m tests.chaos

bench: $(INSTALLED)
	$(BIN)/python -m benchmarks.throughput.database 100 1000
	$(BIN)/python -m benchmarks.throughput.commands 300 3000
	$(BIN)/python -m benchmarks.throughput.opening 64
	$(BIN)/python -m benchmarks.throughput.steps
	$(BIN)/python -m benchmarks.metrics

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
