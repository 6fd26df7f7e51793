# A fresh machine needs Python 3.11+ and make only. `make` without a target lists the targets.

.DEFAULT_GOAL := help
.PHONY: help run test check bench messages lock clean
MAKEFLAGS += --no-print-directory

VENV := .venv
BENCH := create
# More processes than cores make the tests that count real time fail now and then.
IN_PARALLEL := --numprocesses=2
BROWSERS_IN_PARALLEL := --numprocesses=2
BIN := $(VENV)/bin
RUN_LOCKS := requirements.txt requirements-embedded.txt
DEV_LOCKS := $(RUN_LOCKS) requirements-dev.txt

# A stamp has the checksum of the files it installed: a checkout changes times, not contents.
key = $(shell cat $(1) | cksum | cut -d ' ' -f 1)
RUN_STAMP := $(VENV)/.run-$(call key,$(RUN_LOCKS))
DEV_STAMP := $(VENV)/.dev-$(call key,$(DEV_LOCKS))

# Removing or upgrading Python breaks the virtual environment that was made by it.
ifneq ($(wildcard $(BIN)/python*),)
ifneq ($(shell $(BIN)/python -c 'print("runs")' 2>/dev/null),runs)
$(shell rm -f $(VENV)/.run-* $(VENV)/.dev-*)
endif
endif

# PYTHON if set, else the first that runs and is new enough: a version manager's shim may exist and fail.
define find_python
	python= ; found= ; \
	for candidate in $(if $(PYTHON),"$(PYTHON)",python3.11 python3 python3.12 python3.13); do \
		version=$$("$$candidate" -c 'import platform; print(platform.python_version())' 2>/dev/null) || continue; \
		if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			python=$$candidate; break; \
		fi; \
		found="$${found:+$$found, }$$version ($$candidate)"; \
	done; \
	if [ -z "$$python" ]; then \
		echo "BioLayer needs Python 3.11 or newer; found $${found:-none}. To use another: make PYTHON=/path/to/python3.11 …" >&2; \
		exit 1; \
	fi; \
	if ! "$$python" -c 'import ensurepip, venv' 2>/dev/null; then \
		echo "$$python ($$version) cannot make virtual environments; on Debian and Ubuntu: apt install python$${version%.*}-venv" >&2; \
		exit 1; \
	fi
endef

# -qq still prints errors. When root installs, PostgreSQL runs as another user, who must be able to read the files.
install = umask 022 && $(BIN)/python -m pip install -qq --disable-pip-version-check --no-input --require-hashes

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(RUN_STAMP) ## Run everything on this machine, with a demo organisation (PORT=8000)
	@exec $(BIN)/python manage.py up $(ARGS)

test: $(DEV_STAMP) ## Run the tests (ARGS="tests/unit -k offer")
	@$(BIN)/python -m pytest $(if $(findstring tests,$(ARGS)),,$(IN_PARALLEL)) $(ARGS)
	@$(if $(ARGS),,exec $(BIN)/python -m pytest tests/browser $(BROWSERS_IN_PARALLEL))

check: $(DEV_STAMP) ## Lint, types, import rules, migrations, generated documents, security
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/python -m mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -W "ignore:Got an error checking" manage.py makemigrations --check --dry-run
	@$(BIN)/python manage.py check
	@$(BIN)/python -m tests.architecture.lint_migrations
	@$(BIN)/python manage.py document --check
	@$(BIN)/bandit --quiet --recursive --configfile pyproject.toml apps biolayer config local manage.py
	@$(BIN)/python -m tests.architecture.audit_packages

bench: $(DEV_STAMP) ## Run a bench (BENCH=create; docs/benches.md lists all)
	@exec $(BIN)/python bench/$(BENCH).py $(ARGS)

messages: $(DEV_STAMP) ## Update the catalogues of translations, and list missing translations
	@$(BIN)/python -m tests.architecture.texts

lock: $(DEV_STAMP) ## Update the lock files of the requirements (ARGS=--upgrade for newer versions)
	@$(call compile,production,requirements.txt)
	@$(call compile,embedded,requirements-embedded.txt)
	@$(call compile,dev,requirements-dev.txt)

compile = $(BIN)/uv pip compile requirements/$(1).in -o $(2) --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" $(ARGS)

clean: ## Remove the virtual environment and the caches; keep .biolayer, your data
	@rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUN_STAMP): 
	@$(find_python); \
	echo "Installing into $(VENV) with Python $$version (once, about a minute)."; \
	umask 022; "$$python" -m venv --clear $(VENV)
	@$(install) $(RUN_LOCKS:%=-r %)
	@touch $@

$(DEV_STAMP): | $(RUN_STAMP)
	@echo "Installing the packages of tests and checks (once, about a minute)."
	@$(install) $(DEV_LOCKS:%=-r %)
	@touch $@
