# Each target makes .venv with $(PYTHON) and installs what it needs, so a fresh clone works at once.
PYTHON ?= python3
OUT ?= runs/ablation
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt

.PHONY: ablation lab test check results clean

ablation: .venv/figures   ## train five arms, see which collapse; ARGS=--resume goes on after a stop
	$(BIN)/minivjepa ablate --out $(OUT) $(ARGS)

lab: .venv/notebooks      ## open JupyterLab
	$(BIN)/jupyter lab notebooks

test: .venv/test          ## everything CI runs
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --cov --cov-report=term:skip-covered

check: .venv/test         ## lint, format, types, fast tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not slow"

results: .venv/figures    ## rebuild the tables and figures from results/*.json
	$(BIN)/python -m minivjepa.results

.venv/%: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) -e ".[$*]"
	touch $@

clean:                    ## remove .venv and caches, keep runs
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*
