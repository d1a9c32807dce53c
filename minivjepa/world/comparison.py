"""How often each policy reaches its goal, in one results file.

Read in lesson 12.  All get the same start-goal pairs.  The oracle plans with the cross-entropy method; so do trained world models, unless told otherwise.
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from minivjepa.evaluation.judge import Metrics
from minivjepa.evaluation.statistics import rate_in_words, wilson
from minivjepa.training.config import to_dict
from minivjepa.training.files import read_json, versions, write_json
from minivjepa.training.runs import Run
from minivjepa.world.base_world import World
from minivjepa.world.goal_reaching import Outcome, Policy, Task, controls, pursue
from minivjepa.world.gradient_planner import Gradient
from minivjepa.world.inverse_dynamics import Inverse, policy_of
from minivjepa.world.planner import CEM
from minivjepa.world.world_recipe import WorldConfig
from minivjepa.world.world_trainer import load_world, position_r2, runs_of


@dataclass(frozen=True)
class Comparison:
    """All that a comparison depends on.  checkpoints: a fingerprint for each run, so a retrained run counts as another.

    planner: the oracle's.  by: how models choose actions; None: with the oracle's planner.
    """

    task: Task
    planner: CEM
    checkpoints: tuple[str, ...]
    by: Gradient | Inverse | None = None


def rates_of(outcome: Outcome) -> Metrics:
    """Shares of pairs that reached the goal: all, through the door and within a room, each with its Wilson interval."""
    parts = {"all": torch.ones_like(outcome.through), "door": outcome.through, "room": ~outcome.through}
    found: Metrics = {"reached": outcome.reached.tolist()}
    for name, which in parts.items():
        trials, hits = int(which.sum()), int(outcome.reached[which].sum())
        low, high = wilson(hits, trials) if trials else (0.0, 1.0)
        rate = {"success": hits / trials if trials else None, "low": low, "high": high}
        found[name] = {**rate, "hits": hits, "trials": trials}
    return found


def follow(policy: Policy, title: str, world: World, task: Task, device: torch.device) -> Metrics:
    """Follow a policy on all pairs."""
    start = time.perf_counter()
    outcome = pursue(world, task, policy, device, title)
    return {"seconds": round(time.perf_counter() - start, 1), **rates_of(outcome)}


def compare_run(out: Path, task: Task, by: CEM | Gradient | Inverse, device: torch.device) -> Metrics:
    """One trained world model: how well its latents give the position, and how often it reaches the goal."""
    config, model = load_world(out)
    model.to(device)
    model.requires_grad_(False)
    policy = policy_of(model, config, by, task.seed, device)
    found = follow(policy, f"{config.model} {config.seed}", config.scene, task, device)
    runs = runs_of(config, out)
    return {
        "model": config.model,
        "seed": config.seed,
        "position_r2": position_r2(model, config.scene, config.size, device),
        "parameters": sum(p.numel() for p in model.parameters()),
        "training_seconds": sum(run.history()[-1]["seconds"] for run in runs),
        "final": runs[0].history()[-1],
        "config": to_dict(config),
        **found,
    }


def kept(file: Path, job: Callable[[], Metrics]) -> Metrics:
    """What a finished job left in a file; does the job first if the file is missing."""
    if not file.exists():
        write_json(file, job())
    return dict(read_json(file))


def compare(
    runs: Sequence[Path],
    out: Path,
    task: Task,
    planner: CEM,
    by: Gradient | Inverse | None,
    device: torch.device,
    resume: bool,
    command: str,
) -> dict[str, Any]:
    """The three controls and every run on the same pairs; writes results.json in `out` and returns what it holds.

    Each finished part is kept in its own file, so resuming goes on with the next.  Raises ValueError, before it makes anything,
    for unfinished runs, for runs of different worlds, and for a folder with another comparison.
    """
    if len({run.resolve() for run in runs}) < len(runs):
        raise ValueError(f"a run is given twice: {', '.join(map(str, runs))}; give each run once")
    configs = [load_world(run)[0] for run in runs] or [WorldConfig()]
    config, world = configs[0], configs[0].scene
    if any(other.scene != world for other in configs):
        raise ValueError("the runs were trained in different worlds; compare runs of the same world")
    task.draw(world, device)  # refuses a task that this world cannot offer
    checkpoints = tuple(hashlib.sha256(Run(run).checkpoint_file.read_bytes()).hexdigest()[:12] for run in runs)
    files, settings = Run(out, Comparison), Comparison(task, planner, checkpoints, by)
    with files.open(settings, "rooms", resume):
        policies = controls(world, planner, task.seed)
        jobs = {name: partial(follow, policy, name, world, task, device) for name, policy in policies.items()}
        jobs |= {
            f"run-{number}": partial(compare_run, run, task, by or planner, device) for number, run in enumerate(runs)
        }
        found = {name: kept(out / f"{name}.json", job) for name, job in jobs.items()}
    results = {
        "command": command,
        "date": time.strftime("%Y-%m-%d"),
        "versions": versions(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "complete": True,
        "task": to_dict(task),
        "planner": to_dict(planner),
        "by": {"name": type(by or planner).__name__, **to_dict(by or planner)},
        "world": config.world,
        "rooms": to_dict(config.rooms),
        **{name: found[name] for name in policies},
        "models": [found[name] for name in jobs if name not in policies],
    }
    write_json(out / "results.json", results)
    return results


def summary(results: dict[str, Any]) -> list[str]:
    """One line for each control and model: how often it reached the goal."""
    rows = [(name, results[name]) for name in ("random", "straight", "oracle")]
    rows += [(f"{row['model']}, seed {row['seed']}", row) for row in results["models"]]
    lines = []
    for name, row in rows:
        doors = 0 < row["door"]["trials"] < row["all"]["trials"]  # in some worlds all pairs are on two sides of a wall
        part = f"; through the door {rate_in_words(row['door'])}" if doors else ""
        lines.append(f"{name:20} {rate_in_words(row['all'])}{part}")
    return lines
