# Set-up, demonstration and tests in one command each; `make` alone lists them. GNU make 3.81 or newer, sh.
#
#   QT=pyqt5 | pyqt6     Qt binding. Each has an environment of its own (.venv, .venv-pyqt6): two bindings in one clash.
#   PYTHON=python3.12    the interpreter to build the environment from; by default the first of 3.11 or newer.
#   TORCH_INDEX=URL      an index for PyTorch alone, such as https://download.pytorch.org/whl/cpu (small, no CUDA) or
#                        .../whl/cu130; by default pip's own choice, on x86-64 Linux a CUDA build of about 3 GB.
#   PYTEST_ARGS=...      more arguments for pytest.
#   WORKERS=2            processes that run the tests side by side; 0 runs them in one.

QT ?= pyqt5
ifeq ($(filter pyqt5 pyqt6,$(QT)),)
$(error QT is pyqt5 or pyqt6, not "$(QT)")
endif
WORKERS ?= 2
VENV ?= $(if $(filter pyqt6,$(QT)),.venv-pyqt6,.venv)
OTHER_BINDING := $(if $(filter pyqt6,$(QT)),PyQt5,PyQt6)

NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
ifndef PYTHON
PYTHON := $(shell for name in python3 python3.13 python3.12 python3.11 python; do \
    "$$name" -c '$(NEW_ENOUGH)' >/dev/null 2>&1 && { echo "$$name"; break; }; done)
endif

BIN := $(VENV)/bin
RUN := $(BIN)/python -P
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
INSTALL := $(PIP) install -c constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

# On Linux without a display everything that opens a window does so under Xvfb, which Mesa draws in software.
HEADLESS := $(shell [ "$$(uname -s)" = Linux ] && [ -z "$$DISPLAY$$WAYLAND_DISPLAY" ] && echo yes)
STRICT := NAPARI_STRICT_QT=1 NAPARI_ENSURE_PLUGIN_MAIN_THREAD=1 PYTEST_QT_API=$(QT)
ON_SCREEN := QT_API=$(QT) $(if $(HEADLESS),xvfb-run -a -s "-screen 0 1920x1200x24")

# Qt refuses the C locale. Paths of other projects must not shadow what the environment holds.
ifeq ($(HEADLESS)$(LANG)$(LC_ALL)$(LC_CTYPE),yes)
export LC_ALL := C.UTF-8
endif
unexport PYTHONPATH
unexport PYTHONHOME

.DEFAULT_GOAL := help
.PHONY: help demo test lint set-up bench sample-model clean system-packages

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-14s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/.ready-$(QT)-demo ## open napari on the sample clip; without a display, write demo.png
	$(ON_SCREEN) $(RUN) -m napari_hogseg.ui.demo $(if $(HEADLESS),--screenshot demo.png)

test: lint ## every check and every test (what .ci/run runs)
	$(STRICT) QT_API=$(QT) $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(PYTEST_ARGS)

lint: $(VENV)/.ready-$(QT)-test ## ruff, mypy and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

set-up: $(VENV)/.ready-$(QT)-test ## create the environment with everything that the tests need, and run nothing

bench: $(VENV)/.ready-$(QT)-test ## print the tables of benchmarks/
	@set -e; for name in hog metrics video live; do echo "== $$name"; $(ON_SCREEN) $(BIN)/python -m benchmarks.$$name; done

# Frames other than the committed clip's: other seeds. The exported model replaces sample_data/model.
SAMPLE_SEEDS := 101,102,103,104,105,106,107,108,109,110,111,112
sample-model: $(VENV)/.ready-$(QT)-demo ## train the small model of the sample data anew
	rm -rf build/sample-model
	$(RUN) -m sample_data.generator --out build/sample-model/data --seeds $(SAMPLE_SEEDS) --frames-each 40
	$(BIN)/hogseg train sample-unet-s --data build/sample-model/data --out build/sample-model/run
	rm -rf sample_data/model
	$(BIN)/hogseg export build/sample-model/run --out sample_data/model --half

clean: ## remove what was built and cached; the environments stay (rm -r .venv starts anew)
	rm -rf build dist demo.png .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find napari_hogseg training sample_data tests benchmarks docs -type d -name __pycache__ -prune -exec rm -rf {} +

# The environment. A stamp is newer than the two files that decide what is installed, so a second run installs nothing.

system-packages:
	@PYTHON='$(PYTHON)' .ci/system-packages

$(BIN)/pip: | system-packages
	@[ -n "$(PYTHON)" ] || { echo "No Python 3.11 or newer is on the PATH: install one, or name it with PYTHON=" >&2; exit 1; }
	@$(PYTHON) -c '$(NEW_ENOUGH)' || { echo "$(PYTHON) is older than Python 3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The build backend is installed first and pinned like the rest, in place of pip's own unpinned build environment.
define install
	@! $(BIN)/python -c 'import $(OTHER_BINDING)' 2>/dev/null || { \
	    echo "$(VENV) holds $(OTHER_BINDING): remove it (rm -r $(VENV)) or name another with VENV=" >&2; exit 1; }
	$(INSTALL) hatchling editables
	$(INSTALL) --no-build-isolation -e '.[$(1)]'
	@touch $@
endef

$(VENV)/.ready-$(QT)-demo: pyproject.toml constraints.txt | system-packages $(BIN)/pip
	$(call install,$(QT))

$(VENV)/.ready-$(QT)-test: pyproject.toml constraints.txt | system-packages $(BIN)/pip
	$(call install,$(QT)$(comma)test)
	@touch $(VENV)/.ready-$(QT)-demo

comma := ,
