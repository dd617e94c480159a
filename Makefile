# Everything runs in a virtual environment of its own: no other needs to be active, and none is changed.
# make test VENV=/tmp/lowest CONSTRAINTS=constraints-lowest.txt    the same against other versions

PYTHON ?= python3
VENV ?= .venv
CONSTRAINTS ?= constraints.txt
DIST ?= dist
BIN := $(VENV)/bin
BENCHMARKS := trainer trials overhead suggest sophiah surgery smart frozen gates export experts decoders joint scale analysis

# Workers share the tests; those that share a Ray stay together in one of them. Each computes with one thread.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help install format lint check test test-slow bench build constraints clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

install: $(VENV)/installed  ## the virtual environment, with everything in it

$(VENV)/installed: pyproject.toml $(CONSTRAINTS)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --constraint $(CONSTRAINTS) --editable '.[offline,hub,figures,cmaes,postgresql,spacy,wordnet,test]'
	@touch $@

format: install  ## rewrite the code as the linter wants it
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lint: install  ## the linter, and the formatter as a check
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

check: lint  ## lint and types
	$(BIN)/mypy

test: install  ## the tests that take seconds
	$(PYTEST) -m 'not slow' -n 2 --dist loadgroup

# Those of a file stay together: they wait for the most part, and share what they start.
test-slow: install  ## the tests that take minutes
	$(PYTEST) -m slow -n 2 --dist loadfile

bench: install  ## the benchmarks, one after the other; wants an idle machine
	@set -e; for name in $(BENCHMARKS); do echo "$$name"; $(BIN)/python benchmarks/$$name.py; done

build: install  ## the wheel, in dist/
	$(BIN)/pip wheel --no-deps --wheel-dir $(DIST) .

constraints: install  ## write constraints.txt anew: make constraints VENV=/tmp/newest CONSTRAINTS=/dev/null
	@echo '# The versions that CI runs everything with; make constraints writes them.' > constraints.txt
	$(BIN)/pip freeze --all --exclude-editable | sed '/^pip==/d; s/+.*//' >> constraints.txt

clean:  ## remove what the above made
	rm -rf $(VENV) $(DIST) .mypy_cache .pytest_cache .ruff_cache
