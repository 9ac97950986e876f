# make setup | demo | test | lint. Each does all that it needs first; everything lands in .venv/.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := CMakeLists.txt package.xml pyproject.toml $(wildcard cmake/* msg/* srv/* launch/* config/*)

# What runs here is whole in itself: its own ROS, on its own domain, seen on this machine only.
unexport AMENT_PREFIX_PATH CMAKE_PREFIX_PATH LD_LIBRARY_PATH PYTHONPATH RMW_IMPLEMENTATION
export ROS_AUTOMATIC_DISCOVERY_RANGE := LOCALHOST
export ROS_DOMAIN_ID := 87

.PHONY: setup demo test lint
.DELETE_ON_ERROR:

setup: $(VENV)/.package

demo: setup
	$(BIN)/sdstrack demo

test: setup $(VENV)/.dev
	$(BIN)/python -m pytest $(ARGS)

lint: setup $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

$(VENV)/.requirements: requirements.txt cmake/check_machine.sh
	sh cmake/check_machine.sh $(PYTHON)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -r requirements.txt
	touch $@

$(VENV)/.package: $(VENV)/.requirements $(SOURCES)
	$(BIN)/python -m pip install --no-build-isolation --no-deps --editable .
	touch $@

$(VENV)/.dev: $(VENV)/.requirements requirements-dev.txt
	$(BIN)/python -m pip install -r requirements-dev.txt
	touch $@
