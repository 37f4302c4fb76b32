# make demo: from a fresh clone to a plot.  make test: the tests.  make lint: style and the import rule.
# make docs: the generated parts of the documentation, anew.
# Needs Python 3.11 or newer. PYTHON=... and VENV=... choose another interpreter or environment.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
# Tests that do not belong to a run of a few minutes: make test PYTEST="-m slow"
PYTEST ?=

.PHONY: demo test lint docs clean

demo: $(VENV)/.installed
	$(BIN)/python -m launch.score --dataset=digits --width=16 --depth=1 --archs=nasbench201_digits --num_archs=48 --proxies=all \
		--ntk_batch_size=16 --noise_repeats=4 --output=output/demo/scores
	$(BIN)/python -m launch.correlate --scores=output/demo/scores --table=nasbench201_digits --output=output/demo/evidence

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest -n 2 $(PYTEST)

lint: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

docs: $(VENV)/.installed
	$(BIN)/python -m docs.generate

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tfnas needs Python 3.11 or newer: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

$(VENV)/.installed-test: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[test]"
	touch $(VENV)/.installed $@

clean:
	rm -rf $(VENV) build *.egg-info
