# make demo        train on handwritten digits: a minute, real data, no download
# make test        the test-suite
# make bench       micro-benchmarks against this machine's ceilings and every installed peer; rewrites bench/RESULTS.md and its picture
# make lint        linter, formatter, type checker
# make parity      add PyTorch, so that `make test` compares with it and `make bench` times it
# make simulator   add numba-cuda, so that `make test` runs the CUDA kernels in Numba's simulator
# Each makes .venv and installs what it needs there, once.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --constraint .ci/constraints.txt

.PHONY: demo test bench lint parity simulator clean

demo: $(VENV)/.examples
	$(BIN)/python examples/digits_mlp.py

test: $(VENV)/.test
	$(BIN)/python -m pytest

bench: $(VENV)/.test $(VENV)/.examples
	$(BIN)/python bench/report.py

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	rm -rf $(VENV)/wheel
	PYTHON=$(BIN)/python .ci/wheel $(VENV)/wheel
	MYPYPATH=$(VENV)/wheel $(BIN)/mypy -p hotloop

parity: $(VENV)/.parity

simulator: $(VENV)/.simulator

$(VENV)/.python:
	$(PYTHON) -c 'import sys; sys.exit("hotloop needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	touch $@

# one stamp for each extra: installed again when pyproject.toml or the pins change
$(VENV)/.test $(VENV)/.examples $(VENV)/.parity: $(VENV)/.%: $(VENV)/.python pyproject.toml .ci/constraints.txt
	$(PIP) --editable '.[$*]'
	touch $@

$(VENV)/.lint: $(VENV)/.python pyproject.toml .ci/constraints.txt
	$(PIP) --editable . ruff mypy
	touch $@

# without the extras cuda12 and cuda13: their toolkits are large, and the simulator needs none
$(VENV)/.simulator: $(VENV)/.python pyproject.toml .ci/constraints.txt
	$(PIP) --editable . numba-cuda
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info
