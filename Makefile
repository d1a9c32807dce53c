# Each target makes .venv with $(PYTHON) and installs what it needs, so a fresh clone works at once.
PYTHON ?= python3
OUT ?= runs/ablation
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt

.PHONY: ablation matrix world worlds pusht world-ablation lab homework notebooks assignments timings test coverage browser check results site speed clean

ablation: .venv/figures   ## train five arms for 1,000 steps, see which collapse; ARGS=--resume goes on after a stop
	$(BIN)/minivjepa ablate --steps 1000 --out $(OUT) $(ARGS)

# arms, variants and the runs of results/plan.md: about a day on two cores; after a stop or a kill they go on where they were; ARGS=--keep counts what results/ holds
matrix: .venv/figures     ## the search for tuned arms, all arms, variants and questions of results/plan.md, then the tables
	$(BIN)/python results/search_arms.py
	$(BIN)/python results/matrix.py $(ARGS)
	$(BIN)/python results/search_moving.py
	test ! -e runs/long/runs/vjepa-10/checkpoint.pt || $(BIN)/python results/keep.py runs/long/runs/vjepa-10
	$(BIN)/python results/pages.py

# who reaches a goal that is a picture: 20 minutes at most on two cores; after a stop or a kill it goes on where it was.
# three models of each kind, an hour: make world WORLD_SEEDS="10 11 12" WORLD_NAME=world_seeds
WORLD_SEEDS ?= 10
WORLD_NAME ?= world
WORLD_RUNS = $(foreach seed,$(WORLD_SEEDS),runs/world/lewm-$(seed) runs/world/vjepa-$(seed) runs/world/untrained-$(seed))
RESUME = $$(test ! -e $(1) || echo --resume)
world: .venv/figures      ## train world models of two rooms, let them plan beside an oracle and random actions, then the tables
	for run in $(WORLD_RUNS); do name=$${run##*/}; \
	  $(BIN)/minivjepa world train --model $${name%-*} --seed $${name##*-} --out $$run $(call RESUME,$$run/config.json) || exit; done
	$(BIN)/minivjepa world plan $(WORLD_RUNS) --out runs/world/plan-$(WORLD_NAME) $(call RESUME,runs/world/plan-$(WORLD_NAME)/config.json)
	cp runs/world/plan-$(WORLD_NAME)/results.json results/$(WORLD_NAME).json
	$(BIN)/python results/keep_world.py world.pt vjepa=runs/world/vjepa-$(firstword $(WORLD_SEEDS)) lewm=runs/world/lewm-$(firstword $(WORLD_SEEDS))
	$(BIN)/python results/pages.py

LAMPS = runs/worlds/rooms-lamps
worlds: .venv/figures     ## encoders, planners and floors in every world: hours on two cores; it goes on where it was; ARGS="rooms-busy" takes some worlds
	$(BIN)/python results/worlds.py $(ARGS)
	test ! -e $(LAMPS)/vjepa-default-10/encoder || $(BIN)/python results/keep_world.py worlds.pt vjepa=$(LAMPS)/vjepa-default-10 lewm=$(LAMPS)/lewm-10
	test ! -e $(LAMPS)/vjepa-default-10/encoder || rm -f results/worlds_imagined.gif
	test ! -e $(LAMPS)/vjepa-default-10/encoder || \
	  $(BIN)/minivjepa imagine $(LAMPS)/lewm-10 $(LAMPS)/vjepa-default-10 --picture results/worlds_imagined.gif --clips 2
	$(BIN)/python results/pages.py

pusht: .venv/figures .venv/pusht     ## encoders and floors in PushT (gym-pusht); it goes on where it was
	$(BIN)/python results/pusht.py
	$(BIN)/python results/pages.py

world-ablation: .venv/figures     ## what prevents collapse in a world model: an hour on two cores; it goes on where it was
	$(BIN)/python results/world_ablation.py
	$(BIN)/python results/pages.py

lab: .venv/notebooks      ## put the lessons into my-course/ and open JupyterLab on the first; what you changed there is kept
	$(BIN)/minivjepa lab

homework: .venv/notebooks ## run your homework as your teacher will: one line an exercise; it fails until all are right
	$(BIN)/minivjepa check $(or $(wildcard my-course/notebooks/homework/hw?.ipynb),$(wildcard notebooks/homework/*.ipynb))

# lessons run in a pytest of their own: their kernels do not start beside tests that start processes themselves
NBVAL := -p minivjepa_course.homework.kernels --nbval-lax --nbval-current-env --nbval-cell-timeout 300 -n 2 --dist loadfile

test: .venv/test          ## every lesson and the homework's solutions from top to bottom, then the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(NBVAL) --ignore=notebooks/homework notebooks $(wildcard teacher/solutions)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --durations=40

coverage: .venv/test      ## the tests again, with the lines that none of them runs; counting them takes twice as long
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --cov --cov-report=term-missing:skip-covered

browser: .venv/browser    ## move every slider and play every toy of the lessons, in the Chromium on PATH
	$(BIN)/python -m pytest -n 2 --dist loadfile --durations=20 tests/browser

notebooks: .venv/test     ## run the lessons' text sources and write their notebooks; NAME=02_masks builds one
	$(BIN)/python notebooks/build.py $(NAME)

assignments: .venv/test   ## rebuild students' notebooks, cases and solutions from teacher/; NAME=hw1 builds one
	$(BIN)/python teacher/build.py $(NAME)

timings: .venv/test       ## run every lesson and print how long it and its longest cell take
	$(BIN)/python notebooks/build.py --timings $(NAME)

check: .venv/test         ## lint, format, types, fast tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m "not slow"

results: .venv/figures    ## rebuild the tables and figures from results/*.json
	$(BIN)/python results/pages.py

site: .venv/site          ## the course as web pages that open from disk: site/index.html
	$(BIN)/python docs/website/make_site.py

speed: .venv/test         ## measure this machine: steps, tricks, data, many runs; then the tables of docs/speed.md; ARGS="--device cuda"
	$(BIN)/python results/speed.py $(ARGS)
	$(BIN)/python results/pages.py

.venv/%: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP) -e ".[$*]"
	touch $@

clean:                    ## remove .venv and caches, keep runs
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage*
