"""Arms times seeds into one results file.

Read in lesson 7.  Every run has its own folder under DIR/runs, so a killed ablation goes on where it was, and any
scheduler can run the parts: `--plan` prints their commands.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from minivjepa.data.protocol import Budget
from minivjepa.evaluation.controls import CONTROLS
from minivjepa.evaluation.metrics import METRICS
from minivjepa.experiments.jobs import Job, lessons
from minivjepa.training.arms import with_arm
from minivjepa.training.config import Config, changed_fields, to_dict
from minivjepa.training.files import read_json, versions


@dataclass(frozen=True)
class Ablation:
    """What all runs of an ablation share.  preset: decides the budget of the probes, too."""

    preset: str
    config: Config


def plan_jobs(arms: Sequence[str], seeds: Sequence[int], config: Config, out: Path) -> list[Job]:
    """All jobs; vjepa and neither first, so that collapse shows early, and the longest control before the short ones.

    Raises ValueError for an unknown arm, for one that is given twice or taught by itself, or if there are no arms or seeds.
    """
    if not arms or not seeds:
        raise ValueError("an ablation needs at least one arm and one seed; give --arms vjepa,neither --seeds 0,1")
    configs = {arm: with_arm(config, arm) for arm in arms}
    if len(set(arms)) < len(arms) or len(set(seeds)) < len(seeds):
        raise ValueError(f"an arm or seed is given twice: --arms {','.join(arms)} --seeds {','.join(map(str, seeds))}")
    for arm, found in configs.items():
        if found.teacher == arm:
            raise ValueError(f"{arm} would be taught by itself; leave it out of --arms, or give another --teacher")
        if found.teacher and found.teacher not in arms and not (out / "runs" / f"{found.teacher}-{seeds[0]}").exists():
            raise ValueError(f"{arm} is taught by {found.teacher}; add {found.teacher} to --arms")
    telling = sorted(arms, key=lambda arm: arm not in ("vjepa", "neither"))
    parts = [("arm", arm, configs[arm], seed) for seed in seeds for arm in telling]
    parts += [("control", name, config, seeds[0]) for name in reversed(CONTROLS)]
    for seed in seeds:
        parts.append(("untrained", "untrained", config, seed))
        if seed != seeds[0]:  # probes of the pixels, repeated, so that they too have an interval
            parts.append(("control", "raw_pixels", config, seed))
    jobs = []
    for kind, name, base, seed in parts:
        folder = f"control-{name}-{seed}" if kind == "control" else f"{name}-{seed}"
        jobs.append(Job(kind, name, replace(base, seed=seed), out / "runs" / folder))
    return sorted(jobs, key=lambda job: lessons(job.config))  # what needs a teacher comes last


def flags(values: dict[str, Any], prefix: str = "--") -> dict[str, Any]:
    """A config as command-line options: {"grid": {"frames": 8}} -> {"--grid.frames": 8}."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        option = prefix + name.replace("_", "-")
        found |= flags(value, option + ".") if isinstance(value, dict) else {option: value}
    return found


def train_command(job: Job, preset: str, base: Config, device: str) -> list[str]:
    """The words after the program's name that train one arm's run by itself."""
    words = ["train", "--preset", preset, "--arm", job.name, "--seed", str(job.config.seed)]
    known = flags(to_dict(replace(with_arm(base, job.name), seed=job.config.seed)))
    for name, value in flags(to_dict(job.config)).items():
        if value != known[name] and isinstance(value, bool):
            words.append(name if value else name.replace("--", "--no-", 1))
        elif value != known[name]:
            words += [name, *map(str, value if isinstance(value, tuple) else (value,))]
    return [*words, "--data", "digits", "--device", device, "--out", str(job.folder)]


def collect(
    jobs: list[Job], config: Config, preset: str, command: str, budget: Budget, device: torch.device
) -> dict[str, Any]:
    """All results in the layout of results.json."""
    found = [(job, read_json(job.result_file)) for job in jobs]
    first, arms = jobs[0].config.seed, {job.name: job.config for job in jobs if job.kind == "arm"}
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return {
        "preset": preset,
        "command": command,
        "date": time.strftime("%Y-%m-%d"),
        "versions": versions(),
        "device": name,
        "complete": True,
        "config": to_dict(config),
        "changes": {arm: changed_fields(config, own) for arm, own in arms.items()},
        "metrics": list(METRICS),
        "chance": config.clips.chance,
        "probe": asdict(budget),
        "controls": {job.name: one for job, one in found if job.kind == "control" and job.config.seed == first},
        "raw_pixels": [{"seed": job.config.seed, **one} for job, one in found if job.name == "raw_pixels"],
        "untrained": [one for job, one in found if job.kind == "untrained"],
        "arms": {arm: [one for job, one in found if job.kind == "arm" and job.name == arm] for arm in arms},
    }
