"""`minivjepa ablate`: arms times seeds, compared in one report."""

import os
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import tyro

from minivjepa.commands.options import parse, preset_and_arm
from minivjepa.data.protocol import BUDGETS, FULL
from minivjepa.evaluation.judge import check_memory
from minivjepa.experiments.jobs import Job, run_jobs
from minivjepa.experiments.plan import Ablation, collect, plan_jobs, train_command
from minivjepa.figures import require_matplotlib
from minivjepa.training.arms import ARM_NAMES, VARIANTS, unused
from minivjepa.training.config import PRESETS, Config
from minivjepa.training.devices import pick_device
from minivjepa.training.files import finite_or_null, write_json, write_text
from minivjepa.training.runs import Run
from minivjepa.vjepa import ARMS, CollapsePrevention

DEFAULT_ARMS = "vjepa,frozen,no-ema,no-stopgrad,neither"
ARM_GROUPS = f"main stands for the first {len(ARMS)} and variants for all others"


@dataclass(frozen=True)
class AblateOptions:
    """Train several arms of collapse prevention on several seeds and compare what their encoders learned.

    Leaves results.json, report.html and collapse.png in --out, and every run in a folder under it.
    """

    out: Path  # Folder of the ablation; new or empty, unless --resume is given.
    arms: Annotated[str, tyro.conf.arg(help=f"Separated by commas; {ARM_GROUPS}: {ARM_NAMES}.")] = DEFAULT_ARMS
    seeds: str = "0"  # Seeds, separated by commas.
    preset: str = "cpu"
    """Where the defaults below come from: tiny (seconds), cpu (90 s a run), cpu-long (5 minutes), cuda (a GPU), vitl (the paper's geometry; its learning rate is for 3,072 clips a step, its batch has 24)."""
    device: str = "auto"  # auto (cuda if there is one, else cpu), cpu or cuda.
    jobs: int | None = None
    """Runs at the same time, each in a process with one thread; None: one per core, at most 8, and one on a GPU."""
    resume: bool = False  # Go on with the ablation in --out: finished runs are kept, killed ones continue.
    plan: bool = False
    """Train nothing: prepare --out, print one command a run for any scheduler, and the command that collects."""
    config: Annotated[Config, tyro.conf.arg(name="")] = field(default_factory=Config)


def without_unused(jobs: Sequence[Job], base: Config) -> list[Job]:
    """The jobs, with base's values where an arm ignores an option.  Raises ValueError for an option that all arms ignore."""
    ignored = [unused(job.config, base) for job in jobs]
    arms = [found for job, found in zip(jobs, ignored) if job.kind == "arm"]
    for name in set.intersection(*map(set, arms)):
        raise ValueError(arms[0][name])
    return [
        replace(job, config=replace(job.config, **{name: getattr(base, name) for name in found}))
        for job, found in zip(jobs, ignored)
    ]


def ablate(argv: list[str]) -> int:
    """The ablate command."""
    preset, _, config = preset_and_arm(argv)
    options = parse(AblateOptions, argv, "ablate", AblateOptions(tyro.MISSING, preset=preset, config=config))
    require_matplotlib()
    if options.jobs is not None and options.jobs < 1:
        raise ValueError(f"--jobs is {options.jobs}, expected 1 or more")
    device, config = pick_device(options.device), options.config
    at_once = options.jobs or (1 if device.type == "cuda" else min(8, os.cpu_count() or 1))
    budget = BUDGETS.get(options.preset, FULL)
    check_memory(config, budget, pixels=True)
    if config.prevention != CollapsePrevention() or config.seed != PRESETS[options.preset].seed:
        raise ValueError("--prevention.* and --seed are what an ablation varies; use --arms and --seeds")
    groups = {"main": [*ARMS], "variants": [*VARIANTS]}
    arms = [arm for word in options.arms.split(",") for arm in groups.get(word, [word])]
    try:
        seeds = [int(word) for word in options.seeds.split(",")]
    except ValueError:
        raise ValueError(f"--seeds {options.seeds!r} is not a list of whole numbers, such as --seeds 0,1,2") from None
    jobs = without_unused(plan_jobs(arms, seeds, config, options.out), PRESETS[options.preset])
    with Run(options.out, Ablation).open(Ablation(options.preset, config), "digits", options.resume):
        if options.plan:
            words = [word for word in argv if word not in ("--plan", "--resume")]
            program = ["minivjepa"] if Path(sys.argv[0]).stem in ("minivjepa", "__main__") else ["python", sys.argv[0]]
            base, runs = PRESETS[options.preset], [job for job in jobs if job.kind == "arm"]
            commands = [train_command(job, options.preset, base, options.device) for job in runs]
            print("\n".join(shlex.join(program + c) for c in [*commands, ["ablate", *words, "--resume"]]))
            return 0
        run_jobs(jobs, at_once, budget, device)
        from minivjepa.experiments.report import html, verdict
        from minivjepa.figures.arm_curves import collapse_curves

        command = shlex.join(["minivjepa", "ablate", *argv])
        results = finite_or_null(collect(jobs, config, options.preset, command, budget, device))
        collapse_curves(results).save(options.out / "collapse.png")
        write_text(options.out / "report.html", html(results))
        write_json(options.out / "results.json", results)
        print("\n".join(verdict(arm, results) for arm in results["arms"]))
        print(f"open {options.out / 'report.html'} in a browser")
        return 0
