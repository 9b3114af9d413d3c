# Everything here works on a machine with Python 3.11+, make and a package index: no C compiler,
# no `dot`, no GPU, no browser (but for test-browser).

PYTHON ?= python3
VENV   ?= .venv
JOBS   ?= 2

PY  := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check install --quiet

# torch goes in first, under its exact version: a CPU build that a local index or folder offers is
# found that way, where a plain range would fetch gigabytes of CUDA packages.
TORCH ?= $(shell sed -n '/^torch==/p' constraints.txt)

# A CUDA build of torch says which CUDA there is: our own pins for it would contradict.
CUDA_PINS = (cuda|nvidia)-
PINS := $(VENV)/constraints.txt
HAS_CUDA_TORCH = $(PY) -c 'import importlib.metadata as m, sys; \
	sys.exit("cuda" not in str(m.requires("torch")))'
WRITE_PINS = if $(HAS_CUDA_TORCH); then grep -Ev '^$(CUDA_PINS)' constraints.txt; \
	else cat constraints.txt; fi > $(PINS)

LAB := $(VENV)/.fusekit-lab
DEV := $(VENV)/.fusekit-dev

CHROMIUM ?= $(shell command -v chromium || command -v chromium-browser || command -v google-chrome)
export CHROMIUM

# Two pytest workers share the cores with the threads of torch: waiting threads must not spin.
export OMP_WAIT_POLICY ?= PASSIVE

.DEFAULT_GOAL := help
.PHONY: help demo lab test test-units test-notebooks notebooks test-gpu test-slow test-browser chromium \
	lint lint-style lint-format lint-types lint-layers format golden docs screenshots clean distclean

# One report shows everything that is wrong, one step after the other.
KEEP_GOING = $(MAKE) --keep-going --no-print-directory -j1

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1 - /p' $(MAKEFILE_LIST) \
		| while read -r name _ text; do printf '  %-14s %s\n' "$$name" "$$text"; done

demo: $(LAB) ## fuse something, and see the kernel and what it saves
	$(VENV)/bin/fusekit demo

lab: $(LAB) ## JupyterLab on the first notebook
	$(VENV)/bin/jupyter lab notebooks/01_tour.ipynb

test: $(DEV) ## the tests, and the notebooks compared with their stored outputs
	@$(KEEP_GOING) test-units test-notebooks

test-units: $(DEV)
	$(PY) -m pytest -n $(JOBS) --dist worksteal -m "not (browser or gpu or slow)" --ignore=tests/browser

test-notebooks: $(DEV)
ifeq ($(wildcard notebooks/*.ipynb),)
	@echo "notebooks/ holds no notebook yet: nothing to compare"
else
	$(PY) -m pytest --nbval --nbval-sanitize-with tests/nbval_sanitize.cfg \
		--nbval-current-env notebooks/
endif

notebooks: $(DEV) ## run the notebooks and store their outputs; read the diff before committing
	$(PY) tests/execute_notebooks.py notebooks/*.ipynb

test-gpu: $(DEV) ## the tests that need an NVIDIA GPU (they skip where there is none)
	$(PY) -m pytest -m gpu

test-slow: $(DEV) ## the tests that `make test` leaves out because they take long
	$(PY) -m pytest -m "slow and not browser" --ignore=tests/browser

test-browser: $(DEV) chromium ## the widgets, in a real JupyterLab in a real Chromium
	$(PY) -m pytest -m browser tests/browser

chromium:
	@if [ -n "$(CHROMIUM)" ]; then \
		echo "using $(CHROMIUM)"; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update && apt-get install -y --no-install-recommends chromium; \
	else \
		echo "No Chromium found. Install one (Debian: sudo apt-get install chromium)," >&2; \
		echo "or name it: make test-browser CHROMIUM=/path/to/chrome" >&2; \
		exit 1; \
	fi

lint: $(DEV) ## style, types and layers
	@$(KEEP_GOING) lint-style lint-format lint-types lint-layers

lint-style: $(DEV)
	$(PY) -m ruff check .

lint-format: $(DEV)
	$(PY) -m ruff format --check .

lint-types: $(DEV)
	$(PY) -m mypy

lint-layers: $(DEV)
	$(VENV)/bin/lint-imports --no-logo

format: $(DEV) ## let ruff repair what it can
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

golden: $(DEV) ## rewrite the expected texts under tests/golden; read the diff before committing
	$(PY) -m pytest -m "not browser" --ignore=tests/browser --update-golden

screenshots: $(DEV) chromium ## the pictures of the README, from a real JupyterLab
	$(PY) -m pytest -m browser tests/browser/test_tour.py
	mkdir -p docs/images && cp shots/readme-*.png docs/images/

docs: $(DEV) ## the documentation as a site: docs/_build/html/index.html
	$(PY) -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "open docs/_build/html/index.html"

clean: ## remove caches and build leftovers
	rm -rf build dist shots docs/_build docs/_copied .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -path ./$(VENV) -prune -o \( -name __pycache__ -o -name .ipynb_checkpoints \) \
		-type d -prune -exec rm -rf {} +

distclean: clean ## and the virtual environment
	rm -rf $(VENV)

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "fusekit needs Python 3.11 or newer: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(LAB): pyproject.toml constraints.txt | $(PY)
	$(PIP) '$(TORCH)'
	@$(WRITE_PINS)
	$(PIP) -c $(PINS) -e '.[lab]'
	@touch $@

$(DEV): pyproject.toml constraints.txt | $(PY)
	$(PIP) '$(TORCH)'
	@$(WRITE_PINS)
	$(PIP) -c $(PINS) -e '.[dev]'
	@touch $@ $(LAB)
