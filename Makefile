PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: rdma test-smoke test-drivers fuzz chromium prometheus test-drive test-search test-runs test-programs python test-packages soak mutants sensitivity trial run test test-review coverage check bench bench-inspect docs man peer vm fixed test-vm clean

run: $(VENV)/run.stamp
	$(BIN)/fwpages run

# less than two minutes on two cores; the tests start some fifty processes, of which each would compile the package anew
PYTEST := env -u PYTHONDONTWRITEBYTECODE $(BIN)/pytest

test: check
	$(PYTEST) -n auto -m "not whole_review and not many_runs"

# with programs that others wrote: pages in Chromium, and what metrics ship in Prometheus
test-programs: $(VENV)/dev.stamp
	$(PYTEST) tests/chromium tests/prometheus

# our host drives the served device over its socket: every scenario, mode, supplier and fault of the device
test-drive: $(VENV)/dev.stamp
	$(PYTEST) tests/scenario/every_fault_driven.py tests/cli/drive_killed.py -n auto

# laws that are tried on many runs, traces and searches
test-runs: $(VENV)/dev.stamp
	$(PYTEST) -n auto -m "many_runs and not whole_review"

# what the whole review says, against docs/review.md and the pinned verdicts: every question, design and assumption
test-review: $(VENV)/dev.stamp
	$(PYTEST) -n auto -m whole_review

# searches that are interrupted, killed and lose a worker, as processes of their own
test-search: $(VENV)/dev.stamp
	$(PYTEST) tests/explore/search_killed.py

# which lines and branches no test runs: the plain suite, at twice its time
coverage: $(VENV)/dev.stamp
	$(PYTEST) -n auto --cov --cov-report=term:skip-covered

check: $(VENV)/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# a million page requests with faults; SOAK="--minutes 5 --seed 77" for another
soak: $(VENV)/dev.stamp
	$(BIN)/python -m tests.soak $(SOAK)

# both ends of a vfio-user socket under attack, so many seconds each; FUZZ="--seed 2 --only client" for another
SECONDS := 60
fuzz: $(VENV)/dev.stamp
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS) $(FUZZ)

# break a copy of the sources in 200 places, one at a time; MUTANTS="--seed 2 --room host" for others
mutants: $(VENV)/mutants.stamp
	$(BIN)/python -m tests.mutants $(MUTANTS)

# break a copy of host/ in 100 places, one at a time, and ask the worlds; SENSITIVITY="--seed 2 --mutants 50" for others
sensitivity: $(VENV)/mutants.stamp
	$(BIN)/python -m tests.sensitivity $(SENSITIVITY)

# what a page costs, beside Linux's own code where it can be built; BENCH="--case ledger --json"
bench: $(VENV)/dev.stamp
	-@$(MAKE) -s peer
	$(BIN)/python -m bench $(BENCH)

# what inspect costs on a core with 8 million pages; it fails above 30 s or 500 MB
bench-inspect: $(VENV)/dev.stamp
	PYTHONPATH=. $(BIN)/python bench/inspect_core.py

# Linux's own page allocator, to compare with: in a scratch folder, fetched and built once
peer:
	@tests/linux/peer.sh build/linux-pagealloc

# Prometheus and promtool, from Debian's package, under build/prometheus: they check what fwpages metrics ships
prometheus:
	@tests/prometheus/fetch.sh

# drivers that others wrote, on a served device: tinygrad's, from its package
test-drivers: $(VENV)/drivers.stamp
	$(BIN)/pytest tests/drivers

# rdma-core's driver with its headers, loader and C library, from Debian's packages, under build/rdma: with it, make
# test-vm drives a served device by it
rdma:
	@tests/vm/rdma/fetch.sh

# the newest Python of Debian, under build/python: packages are tried on it too
python:
	@tests/packages/fetch.sh

# the source package and the wheel: complete, and of use where they are installed, on this Python and on the newest
test-packages: $(VENV)/packages.stamp
	$(BIN)/pytest tests/packages

# Chromium without a window, from Debian's package, under build/chromium: the tests open reports in it
chromium:
	@tests/chromium/fetch.sh

# QEMU, three kernels and their initramfs, from Debian packages, under build/vm: what is missing is fetched
vm: $(VENV)/dev.stamp
	@vm/build.sh

# the newest kernel's modules with a corrected mlx5_core, for `fwpages trial`: build/vm/fixed/modules; FIXES="give-bounds"
FIXES := give-bounds give-kept take-bounds take-progress
fixed: vm
	@vm/fixed.sh $(FIXES)

# an unmodified Linux driver on our firmware, in virtual machines without KVM, three at a time on two processors, as some wait; VMTESTS="-n 0 -k iommu"
test-vm: $(VENV)/dev.stamp
	@if [ -z "$$FWPAGES_QEMU$$FWPAGES_KERNEL" ]; then vm/build.sh; fi
	$(PYTEST) tests/vm -n 3 --dist worksteal --durations 20 $(VMTESTS)

# the smoke set of a campaign on the newest kernel, by docs/baselines: four minutes on two cores, without KVM
test-smoke: $(VENV)/dev.stamp
	@vm/build.sh
	$(PYTEST) tests/smoke

# every row on the kernels of make vm, an hour or two each without KVM, for docs/trial.md; TRIAL="--smoke" for fewer
trial: $(VENV)/dev.stamp
	@vm/build.sh
	rm -rf build/trial
	@for kernel in new old; do \
		$(BIN)/fwpages trial --debian $$kernel -o build/trial/$$kernel $(TRIAL); code=$$?; \
		case $$code in 0|1|4) ;; *) exit $$code ;; esac; \
	done

# the manual pages in man/, from the commands' help
man: $(VENV)/dev.stamp
	$(BIN)/python docs/make_man.py

# the site in build/docs, and whether its readers find in it what they look for
docs: $(VENV)/docs.stamp $(VENV)/dev.stamp
	$(BIN)/sphinx-build -W -q -b html docs build/docs
	$(BIN)/pytest tests/built_docs

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "fwpages needs Python 3.11 or newer: make PYTHON=python3.x"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/run.stamp: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/dev.stamp: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

$(VENV)/docs.stamp: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	@touch $@

$(VENV)/drivers.stamp: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,drivers]'
	@touch $@

$(VENV)/packages.stamp: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,packages]'
	@touch $@

$(VENV)/mutants.stamp: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,mutants]'
	@touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage build dist
