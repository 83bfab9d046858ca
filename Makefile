# Every target does its own set-up. A clone needs Python 3.11 or newer (with venv and pip), git and make.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

VENV := .venv
BIN := $(VENV)/bin
# A source archive runs code while it installs: wheels only.
PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# A file's tests stay with one worker, which starts the file's servers once.
TEST_WORKERS ?= 2
TESTS ?= tests

.PHONY: help
help:  ## Show this list
	@grep -E '^[a-z-]+:.*## ' $(firstword $(MAKEFILE_LIST)) | sort | sed -E 's/^([a-z-]+):.*## (.*)/\1\t\2/' \
		| while IFS=$$'\t' read -r name text; do printf '  make %-18s %s\n' "$$name" "$$text"; done

.PHONY: setup
setup: $(VENV)/.installed  ## Make .venv from the hash-pinned lock; again when the lock changes

# Made anew, so that nothing stays behind that the lock no longer names.
$(VENV)/.locked: requirements-dev.lock
	@for python in python3 python3.13 python3.12 python3.11; do \
		if $$python -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
		then found=$$python; break; fi; \
	done; \
	if [ -z "$${found:-}" ]; then echo 'Python 3.11 or newer with venv and pip is needed' >&2; exit 1; fi; \
	echo "Installing into $(VENV) with $$($$found --version), about a minute"; \
	$$found -m venv --clear $(VENV)
	@$(PIP_INSTALL) --require-hashes --only-binary=:all: --requirement requirements-dev.lock
	@touch $@

$(VENV)/.installed: $(VENV)/.locked pyproject.toml
	@$(PIP_INSTALL) --no-deps --no-build-isolation --no-index --editable .
	@touch $@

.PHONY: demo
demo: setup  ## Play an exchange: nine states, a hub and an auditor, all on this machine
	@$(BIN)/barid demo

.PHONY: test
test: setup setup-image-tools setup-bench-tools setup-fault-tools setup-token-tools setup-interop-tools  ## Run every test; the last line says what was skipped and why
	@$(BIN)/python -m pytest -n $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder -q $(TESTS)

.PHONY: soak
soak: setup setup-fault-tools  ## Kill, cut and restore for hours: 300 kills, 1,000 histories, and docs/soak.md
	@$(BIN)/python -m tests.faults.soak

.PHONY: check
check: setup  ## Judge the code without running it: style, types, imports, Dockerfile, schemas
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/hadolint Dockerfile
	$(BIN)/python -m schemas.publish --check
	$(BIN)/python -m broker.cli.openapi --check
	$(BIN)/python -m broker.cli.document --check

.PHONY: format
format: setup  ## Rewrite the code as `make check` wants it
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: bench
bench: setup setup-bench-tools  ## Measure for ten minutes: each figure beside its bar, and docs/performance.md
	@$(BIN)/python -m tests.bench

.PHONY: bench-large
bench-large: setup  ## Generate a log of a million entries, audit it, prove from it: docs/performance-large.md
	@$(BIN)/python -m tests.bench.large

# The locks come from the public registry alone, whatever else this machine's pip is told to look at.
PIP_COMPILE := env -u PIP_EXTRA_INDEX_URL -u PIP_FIND_LINKS -u PIP_CONSTRAINT PIP_CONFIG_FILE=/dev/null \
	CUSTOM_COMPILE_COMMAND='make lock' $(BIN)/python -m piptools compile --quiet \
	--generate-hashes --strip-extras --allow-unsafe --no-emit-options \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host \
	--constraint requirements.constraints

.PHONY: lock
lock: setup  ## Write the locks anew from pyproject.toml (UPGRADE=--upgrade takes newer releases)
	$(PIP_COMPILE) $(UPGRADE) --output-file requirements.lock pyproject.toml
	$(PIP_COMPILE) $(UPGRADE) --only-build-deps --build-deps-for wheel \
		--output-file requirements-build.lock pyproject.toml
	$(PIP_COMPILE) $(UPGRADE) --constraint requirements.lock --constraint requirements-build.lock --extra dev \
		--output-file requirements-dev.lock pyproject.toml

WHEELHOUSE := dist/wheelhouse

# What a closed network needs in one folder: every pinned wheel for this Python and this kind of machine, our
# own, the lock with our own hash behind it, and what installs them.
.PHONY: wheelhouse
wheelhouse: setup  ## Gather all that an installation without a network needs, in dist/wheelhouse
	@rm -rf $(WHEELHOUSE) build && mkdir -p $(WHEELHOUSE)
	@$(BIN)/python -m pip download --quiet --disable-pip-version-check --require-hashes \
		--only-binary=:all: --dest $(WHEELHOUSE) --requirement requirements.lock
	@$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --no-deps --no-build-isolation \
		--no-index --wheel-dir $(WHEELHOUSE) .
	@rm -rf build
	@cd $(WHEELHOUSE) && own=$$(echo barid_broker-*.whl) && version=$${own#*-} \
		&& { cat $(CURDIR)/requirements.lock; printf 'barid-broker==%s --hash=sha256:%s\n' \
			"$${version%%-*}" "$$(sha256sum "$$own" | cut -d' ' -f1)"; } > requirements.txt \
		&& cp $(CURDIR)/deploy/install.sh . && cp -r $(CURDIR)/deploy/systemd . \
		&& find . -type f ! -name SHA256SUMS | sort | xargs sha256sum > SHA256SUMS
	@echo "$(WHEELHOUSE): $$(ls $(WHEELHOUSE)/*.whl | wc -l) wheels; there: sh install.sh"

# $(call apt_install,commands,packages). Elsewhere than as root on Debian nothing is installed: the tests that
# need a command skip and say so, and `make bench` says that wrk is needed.
APT_INSTALL := DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --quiet --no-install-recommends
apt_install = if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && ! type $(1) >/dev/null 2>&1; then \
	$(APT_INSTALL) $(2) >/dev/null 2>&1 \
		|| { apt-get update --quiet --quiet && $(APT_INSTALL) $(2) >/dev/null; }; fi

.PHONY: setup-image-tools
setup-image-tools:  ## Install what the tests of image and units need (as root on Debian)
	@$(call apt_install,buildah debootstrap systemd-analyze,buildah debootstrap debian-archive-keyring systemd)

.PHONY: setup-bench-tools
setup-bench-tools:  ## Install the load generator of `make bench` (as root on Debian)
	@$(call apt_install,wrk,wrk)

.PHONY: setup-fault-tools
setup-fault-tools:  ## Install what the tests of failing disks and power cuts need (as root on Debian)
	@$(call apt_install,strace cc,strace gcc libc6-dev)

.PHONY: clean
clean:  ## Remove what was made here, .venv too
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: setup-token-tools
setup-token-tools:  ## Install the token in software that the tests sign with (as root on Debian)
	@$(call apt_install,softhsm2-util,softhsm2)

.PHONY: setup-interop-tools
setup-interop-tools:  ## Install what reads our logs in other people's words (as root on Debian)
	@$(call apt_install,go,golang-go golang-golang-x-mod-dev)
