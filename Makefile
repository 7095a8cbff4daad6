# make demo        train on handwritten digits: a minute, real data, no download
# make test        the test-suite
# make bench       micro-benchmarks against this machine's ceilings and every installed peer; rewrites bench/RESULTS.md and its picture
# make lint        linter, formatter, type checker
# make parity      add PyTorch, so that `make test` compares with it and `make bench` times it
# make cuda        add numba-cuda and its toolkit (no GPU needed), so that `make test` runs the CUDA kernels in Numba's
#                  simulator and through NVIDIA's assembler
# make gpu-check   on a machine with a GPU: tests and times every CUDA kernel with the Python it is given (PYTHON=...),
#                  installs nothing, writes bench/results/<gpu>.json
# Each makes .venv and installs what it needs there, once.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --constraint .ci/constraints.txt

.PHONY: demo test bench lint parity cuda gpu-check clean

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

cuda: $(VENV)/.cuda13

gpu-check:
	$(PYTHON) bench/gpu_check.py

$(VENV)/.python:
	$(PYTHON) -c 'import sys; sys.exit("hotloop needs Python 3.11 or newer" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	touch $@

# one stamp for each extra: installed again when pyproject.toml or the pins change
$(VENV)/.test $(VENV)/.examples $(VENV)/.parity $(VENV)/.cuda13: $(VENV)/.%: $(VENV)/.python pyproject.toml .ci/constraints.txt
	$(PIP) --editable '.[$*]'
	touch $@

$(VENV)/.lint: $(VENV)/.python pyproject.toml .ci/constraints.txt
	$(PIP) --editable . ruff mypy
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info
