# The front door. `make demo` and `make test` set up what they need by themselves.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := runs/demo
LIBRARY := asyncio email http json logging
# The tests start many processes: what Python compiles is kept between them.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup demo test test-all fuzz lint docs clean

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt torch numpy
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,docs]'
	touch $@

# A character model on the source text of Python's own standard library.
demo: setup
	rm -rf $(DEMO)
	$(BIN)/elman train generate \
	    $$($(BIN)/python -c "import os; print(*(os.path.join(os.path.dirname(os.__file__), name) for name in '$(LIBRARY)'.split()))") \
	    --out $(DEMO) --budget 100s --set valid_fraction=0.02 \
	    --set num_layers=1 --set dropout=0.1 --set k1=64 --set batch_size=32

test: setup
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m 'not slow and not fuzz and not gpu'

fuzz: setup
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m 'fuzz and not slow' \
	    $$(grep -rlw --include='test_*.py' fuzz tests)

test-all: setup
	$(BIN)/python -m pytest -n 2 --dist loadgroup

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python .ci/house.py

docs: setup
	$(BIN)/mkdocs build --strict

clean:
	rm -rf $(VENV) site dist build elman/kernels/prebuilt .mypy_cache .ruff_cache .pytest_cache .hypothesis
