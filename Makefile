# `make tutorial` and `make lab` show it; `make test` proves it; `make bench` measures it.
PYTHON ?= python3
BIN := .venv/bin
# The checkout is what runs, whatever the environment has installed.
export PYTHONPATH := $(CURDIR)
export JUPYTER_PLATFORM_DIRS := 1
# Each kernel and each program that a test starts imports the package: compiled once, whatever the environment says.
export PYTHONDONTWRITEBYTECODE :=
.DEFAULT_GOAL := help
.PHONY: help tutorial lab test lint style types unit browser notebooks bench cluster peers proof soak store docs wheel clean

help:
	@echo "make tutorial   run notebooks/01_train_in_sql.ipynb and say what it found"
	@echo "make lab        open the notebooks in JupyterLab"
	@echo "make test       lint, types, unit tests, doctests, golden pairs, notebooks, browser"
	@echo "make bench      speed and memory, as ratios against what people use today"
	@echo "make cluster    queries and runs on a dask cluster of two processes: time against chunks, and two billion cells"
	@echo "make peers      DataFusion's own test files, statement by statement, on it and on us: PEERS=its checkout"
	@echo "make proof      the gradients of 8,928 random queries, backward, forward, by differences and by array code"
	@echo "make soak       a hundred processes are killed and each write fails in three ways, and the files are opened again"
	@echo "make docs       the documentation as a site, into build/site"
	@echo "make wheel      the wheel and the source archive, into dist"
	@echo "make store      run the notebooks and keep what they print, for make test to compare with"

tutorial: .venv/notebook.stamp
	$(BIN)/python notebooks/run.py notebooks/01_train_in_sql.ipynb

lab: .venv/notebook.stamp
	$(BIN)/jupyter lab notebooks/01_train_in_sql.ipynb

# Two processors have something to do all the time: what is one process stands beside another one.
test: style unit
	$(MAKE) --jobs 2 notebooks types browser

lint: style types

style: .venv/test.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/test.stamp
	$(BIN)/mypy

# Without nbval, whose import takes each of the three processes longer than a hundred tests.
unit: .venv/test.stamp
	$(BIN)/python -m pytest -q -p no:nbval --numprocesses 2 --dist worksteal --ignore tests/browser

browser: .venv/test.stamp
	$(BIN)/python -m pytest -q -p no:nbval tests/browser

notebooks: .venv/test.stamp
	$(BIN)/python -m pytest -q --nbval --nbval-current-env --nbval-sanitize-with tests/sanitize.cfg \
		-p no:doctest -o addopts= -o filterwarnings=default notebooks

bench: .venv/test.stamp
	$(BIN)/python -m tests.bench

cluster: .venv/test.stamp
	$(BIN)/python -m tests.bench.cluster

peers: .venv/test.stamp
	$(BIN)/python -m tests.peers "$(PEERS)"

proof: .venv/test.stamp
	GRADIENT_PARTS=31 $(BIN)/python -m pytest -q tests/autodiff/reverse/test_random.py

soak: .venv/test.stamp
	KILLS=100 WRITES=1 $(BIN)/python -m pytest -q tests/storage/test_kill.py tests/storage/test_faults.py

store: .venv/test.stamp
	$(BIN)/python notebooks/run.py --store notebooks/*.ipynb

docs: .venv/docs.stamp
	$(BIN)/python docs/site.py build/docs
	$(BIN)/mkdocs build --strict

wheel: .venv/test.stamp
	$(BIN)/python -m hatchling build -d dist
	@ls dist

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist tests/artefacts

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.12 ...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip

# Compiled when it is imported: all that Jupyter, JAX and SciPy bring takes a minute, and a tenth of it is ever read.
.venv/%.stamp: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --no-compile --editable '.[$*]'
	@touch $@
