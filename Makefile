# `make demo` and `make test` do all the set-up they need: a virtual environment in .venv, and the packages in it.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
DEMO_RESULTS ?= results
DEMO_EPOCHS ?= 100
DEMO_SEEDS ?= 2

.PHONY: demo test bench lint clean

demo: $(INSTALLED)
	$(BIN)/python -m harness.demo --results $(DEMO_RESULTS) --epochs $(DEMO_EPOCHS) --seeds $(DEMO_SEEDS)

test: $(INSTALLED)
	$(BIN)/python -m pytest -q -n auto --dist loadfile

bench: $(INSTALLED)
	$(BIN)/python -m benchmarks.speed --out speed.json

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(INSTALLED): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
