# The commands of the project; `make help` lists them. Everything is set up on demand and only when something changed.

PYTHON ?= python3
DEVICE ?= cpu
VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --quiet --quiet --disable-pip-version-check

# Distributions in the order in which they are installed. Those with compiled code come last and have their own stamp.
PURE := plugins/nn plugins/norm plugins/optim plugins/data plugins/train plugins_cuda
COMPILED := core plugins_cpu
PURE_CONFIG := $(foreach folder,$(PURE),$(wildcard $(folder)/pyproject.toml $(folder)/setup.py))
CYTHON := $(shell find $(COMPILED) -name build -prune -o -name '*.pyx' -print 2>/dev/null)
GENERATED := $(CYTHON:.pyx=.c)
NATIVE := $(filter-out $(GENERATED),$(shell find $(COMPILED) -name build -prune -o -type f \
	\( -name '*.pyx' -o -name '*.pxd' -o -name '*.h' -o -name '*.c' -o -name setup.py -o -name pyproject.toml \) -print 2>/dev/null))
NATIVE += $(patsubst %.pxd,%.py,$(wildcard core/src/plugrad/*.pxd core/src/plugrad/*/*.pxd))

.PHONY: help demo test test-full wheels bench docs clean
.DELETE_ON_ERROR:

help:
	@echo "make demo       train a small network on handwritten digits (DEVICE=cpu or numpy); results in demo-output/"
	@echo "make test       lint, types, import contracts, size budget, tests, the core in plain Python, wheels alone, docs, benchmark smoke"
	@echo "make test-full  the same and the slow tests"
	@echo "make wheels     build the wheels of all distributions into dist/"
	@echo "make bench      run the benchmarks quickly and print a table"
	@echo "make docs       build the documentation into docs/_build/html/"
	@echo "make clean      remove everything generated except the environment .venv"
	@echo "Set PYTHON=... to choose the interpreter for .venv (3.11 or newer)."

demo: $(VENV)/.compiled
	@$(VENV)/bin/plugrad demo --device $(DEVICE) --out demo-output

test: $(VENV)/.compiled
	@$(PY) tools/check

test-full: $(VENV)/.compiled
	@$(PY) tools/check --full

wheels: $(VENV)/.compiled
	@$(PY) tools/wheels

bench: $(VENV)/.compiled
	@$(PY) tools/bench

docs: $(VENV)/.compiled
	@echo "==> building the documentation"
	@$(PY) -m sphinx --quiet --fail-on-warning --keep-going -b html docs docs/_build/html
	@echo "    docs/_build/html/index.html"

clean:
	@echo "==> removing generated files (not $(VENV))"
	@rm -rf dist .venvs demo-output docs/_build docs/api/generated benchmarks/.asv .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@rm -rf $(foreach folder,$(PURE) $(COMPILED),$(folder)/build) $(GENERATED)
	@rm -f core/src/plugrad/*.so core/src/plugrad/*/*.so $(VENV)/.compiled
	@find . -path ./$(VENV) -prune -o -path ./.git -prune -o -name __pycache__ -type d -exec rm -rf {} +

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "plugrad needs Python 3.11 or newer, but $(PYTHON) is: $$($(PYTHON) --version 2>&1 | head -n 1). Choose another with: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) lacks the venv module; install it (on Debian and Ubuntu: the package python3-venv)" >&2; exit 1; }
	@$(PYTHON) tools/can_compile
	@echo "==> creating $(VENV) with $$($(PYTHON) --version 2>&1)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.requirements: $(VENV)/.created tools/requirements-dev.txt
	@echo "==> installing the third-party packages of tools/requirements-dev.txt"
	@$(PIP) install -r tools/requirements-dev.txt
	@touch $@

$(VENV)/.installed: $(VENV)/.requirements $(PURE_CONFIG)
	@echo "==> installing the distributions, editable: $(PURE)"
	@$(PIP) install --no-build-isolation --no-deps $(foreach file,$(filter %/pyproject.toml,$(PURE_CONFIG)),-e $(patsubst %/pyproject.toml,%,$(file)))
	@touch $@

$(VENV)/.compiled: $(VENV)/.installed $(NATIVE)
	@$(PY) tools/can_compile
	@echo "==> compiling and installing, editable: $(COMPILED)"
	@$(PIP) install --no-build-isolation --no-deps $(addprefix -e ,$(COMPILED))
	@touch $@
