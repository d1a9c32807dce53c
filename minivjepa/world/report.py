"""How often each way of choosing actions reaches its goal, in one results file.

Read in lesson 12.  All meet the same start-goal pairs with the same planner: an oracle (the ceiling), random actions (the floor)
and any number of trained world models.
"""

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from minivjepa.ablation import versions
from minivjepa.config import to_dict
from minivjepa.evaluation import Metrics, rate_in_words, wilson
from minivjepa.runs import Run, check_new, read_json, write_json
from minivjepa.world.planner import CEM
from minivjepa.world.pursuit import Costs, Outcome, Task, oracle_costs, picture_costs, pursue
from minivjepa.world.recipe import WorldConfig
from minivjepa.world.rooms import Rooms
from minivjepa.world.training import encoder_run, load_world, position_r2

FLOOR, CEILING = "random", "oracle"


def open_folder(out: Path, task: Task, planner: CEM, runs: list[str], resume: bool) -> None:
    """Prepare the folder of a comparison.  Raises ValueError for one that is used, or under resume for one that is of another."""
    file = out / "comparison.json"
    settings = {"task": to_dict(task), "planner": to_dict(planner), "runs": runs}
    if not resume:
        check_new(out)
        out.mkdir(parents=True, exist_ok=True)
        write_json(file, settings)
    elif not file.exists():
        raise ValueError(f"nothing to resume in {out}: it holds no comparison.json; start without --resume")
    elif read_json(file) != settings:
        raise ValueError(f"{out} holds another comparison; resume with the runs and options that it was started with")


def judge_outcome(outcome: Outcome, seconds: float) -> Metrics:
    """Shares of pairs reached, of all and of those through the door and within a room, each with its Wilson interval."""
    parts = {"all": torch.ones_like(outcome.through), "door": outcome.through, "room": ~outcome.through}
    found: Metrics = {"seconds": round(seconds, 1), "reached": outcome.reached.tolist()}
    for name, which in parts.items():
        trials, hits = int(which.sum()), int(outcome.reached[which].sum())
        low, high = wilson(hits, trials) if trials else (0.0, 1.0)
        found[name] = {
            "success": hits / trials if trials else None,
            "low": low,
            "high": high,
            "hits": hits,
            "trials": trials,
        }
    return found


def attempt(rooms: Rooms, task: Task, planner: CEM, costs: Costs | None, name: str, device: torch.device) -> Metrics:
    """Let one of them try all pairs, with a progress bar over the steps."""
    start = time.perf_counter()
    with tqdm(total=task.steps, desc=name, unit="step") as bar:

        def moved(step: int) -> None:
            bar.update(1)

        outcome = pursue(rooms, task, planner, costs, device, moved)
    return judge_outcome(outcome, time.perf_counter() - start)


def judge_run(out: Path, task: Task, planner: CEM, device: torch.device) -> Metrics:
    """One trained world model: what its latents know, and how often it reaches the goal."""
    config, model = load_world(out)
    model.to(device)
    costs = picture_costs(model, config.rooms, config.size, config.size)
    found = attempt(config.rooms, task, planner, costs, f"{config.model} {config.seed}", device)
    runs = [Run(out, WorldConfig)] + ([encoder_run(out)] if config.model == "vjepa" else [])
    return {
        "model": config.model,
        "seed": config.seed,
        "position_r2": position_r2(model, config.rooms, config.size, device),
        "parameters": sum(p.numel() for p in model.parameters()),
        "training_seconds": sum(run.history()[-1]["seconds"] for run in runs),
        "final": runs[0].history()[-1],
        "config": to_dict(config),
        **found,
    }


def compare(
    runs: Sequence[Path], out: Path, task: Task, planner: CEM, device: torch.device, resume: bool, command: str
) -> dict[str, Any]:
    """Floor, ceiling and every run on the same pairs; leaves results.json in `out` and returns what it holds.

    What is finished is kept in a file of its own, so that resuming goes on with the next.  Raises ValueError for runs that
    are not finished or of different worlds, before anything is made.
    """
    worlds = [load_world(run)[0].rooms for run in runs]
    rooms = worlds[0] if worlds else Rooms()
    if any(world != rooms for world in worlds):
        raise ValueError("the runs were trained in different rooms; compare those of one world")
    open_folder(out, task, planner, [str(run) for run in runs], resume)
    jobs: dict[str, Callable[[], Metrics]] = {
        FLOOR: lambda: attempt(rooms, task, planner, None, FLOOR, device),
        CEILING: lambda: attempt(rooms, task, planner, oracle_costs(rooms), CEILING, device),
    }
    jobs |= {f"run-{number}": partial(judge_run, run, task, planner, device) for number, run in enumerate(runs)}
    for name, job in jobs.items():
        if not (out / f"{name}.json").exists():
            write_json(out / f"{name}.json", job())
    found = {name: read_json(out / f"{name}.json") for name in jobs}
    results = {
        "command": command,
        "date": time.strftime("%Y-%m-%d"),
        "versions": versions(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "complete": True,
        "task": to_dict(task),
        "planner": to_dict(planner),
        "rooms": to_dict(rooms),
        FLOOR: found[FLOOR],
        CEILING: found[CEILING],
        "models": [found[name] for name in jobs if name not in (FLOOR, CEILING)],
    }
    write_json(out / "results.json", results)
    return results


def summary(results: dict[str, Any]) -> list[str]:
    """One line for each: how often it reached the goal."""
    rows = [(FLOOR, results[FLOOR]), (CEILING, results[CEILING])]
    rows += [(f"{row['model']}, seed {row['seed']}", row) for row in results["models"]]
    return [
        f"{name:20} {rate_in_words(row['all'])}; through the door {rate_in_words(row['door'])}" for name, row in rows
    ]
