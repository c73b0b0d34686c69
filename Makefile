# Every task of the project. 'make' alone lists them.
PYTHON ?= python3
# LIGHT=1: 'make run' and 'make demo' without PyTorch, in an environment of their own. FLAVOUR=light: 'make app' likewise.
LIGHT   ?=
FLAVOUR ?= full
VENV   ?= $(if $(LIGHT),.venv-light,.venv)
APPENV ?= $(if $(filter light,$(FLAVOUR)),.venv-app-light,.venv-app)
PEERENV ?= .venv-peers
LOWENV ?= .venv-lowest
DOCSENV ?= .venv-docs
# The build of PyTorch that 'make app' ships and 'make lowest' tries; one for the CPU makes the application small.
APP_TORCH ?= torch

ifeq ($(OS),Windows_NT)
SCRIPTS := Scripts
else
SCRIPTS := bin
endif
BIN := $(VENV)/$(SCRIPTS)
APPBIN := $(APPENV)/$(SCRIPTS)
PEERBIN := $(PEERENV)/$(SCRIPTS)
LOWBIN := $(LOWENV)/$(SCRIPTS)
DOCSBIN := $(DOCSENV)/$(SCRIPTS)

RUN_STAMP := $(VENV)/.installed-run
DEV_STAMP := $(VENV)/.installed-dev
APP_STAMP := $(APPENV)/.installed-app
DOCS_STAMP := $(DOCSENV)/.installed-docs
PEER_STAMP := $(PEERENV)/.installed-peers
PIP_FLAGS := --quiet --disable-pip-version-check
# The versions that the tests passed with; empty takes the newest that pyproject.toml allows.
LOCKED ?= -c requirements.lock

.DEFAULT_GOAL := help
.PHONY: help run demo setup peers lock test coverage snapshots figures explain pictures recordings docs notebook translations soak lint format bench bench-compare app deb notices dist smoke lowest clean models

help:  ## list the tasks
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(firstword $(MAKEFILE_LIST))

# $(call environment,FOLDER): a virtual environment, by a Python that is new enough.
define environment
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
  { echo "Atrous needs Python 3.11 or newer; '$(PYTHON)' is older. Try: make PYTHON=python3.12"; exit 1; }
$(PYTHON) -m venv $(1)
endef

$(BIN)/python:
	$(call environment,$(VENV))

# $(call light,PYTHON): Atrous and what it needs without PyTorch.
define light
$(1) -m pip install $(PIP_FLAGS) $(LOCKED) -r requirements-light.txt
$(1) -m pip install $(PIP_FLAGS) --no-deps -e .
endef

ifdef LIGHT
$(RUN_STAMP): pyproject.toml requirements.lock requirements-light.txt | $(BIN)/python
	@echo "Installing Atrous without PyTorch into $(VENV)"
	$(call light,$(BIN)/python)
	@$(BIN)/python -m tools.packaging.unused
	@touch $@
else
# Without an NVIDIA driver PyTorch for the CPU comes first, where pip can be told so; the rest then finds it there.
$(RUN_STAMP): pyproject.toml requirements.lock | $(BIN)/python
	@echo "Installing Atrous into $(VENV) (PyTorch is large; the first time takes minutes)"
	@build="$$($(BIN)/python tools/torch_build.py)"; test -z "$$build" || \
	  $(BIN)/python -m pip install $(PIP_FLAGS) $(LOCKED) $$build torch || echo "PyTorch for the CPU cannot be fetched; taking the usual one"
	$(BIN)/python -m pip install $(PIP_FLAGS) $(LOCKED) -e .
	@touch $@
endif

$(DEV_STAMP): pyproject.toml requirements.lock | $(BIN)/python
	@echo "Installing Atrous and its test tools into $(VENV) (PyTorch is large; the first time takes minutes)"
	$(BIN)/python -m pip install $(PIP_FLAGS) $(LOCKED) -e '.[tests]'
	@touch $@ $(RUN_STAMP)

# Other people's tools that pin or bring what Atrous must not have. Tests call them as processes (tests/peers).
$(PEER_STAMP): tests/peers/requirements.txt
	$(call environment,$(PEERENV))
	$(PEERBIN)/python -m pip install $(PIP_FLAGS) -r $<
	@touch $@

run: $(RUN_STAMP)  ## install, then open the window on the sample project; LIGHT=1 installs it without PyTorch
	@$(BIN)/python -m app --sample

demo: $(RUN_STAMP)  ## the same job without a window: masks, figures and a picture in out/
	@$(BIN)/python -m app demo

setup: $(DEV_STAMP)  ## install what the tests and linters need, every extra that a test uses included

peers: $(PEER_STAMP)  ## install other tools that read our exports, in an environment of their own

lock: $(DEV_STAMP)  ## write the versions of this environment to requirements.lock, once the tests passed with them
	@$(BIN)/python -m tools.lock
	@$(BIN)/python -m tools.light

models: $(DEV_STAMP)  ## write the graphs again that run the bundled models without PyTorch
	@$(BIN)/python -m tools.graphs

test: $(DEV_STAMP)  ## run the tests on every core; ARGS='-k brush' passes options on
	@$(BIN)/python -m pytest -n logical --dist loadfile --no-loadscope-reorder $(ARGS)

