# Two commands on a fresh machine with Python 3.11 and make: `make demo` and `make test`.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help install demo test check test-all soak lint docs bench zoo clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	@touch $@

install: $(STAMP)  ## create .venv and install the project with the tested versions

demo: $(STAMP)  ## train a small QViT on Aer; evaluate it exactly, with shots and with device noise
	$(BIN)/qvit demo

# Two processes of one thread each: two cores.
test check soak: export OMP_NUM_THREADS = 1
PYTEST := $(BIN)/python -m pytest -q --numprocesses 2 --dist worksteal

test: $(STAMP)  ## run the tests with coverage
	$(PYTEST) --cov --cov-report term

check: $(STAMP)  ## run what is slower but must hold (half an hour or so)
	$(PYTEST) -m check

test-all: $(STAMP)  ## the wheel alone, then the quick tests, with each of Python 3.11 to 3.13 that is there; oldest dependencies
	$(BIN)/python tests/wheel_smoke.py --tests
	$(BIN)/python tests/wheel_smoke.py --lowest --python $(PYTHON)

PART ?= 1/1
soak: $(STAMP)  ## kill 1,000 runs, draw the bills of 300, strike others with faults (hours; PART=2/5 does a fifth)
	$(BIN)/python tests/soak.py --part $(PART)
	$(PYTEST) -m soak

lint: $(STAMP)  ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(STAMP)  ## build the site into build/site/html, without a network; warnings are errors
	$(BIN)/python docs/site/build.py build/site

zoo: $(STAMP)  ## train the models of the package anew, from the frozen configuration (half an hour or more)
	$(BIN)/qvit study docs/studies/zoo.toml
	$(BIN)/python -m qvit_qiskit.study.results.trained_models checkpoints/study-zoo qvit_qiskit/zoo/models

bench: $(STAMP)  ## compare training speed with peers (see benchmarks/README.md)
	$(BIN)/python benchmarks/training_step.py

clean:  ## remove .venv and caches
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage dist build
