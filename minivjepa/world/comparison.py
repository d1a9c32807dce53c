"""How often each way of choosing actions reaches its goal, in one results file.

Read in lesson 12.  All meet the same start-goal pairs with the same planner: an oracle (the ceiling) and any number of trained world
models.  Two controls do not plan: random actions (the floor), and walking straight at the goal, which needs no world model.
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from minivjepa.evaluation.judge import Metrics
from minivjepa.evaluation.statistics import rate_in_words, wilson
from minivjepa.training.config import to_dict
from minivjepa.training.files import check_new, read_json, versions, write_json
from minivjepa.training.runs import Run
from minivjepa.world.goal_reaching import Costs, Outcome, Task, oracle_costs, picture_costs, pursue
from minivjepa.world.planner import CEM
from minivjepa.world.rooms import Rooms
from minivjepa.world.world_trainer import load_world, position_r2, runs_of

FLOOR, STRAIGHT, CEILING = "random", "straight", "oracle"


def open_folder(out: Path, task: Task, planner: CEM, runs: Sequence[Path], resume: bool) -> None:
    """Prepare the folder of a comparison.  Raises ValueError for one that is used, or under resume for one that is of another.

    A run is known by its checkpoint, so that one which was trained again in the same folder is another.
    """
    file = out / "comparison.json"
    prints = [hashlib.sha256(Run(run).checkpoint_file.read_bytes()).hexdigest() for run in runs]
    settings = {"task": to_dict(task), "planner": to_dict(planner), "checkpoints": prints}
    if not resume:
        check_new(out)
        out.mkdir(parents=True, exist_ok=True)
        write_json(file, settings)
    elif not file.exists():
        raise ValueError(f"nothing to resume in {out}: it holds no comparison.json; start without --resume")
    elif read_json(file) != settings:
        raise ValueError(
            f"{out} holds another comparison; resume with the runs and options that it was started with, none of them trained again"
        )


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


def attempt(
    rooms: Rooms, task: Task, planner: CEM, costs: Costs | None, name: str, device: torch.device, straight: bool = False
) -> Metrics:
    """Let one of them try all pairs, with a progress bar over the steps."""
    start = time.perf_counter()
    with tqdm(total=task.steps, desc=name, unit="step") as bar:

        def moved(step: int) -> None:
            bar.update(1)

        outcome = pursue(rooms, task, planner, costs, device, moved, straight)
    return judge_outcome(outcome, time.perf_counter() - start)


def judge_run(out: Path, task: Task, planner: CEM, device: torch.device) -> Metrics:
    """One trained world model: what its latents know, and how often it reaches the goal."""
    config, model = load_world(out)
    model.to(device)
    costs = picture_costs(model, config.rooms, config.size, config.size)
    found = attempt(config.rooms, task, planner, costs, f"{config.model} {config.seed}", device)
    runs = runs_of(config, out)
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
    """Floor, straight walk, ceiling and every run on the same pairs; leaves results.json in `out` and returns what it holds.

    What is finished is kept in a file of its own, so that resuming goes on with the next.  Raises ValueError for runs that
    are not finished or of different worlds, before anything is made.
    """
    if len({run.resolve() for run in runs}) < len(runs):
        raise ValueError(f"a run is given twice: {', '.join(map(str, runs))}")
    worlds = [load_world(run)[0].rooms for run in runs]
    rooms = worlds[0] if worlds else Rooms()
    if any(world != rooms for world in worlds):
        raise ValueError("the runs were trained in different rooms; compare those of one world")
    task.draw(rooms, device)  # refuses a task that these rooms do not have
    open_folder(out, task, planner, runs, resume)
    jobs: dict[str, Callable[[], Metrics]] = {
        FLOOR: lambda: attempt(rooms, task, planner, None, FLOOR, device),
        STRAIGHT: lambda: attempt(rooms, task, planner, None, STRAIGHT, device, straight=True),
        CEILING: lambda: attempt(rooms, task, planner, oracle_costs(rooms), CEILING, device),
    }
    jobs |= {f"run-{number}": partial(judge_run, run, task, planner, device) for number, run in enumerate(runs)}
    for name, job in jobs.items():
        if not (out / f"{name}.json").exists():
            write_json(out / f"{name}.json", job())
    found = {name: read_part(out / f"{name}.json") for name in jobs}
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
        STRAIGHT: found[STRAIGHT],
        CEILING: found[CEILING],
        "models": [found[name] for name in jobs if name.startswith("run-")],
    }
    write_json(out / "results.json", results)
    return results


def read_part(file: Path) -> Metrics:
    """What one of them reached, as it was kept.  Raises ValueError for a file that was damaged."""
    found = read_json(file)
    if not isinstance(found, dict) or not {"all", "door", "room", "reached"} <= set(found):
        raise ValueError(f"{file} is damaged; delete it, then run the same command with --resume")
    return found


def summary(results: dict[str, Any]) -> list[str]:
    """One line for each: how often it reached the goal."""
    rows = [(name, results[name]) for name in (FLOOR, STRAIGHT, CEILING)]
    rows += [(f"{row['model']}, seed {row['seed']}", row) for row in results["models"]]
    return [
        f"{name:20} {rate_in_words(row['all'])}; through the door {rate_in_words(row['door'])}" for name, row in rows
    ]