coverage: $(DEV_STAMP)  ## run the tests and compare the covered statements with tests/coverage.json; FLOOR=--write raises its figures
	@mkdir -p out
	@$(BIN)/python -m pytest -n logical --dist loadfile --no-loadscope-reorder --cov=deeplab_core --cov=app.state --cov-report=json:out/coverage.json $(ARGS)
	@$(BIN)/python -m tools.coverage_floor out/coverage.json $(FLOOR)

snapshots: $(DEV_STAMP)  ## take the pictures again that the tests compare the main screens with
	@QT_QPA_PLATFORM=offscreen $(BIN)/python -m pytest -q tests/gui/shell/test_snapshots.py --update-snapshots
	@git status --short tests/gui/snapshots

figures: $(DEV_STAMP)  ## draw the figures of the papers again: docs/figures.md
	@$(BIN)/python -m tools.figure_gallery

pictures: $(DEV_STAMP)  ## take the pictures of the window for README and docs again; only those with other pixels are replaced
	@$(BIN)/python -m tools.pictures $(ARGS)

explain: $(DEV_STAMP)  ## measure the bundled networks again: ablations, study, two minutes; ARGS='--only rooms --rooms DIR'
	@$(BIN)/python -m tools.ablations $(ARGS)
	@$(BIN)/python -m tools.studies.chairs_and_sofas
	@QT_QPA_PLATFORM=offscreen $(BIN)/python -m tools.two_minutes

recordings: $(DEV_STAMP)  ## record the correction tools again for docs/correcting.md
	@QT_QPA_PLATFORM=offscreen $(BIN)/python -m tools.recordings -o docs/images/recordings

$(DOCS_STAMP): requirements-docs.txt
	$(call environment,$(DOCSENV))
	$(DOCSBIN)/python -m pip install $(PIP_FLAGS) -r $<
	@touch $@

docs: $(DOCS_STAMP)  ## build the documentation as a site into out/site, in an environment of its own
	@NO_MKDOCS_2_WARNING=1 PYTHONPATH=. $(DOCSBIN)/mkdocs build --strict --quiet
	@echo "out/site/index.html"

notebook: $(DEV_STAMP)  ## run docs/notebook.ipynb again and keep its outputs
	@$(BIN)/python -m tools.notebook

translations: $(DEV_STAMP)  ## collect the texts of the window into translations/*.ts, and list what is not translated
	@$(BIN)/python -m tools.translations

soak: $(DEV_STAMP)  ## crash points, power cuts, torn files, hostile folders, random actions: all of what the tests try a part of; ARGS='--only window --actions 500'
	@QT_QPA_PLATFORM=offscreen $(BIN)/python -m tests.soak --write $(ARGS)

lint: $(DEV_STAMP)  ## ruff, mypy and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(DEV_STAMP)  ## sort imports, apply ruff's safe fixes and lay the code out
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(DEV_STAMP)  ## print the measurements of benchmarks/
	@for script in benchmarks/[a-z]*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

bench-compare: $(DEV_STAMP)  ## measure another commit and this tree in turn: make bench-compare BASE=commit [CASES="..."]
	$(BIN)/python -m tools.bench_compare $(BASE) $(CASES)

$(APP_STAMP): pyproject.toml requirements.lock requirements-light.txt
	$(call environment,$(APPENV))
ifeq ($(FLAVOUR),light)
	$(call light,$(APPBIN)/python)
	$(APPBIN)/python -m pip install $(PIP_FLAGS) 'pyinstaller>=6.11' packaging
else
	$(APPBIN)/python -m pip install $(PIP_FLAGS) $(LOCKED) '$(APP_TORCH)' -e . 'pyinstaller>=6.11'
endif
	@touch $@

app: $(APP_STAMP)  ## build the one-folder application into dist/; FLAVOUR=light builds it without PyTorch
	$(APPBIN)/pyinstaller --noconfirm --log-level WARN pyinstaller.spec

deb: $(APP_STAMP)  ## make a Debian package of the built application; ARGS='--compression zstd' is faster
	@$(APPBIN)/python -m tools.packaging.deb $(ARGS)

notices: $(RUN_STAMP)  ## print the licences of all packages that the application contains
	@$(BIN)/python -m tools.notices

dist: $(DEV_STAMP)  ## build the wheel and the source distribution into dist/
	@$(BIN)/python -m tools.packaging.dist

smoke: $(APP_STAMP)  ## run the built application on one sample image, without a screen
	@$(APPBIN)/python tools/packaging/smoke.py

lowest:  ## run the program on the lowest versions that pyproject.toml declares, PyTorch aside
	$(call environment,$(LOWENV))
	$(PYTHON) tools/lowest.py > $(LOWENV)/constraints.txt
	$(LOWBIN)/python -m pip install $(PIP_FLAGS) '$(APP_TORCH)' -e . -c $(LOWENV)/constraints.txt
	$(LOWBIN)/python -m pip check
	@$(LOWBIN)/python -m app doctor
	@$(LOWBIN)/python -m app demo -o $(LOWENV)/out
	@echo "A bad argument must end with status 2:"
	@$(LOWBIN)/python -m app predict no-such-folder; test $$? -eq 2

clean:  ## remove what the tasks above built, except the environments
	rm -rf build dist out .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
