# `make demo` trains on generated data; `make test` runs all tests and checks. Both install what they need first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# uv installs in a fraction of pip's time; `make install UV=` uses pip where both are installed.
UV ?= $(shell command -v uv 2> /dev/null)
PIP = $(if $(UV),$(UV) pip install --quiet --python $(BIN)/python,$(BIN)/python -m pip install --quiet)

.PHONY: install options demo docs test run-tests test-slow check figures docs-index format clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'Lehr needs Python 3.11 or newer; set PYTHON=...')"
	$(PYTHON) -m venv $(VENV)
	$(PIP) --upgrade pip
	$(PIP) -e '.[dev]'
	$(PIP) --no-deps 'tidecv>=1.0.1' 'trackers>=2.6'  # what they require would replace opencv-python-headless
	touch $@

demo: install
	$(BIN)/lehr train

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python tools/prose.py
	$(BIN)/python tools/audit.py

test: check run-tests

# A process on each core, which it and whatever it starts keep to.
run-tests: install
	$(BIN)/python -m pytest -n logical --maxprocesses 8 --dist worksteal

# What takes minutes to prove; before a release. The last result is in docs/testing.md.
test-slow: install
	$(BIN)/python -m pytest -m slow --durations=0

# Written down for type checkers from what lehr/options/ defines.
options: install
	$(BIN)/python tools/train_options.py

figures: install
	$(BIN)/python docs/rooms.py
	$(BIN)/python docs/images/screens.py
	$(BIN)/python docs/techniques/figures/curves.py
	$(BIN)/python docs/techniques/figures/loss_curves.py
	$(BIN)/python docs/techniques/figures/sampling_curves.py
	$(BIN)/python docs/techniques/figures/run_curves.py
	$(BIN)/python docs/techniques/figures/speed_curves.py
	$(BIN)/python docs/techniques/figures/images.py
	sed -n 's/^Made by `\(lehr .*\)`\.$$/\1/p' docs/techniques/*.md | PATH="$(CURDIR)/$(BIN):$$PATH" sh -ex

# The documentation site in site/; fails on any warning, broken link or page that the navigation lacks.
docs: install
	$(BIN)/python -m tools.site

docs-index: install
	$(BIN)/python docs/techniques/index.py

format: install
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist runs site src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
