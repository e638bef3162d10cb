# make demo   build an example and show an exchange through it
# make test   everything that CI runs: lint, types, generated files, unit and end-to-end tests, a real Envoy included
# All of it lives in .venv, made from Python 3.11 or later.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

# Tests that build modules and run them in wasmtime and Envoy; two workers suit two cores.
WORKERS ?= 2

.PHONY: demo test lint format generate clean

$(INSTALLED): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or later is needed; make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

demo: $(INSTALLED)
	@mkdir -p build
	$(BIN)/pywasm-filter build examples/add_header/filter.py -o build/add_header.wasm
	$(BIN)/pywasm-filter try build/add_header.wasm /hello -H 'user-agent: demo' -c 'from Python'

test: lint
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --pywasm-host=inprocess --pywasm-host=wasmtime --pywasm-host=envoy

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m proxy_wasm_abi --check
	$(BIN)/python tools/sdk_reference.py --check
	$(BIN)/python tools/rules_reference.py --check
	$(BIN)/python -m tests.conformance.page --check
	$(BIN)/mypy
	$(BIN)/python tools/compile_guest.py

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

generate: $(INSTALLED)
	$(BIN)/python -m proxy_wasm_abi
	$(BIN)/python tools/sdk_reference.py
	$(BIN)/python tools/rules_reference.py
	$(BIN)/python -m tests.conformance.page

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache
