"""Encoders, planners and floors in every world.  Makes worlds.json: `python results/worlds.py`; if stopped, it goes on where it was.

Two worlds at a time, each on one core.

Read in lesson 12.  Seeds 10 to 12; recipes were chosen on seeds 100 and above and on other pairs (worlds_search.json).  What is cheap and
decides most comes first: floors, then inverse dynamics on every encoder, then the planners that imagine.  ARGS: worlds to run.
"""

import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import torch
from rows import Job, Metrics, begin, fit, run_missing
from scored import Timed
from torch.profiler import ProfilerActivity, profile
from worlds_recipes import ENCODERS, LAMPS_ONLY, clips_of, config_of
from worlds_silent import PAIRS, STEPS, lamps_r2, landscape, longer_training

from minivjepa.training.runs import Run
from minivjepa.training.trainer import Trainer
from minivjepa.world.base_world import World
from minivjepa.world.goal_reaching import Policy, Task, controls, pursue
from minivjepa.world.gradient_planner import Gradient, Planner
from minivjepa.world.inverse_dynamics import Inverse, inverse_error, inverse_policy, policy_of, train_inverse
from minivjepa.world.planner import CEM
from minivjepa.world.world_clips import WorldClips
from minivjepa.world.world_recipe import WorldConfig, pretraining
from minivjepa.world.world_trainer import CPU, WorldNet, WorldTrainer, build_world, position_r2
from minivjepa.world.worlds import TASKS, WORLDS

FILE = Path(__file__).with_suffix(".json")
RUNS = Path("runs") / "worlds"
SEEDS = (10, 11, 12)
PLANNERS: dict[str, Planner] = {"cem": CEM(), "gradient": Gradient()}
INVERSE = Inverse()
UNSEEN = 20_000_000  # seed of clips on which inverse dynamics is judged
RADII, BUDGETS, HORIZONS = (0.04, 0.06, 0.08, 0.12, 0.24), (10, 20, 25, 30, 40, 60, 80), (2, 5, 10, 20)


def encoder_of(config: WorldConfig, name: str) -> Any:
    """The encoder that a model freezes, trained once for all that share its recipe; None if it learns nothing."""
    if not name:
        return None
    recipe, run = pretraining(config), Run(RUNS / config.world / f"{name}-{config.seed}-encoder")
    source = WorldClips(recipe.grid, recipe.seed, world=config.scene)
    return fit(Trainer(recipe, source, run, CPU), "rooms").encoder


@cache
def model_of(world: str, encoder: str, seed: int, imagines: bool) -> tuple[WorldConfig, WorldNet]:
    """A world model; if it need not imagine, a frozen encoder's predictor is left as it is."""
    config, recipe = config_of(world, encoder, seed), (ENCODERS | LAMPS_ONLY)[encoder][0]
    model = build_world(config, encoder_of(config, recipe))
    if imagines or config.model == "lewm":
        run = Run(RUNS / world / f"{encoder.replace(', ', '-')}-{seed}", WorldConfig)
        model = fit(WorldTrainer(config, model, clips_of(config, encoder), run, CPU), "rooms")
        if recipe and not (run.out / "encoder").exists():  # where commands look for it
            (run.out / "encoder").symlink_to(Path("..") / f"{recipe}-{seed}-encoder")
    return config, model.eval()


def peak_memory(job: Callable[[], object]) -> int:
    """The most bytes that the tensors of a job held at one time, besides those that were there before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        job()
    now = most = 0
    for event in sorted(found.profiler.kineto_results.events(), key=lambda event: event.start_ns()):
        if event.name() == "[memory]":
            now += event.nbytes()
            most = max(most, now)
    return most


def score(policy: Policy, world: World, task: Task) -> Metrics:
    """Goals reached, and what a decision costs: processor time when all pairs decide together and when one robot does, and memory."""
    timed = Timed(policy)
    found = timed.scored(pursue(world, task, timed, CPU).reached)
    start, goal = (state[:1] for state in task.draw(world, CPU))
    decide = partial(policy, 0, torch.tensor([0]), start, goal)
    memory, began = peak_memory(decide), time.process_time()
    for _ in range(5):
        decide()
    return {
        **found,
        "milliseconds_alone": 1000 * (time.process_time() - began) / 5,
        "mebibytes": memory / 2**20,
    }


def run_floor(world: str, planner: str) -> Metrics:
    """Random actions, a straight walk, or the oracle."""
    scene, task = WORLDS[world], TASKS[world]
    return score(controls(scene, CEM(), task.seed)[planner], scene, task)


def run_inverse(world: str, encoder: str, seed: int) -> Metrics:
    """Inverse dynamics on an encoder's latents."""
    (config, model), task = model_of(world, encoder, seed, False), TASKS[world]
    grid = replace(config.clips, frames=INVERSE.frames)
    source, unseen = WorldClips(grid, seed, world=config.scene), WorldClips(grid, UNSEEN, world=config.scene.unseen)
    inverse, loss = train_inverse(model, source, INVERSE)
    made = {
        "inverse_loss": loss,
        "inverse_error": inverse_error(model, inverse, unseen, 300),
        **lamps_r2(model, config),
    }
    found = score(inverse_policy(model, inverse, config.scene, config.size), config.scene, task)
    return {**made, "position_r2": position_r2(model, config.scene, config.size, CPU), **found}


def run_planner(world: str, encoder: str, seed: int, planner: str) -> Metrics:
    """A planner that imagines with a world model."""
    (config, model), task = model_of(world, encoder, seed, True), TASKS[world]
    model.requires_grad_(False)
    return score(policy_of(model, config, PLANNERS[planner], task.seed, CPU), config.scene, task)


def run_curves(world: str, policy: Policy) -> Metrics:
    """Goals reached for every radius (rows) and budget (columns), from one long walk that stops at the smallest radius."""
    scene, task = WORLDS[world], replace(TASKS[world], radius=RADII[0], steps=BUDGETS[-1])
    outcome = pursue(scene, task, policy, CPU)
    nearest = scene.line(outcome.path, outcome.goal[:, None]).cummin(dim=1).values
    table = [[float((nearest[:, budget] <= radius).float().mean()) for budget in BUDGETS] for radius in RADII]
    return {"radii": list(RADII), "budgets": list(BUDGETS), "table": table}


def run_floor_curves(world: str, planner: str) -> Metrics:
    """Curves of a control."""
    return run_curves(world, controls(WORLDS[world], CEM(), TASKS[world].seed)[planner])


def run_horizon(world: str, planner: str, horizon: int) -> Metrics:
    """The oracle's planner with another horizon."""
    scene, task = WORLDS[world], TASKS[world]
    return score(controls(scene, CEM(horizon=horizon), task.seed)[planner], scene, task)


def run_longer(world: str, encoder: str, seed: int) -> Metrics:
    """A predictor that trains on and on."""
    config = config_of(world, encoder, seed)
    return {"curve": longer_training(config, encoder_of(config, (ENCODERS | LAMPS_ONLY)[encoder][0]), TASKS[world])}


def run_landscape(world: str, encoder: str, seed: int) -> Metrics:
    """Distances in latents and on foot."""
    config, model = model_of(world, encoder, seed, False)
    return landscape(config, model)


def jobs(world: str) -> Iterator[Job]:
    """(list of the results file, what identifies a row, how to compute the rest of it), in order."""
    for planner in ("random", "straight", "oracle"):
        yield "floors", (key := {"world": world, "planner": planner}), partial(run_floor, **key)
        yield "curves", key, partial(run_floor_curves, **key)
    for horizon in HORIZONS:
        key = {"world": world, "planner": "oracle", "horizon": horizon}
        yield "horizons", key, partial(run_horizon, **key)
    for encoder, seed in product(ENCODERS | (LAMPS_ONLY if world == "rooms-lamps" else {}), SEEDS):
        key = {"world": world, "encoder": encoder, "seed": seed}
        yield "rows", {**key, "planner": "inverse dynamics"}, partial(run_inverse, **key)
    for encoder in ("lewm", "vjepa, default", "raw, 128"):
        key = {"world": world, "encoder": encoder, "seed": SEEDS[0]}
        yield "landscapes", key, partial(run_landscape, **key)
    for planner, seed, encoder in product(PLANNERS, SEEDS, ENCODERS):
        key = {"world": world, "encoder": encoder, "seed": seed, "planner": planner}
        yield "rows", key, partial(run_planner, **key)
    for encoder in ("vjepa, default", "raw, 128"):
        yield "longer", (key := {"world": world, "encoder": encoder, "seed": SEEDS[0]}), partial(run_longer, **key)


def run_world(world: str) -> None:
    """Run what the results file lacks of a world."""
    torch.set_num_threads(1)
    run_missing(FILE, jobs(world))


def main() -> None:
    """Run what the results file lacks of some worlds, or of all."""
    worlds = sys.argv[1:] or list(WORLDS)
    if unknown := [world for world in worlds if world not in WORLDS]:
        raise SystemExit(f"unknown worlds {', '.join(unknown)}; choose from {', '.join(WORLDS)}")
    recipes = {
        f"{world}, {encoder}": config_of(world, encoder, 0) for world in WORLDS for encoder in ENCODERS | LAMPS_ONLY
    }
    settings = {
        **recipes,
        **{f"task of {world}": task for world, task in TASKS.items()},
        **PLANNERS,
        "inverse": INVERSE,
        "seeds": [*SEEDS, UNSEEN],
        "curves": [RADII, BUDGETS],
        "longer": [STEPS, PAIRS],
    }
    begin(FILE, settings)
    if len(worlds) == 1:
        return run_world(*worlds)
    with ProcessPoolExecutor(2) as pool:
        list(pool.map(run_world, worlds))


if __name__ == "__main__":
    sys.exit(main())
