# `make demo` and `make test` do all the set-up they need: a virtual environment in .venv, and the packages in it.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/installed
DEMO_RESULTS ?= results
DEMO_EPOCHS ?= 100
DEMO_SEEDS ?= 2

VARIANT ?= cpu

.PHONY: demo test test-exhaustive bench lint docs docker audit clean

demo: $(INSTALLED)
	$(BIN)/python -m harness.demo --results $(DEMO_RESULTS) --epochs $(DEMO_EPOCHS) --seeds $(DEMO_SEEDS)

test: $(INSTALLED)
	$(BIN)/python -m pytest -q -n auto --dist loadfile -m "not exhaustive"

# Every fault of docs/faults.md, every snippet of the pages, and studies on a Ray cluster.
test-exhaustive: $(INSTALLED)
	$(BIN)/python -m pytest -q -n auto --dist loadfile -m exhaustive

bench: $(INSTALLED)
	$(BIN)/python -m benchmarks.speed --out speed.json

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The documentation into site/, strictly: a link that leads nowhere is an error.
docs: $(INSTALLED)
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet

# An image with the harness in it; VARIANT=cuda for one with CUDA.
docker:
	docker build --build-arg VARIANT=$(VARIANT) --tag one-shot-nas-harness:$(VARIANT) .

audit: $(INSTALLED)
	.ci/audit

$(INSTALLED): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev,docs,completion]'
	touch $@

clean:
	rm -rf $(VENV) build site *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
