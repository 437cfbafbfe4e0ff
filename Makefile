# Covenant: type `make help`.
ARCH ?= edge16
MODEL ?= examples/fashion_dscnn.onnx
INPUT ?= examples/fashion_test.npz
LIMIT ?= 4
SEED ?= 1
TRIES ?= 100
MINUTES ?=
SILICON ?= tiny ecp5
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.covenant-setup
SITE_STAMP := $(VENV)/.covenant-docs
COVENANT := $(BIN)/covenant
export PYTHONDONTWRITEBYTECODE := 1

.DEFAULT_GOAL := help
.PHONY: help setup tools run rtl compile verify test formal lint bench models layers ops backend networks fuzz mutants accuracy silicon reference docs links clean

help: ## this list
	@awk -F':.*## ' '/^[a-z]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  variables: ARCH=$(ARCH) MODEL=$(MODEL) INPUT=$(INPUT) LIMIT=$(LIMIT)"

tools:
	@missing=""; for pair in g++:g++ make:make perl:perl; do \
	  command -v $${pair%%:*} >/dev/null 2>&1 || missing="$$missing $${pair##*:}"; done; \
	if [ -n "$$missing" ]; then \
	  echo "setup: missing programs; on Debian and Ubuntu: apt-get install$$missing" >&2; exit 2; fi
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "setup: $(PYTHON) is older than 3.11; install python3.11 or newer and name it: make PYTHON=python3.12 ..." >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "setup: $(PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 2; }

	@$(PYTHON) -c 'import ctypes, os, sysconfig as s; n = s.get_config_var("INSTSONAME") or ""; \
	  p = [d for d in (os.path.join(s.get_config_var(k) or "", n) for k in ("LIBDIR", "LIBPL")) if n and os.path.exists(d)]; \
	  ctypes.CDLL(p[0] if p else n or "none")' 2>/dev/null || { \
	  echo "setup: $(PYTHON) has no shared libpython, in which cocotb runs; on Debian and Ubuntu: apt-get install" \
	  "$$($(PYTHON) -c 'import sys; print(f"libpython{sys.version_info[0]}.{sys.version_info[1]}")')" >&2; exit 2; }

setup: tools $(STAMP) ## .venv with everything the project needs

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

run: setup ## compile the example, run it on the simulated RTL, show exactness and cycles
	$(COVENANT) run $(MODEL) --arch $(ARCH) --input $(INPUT) --limit $(LIMIT) --on rtl

rtl: setup ## Verilog of ARCH and all that a system needs of it in build/rtl/ARCH
	$(COVENANT) rtl $(ARCH) -o build/rtl/$(ARCH)

compile: setup ## compile MODEL for ARCH into build/
	@mkdir -p build
	$(COVENANT) compile $(MODEL) --arch $(ARCH) -o build/$(basename $(notdir $(MODEL))).$(ARCH).covenant

verify: setup ## co-verification: every example on every architecture, RTL against reference and prediction
	$(COVENANT) verify
	$(BIN)/python -m pytest -q -m "long"

test: setup ## the test suite: pure Python first, then simulators
	$(BIN)/python -m pytest -q -n 2 -m "not sim and not rtl and not long"
	$(BIN)/python -m pytest -q -n 2 -m "sim and not rtl and not long"
	$(BIN)/python -m pytest -q -n 2 --dist loadfile -m "rtl and not long"

formal: setup ## proofs with Yosys and an SMT solver, and of each a fault that it refutes
	$(BIN)/python -m tests.formal

lint: setup ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: setup ## speed, side by side, as ratios; and the cycle figures of the docs
	$(BIN)/python -m covenant.bench

models: setup ## networks of the MLPerf Tiny and ImageNet classes on ARCH's RTL; on edge16 into docs/models.md
	$(COVENANT) models --arch $(ARCH) --on rtl --optimise $(TRIES) --markdown $(if $(filter edge16,$(ARCH)),docs/models.md,build/models.$(ARCH).md)

layers: setup ## docs/layers.md: fourteen layers on the RTL of edge16, mobile16 and dsp, against what their numbers allow at best
	$(COVENANT) layers --on rtl --markdown docs/layers.md

soc: setup ## a RISC-V core in simulation runs ten digits on tiny by the C driver: classes, cycles, what shared memory adds (needs gcc-riscv64-unknown-elf)
	$(BIN)/python -m covenant.soc

accuracy: setup ## docs/accuracy.md: 1,000 Fashion-MNIST images on the functional simulator, 64 on the RTL, against onnxruntime
	$(BIN)/python examples/fashion_accuracy.py --arch $(ARCH) $(if $(filter edge16,$(ARCH)),--markdown docs/accuracy.md)

backend: setup ## docs/onnx_backend.md: onnx's own node tests on the functional simulator
	$(COVENANT) backend-test --markdown docs/onnx_backend.md

networks: setup ## docs/onnx_networks.md: the float networks inside the onnx package, quantised with defaults and run on the functional simulator
	$(COVENANT) quantize-test --markdown docs/onnx_networks.md

ops: setup ## docs/operators.md, the support table, from compiler/front/support.py
	$(COVENANT) ops --markdown > docs/operators.md

silicon: setup ## docs/silicon.md: what open synthesis makes of SILICON, block by block (an hour a machine; kept by content)
	$(COVENANT) synth $(SILICON) --minutes 60 --markdown docs/silicon.md

fuzz: setup ## damaged and forged files of every kind, each refused or run exactly: make fuzz MINUTES=10 SEED=2
	$(COVENANT) fuzz --seed $(SEED) $(if $(MINUTES),--minutes $(MINUTES),--count 2000) --jobs 2

mutants: setup ## faults injected into the sources, one at a time: who notices; the table in build/mutants.md
	$(COVENANT) mutants

reference: setup ## the pages of docs/reference that are made from the sources
	$(BIN)/python -m docs.generate

$(SITE_STAMP): $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[docs]'
	@touch $@

docs: $(SITE_STAMP) ## the documentation site in build/docs: examples executed, links checked, pictures of the report taken where there is Chromium
	$(BIN)/python -m docs.site

links: $(SITE_STAMP) ## links of the documentation that lead out of it (needs the network)
	$(BIN)/python -m docs.site --external

clean: ## remove build/ (keeps .venv)
	rm -rf build
