"""The command line: `minivjepa train | ablate | probe | doctor`.

Exit codes: 0 done, 1 doctor found a failure, 2 bad input (one clear message), 130 Ctrl-C.
"""

import os
import shlex
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, NoReturn

import torch
import tyro
from tqdm import tqdm

from minivjepa import __version__
from minivjepa.ablation import collect, open_folder, plan_jobs, train_command
from minivjepa.config import PRESETS, Config
from minivjepa.data import open_data
from minivjepa.devices import check_processes, meet, pick_device, process_group
from minivjepa.doctor import diagnose
from minivjepa.evaluation import METRICS, check_memory, judge, judge_untrained
from minivjepa.figures import require_matplotlib
from minivjepa.jobs import run_jobs
from minivjepa.options import fail, numbers, parse, plain_errors, with_preset
from minivjepa.progress import RunBar
from minivjepa.protocol import BUDGETS, CHANCE, FULL
from minivjepa.recipe import build_model
from minivjepa.runs import Run, check_new, finite_or_null, write_json, write_text
from minivjepa.training import Trainer
from minivjepa.variants import VARIANTS
from minivjepa.vjepa import ARMS, CollapsePrevention

DEFAULT_ARMS = "vjepa,frozen,no-ema,no-stopgrad,neither"
ARM_NAMES = ", ".join([*ARMS, *VARIANTS])
ARM_GROUPS = f"main stands for the first {len(ARMS)} and variants for all others"
USAGE = """usage: minivjepa COMMAND [options]

  train    train one model; leaves config.json, metrics.jsonl and checkpoint.pt in a folder
  ablate   train several arms of collapse prevention and compare them in one report
  probe    ask a trained encoder what it knows about motion and identity
  doctor   check that this machine can run the course

`minivjepa COMMAND --help` shows the options of a command, with units and defaults."""


@dataclass(frozen=True)
class TrainOptions:
    """Train one V-JEPA.  Leaves config.json, metrics.jsonl and checkpoint.pt in --out.

    Under torchrun the same command trains in several processes:
    torchrun --nproc-per-node=2 -m minivjepa train --out runs/two
    """

    out: Path
    """Folder of the run; new or empty, unless --resume is given."""
    preset: str = "cpu"
    """Where the defaults below come from: tiny (seconds), cpu (minutes), cuda (a GPU), vitl (the paper's geometry)."""
    arm: Annotated[str, tyro.conf.arg(help=f"Switches of collapse prevention, by name: {ARM_NAMES}.")] = "vjepa"
    data: str = "digits"
    """digits (moving handwriting), or the path of a video file or of a folder of them."""
    device: str = "auto"
    """auto (cuda if there is one, else cpu), cpu, cuda or mps."""
    resume: bool = False
    """Go on with the run in --out, from its last checkpoint to the same final weights."""
    deterministic: bool = False
    """Only deterministic GPU kernels: slower, and resuming gives the same bits on a GPU too."""
    config: Annotated[Config, tyro.conf.arg(name="")] = field(default_factory=Config)


def train(argv: list[str]) -> int:
    """The train command."""
    options = with_preset(
        argv, "train", lambda config, preset, arm: TrainOptions(tyro.MISSING, preset, arm, config=config)
    )
    config, run = options.config, Run(options.out)
    if options.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    with plain_errors():
        check_processes(config.batch)
        with process_group(pick_device(options.device)) as device:
            source = open_data(options.data, config.grid, config.seed, device)
            run.check_same(config, options.data) if options.resume else check_new(options.out)
            first = int(os.environ.get("RANK", "0")) == 0
            meet()  # all have checked the folder before one of them fills it
            if first and not options.resume:
                run.create(config, options.data)
            meet()
            trainer = Trainer(config, source, run, device)
            bar = RunBar(options.arm, config.steps, trainer.step, hidden=not first)
            with bar.bar:
                trainer.fit(bar.show)
    if first:
        last = run.history()[-1]
        print(f"trained to step {last['step']}: loss {last['loss']:.3f}, feature std {last['feature_std']:.4f}")
        print(f"next: minivjepa probe {options.out}")
    return 0


@dataclass(frozen=True)
class AblateOptions:
    """Train several arms of collapse prevention on several seeds and compare what their encoders learned.

    Leaves results.json, report.html and collapse.png in --out, and every run in a folder under it.
    """

    out: Path
    """Folder of the ablation; new or empty, unless --resume is given."""
    arms: Annotated[str, tyro.conf.arg(help=f"Separated by commas; {ARM_GROUPS}: {ARM_NAMES}.")] = DEFAULT_ARMS
    seeds: str = "0"
    """Seeds, separated by commas."""
    preset: str = "cpu"
    """Where the defaults below come from: tiny (seconds), cpu (minutes), cuda (a GPU), vitl (the paper's geometry)."""
    device: str = "auto"
    """auto (cuda if there is one, else cpu), cpu or cuda."""
    jobs: int | None = None
    """Runs at the same time, each in a process with one thread; None: one per core, at most 8, and one on a GPU."""
    resume: bool = False
    """Go on with the ablation in --out: finished runs are kept, killed ones continue."""
    plan: bool = False
    """Train nothing: prepare --out, print one command a run for any scheduler, and the command that collects."""
    config: Annotated[Config, tyro.conf.arg(name="")] = field(default_factory=Config)


def ablate(argv: list[str]) -> int:
    """The ablate command."""
    options = with_preset(
        argv, "ablate", lambda config, preset, arm: AblateOptions(tyro.MISSING, preset=preset, config=config)
    )
    with plain_errors():
        require_matplotlib()
        if options.jobs is not None and options.jobs < 1:
            raise ValueError(f"--jobs is {options.jobs}, expected 1 or more")
        device, config = pick_device(options.device), options.config
        at_once = options.jobs or (1 if device.type == "cuda" else min(8, os.cpu_count() or 1))
        budget = BUDGETS.get(options.preset, FULL)
        check_memory(config, budget)
        if config.prevention != CollapsePrevention() or config.seed != PRESETS[options.preset].seed:
            raise ValueError("--prevention.* and --seed are what an ablation varies; use --arms and --seeds")
        groups = {"main": [*ARMS], "variants": [*VARIANTS]}
        arms = [arm for word in options.arms.split(",") for arm in groups.get(word, [word])]
        jobs = plan_jobs(arms, numbers(options.seeds), config, options.out)
        open_folder(options.out, config, options.preset, options.resume)
        if options.plan:
            words = [word for word in argv if word not in ("--plan", "--resume")]
            program = ["minivjepa"] if Path(sys.argv[0]).stem in ("minivjepa", "__main__") else ["python", sys.argv[0]]
            base, runs = PRESETS[options.preset], [job for job in jobs if job.kind == "arm"]
            commands = [train_command(job, options.preset, base, options.device) for job in runs]
            print("\n".join(shlex.join(program + c) for c in [*commands, ["ablate", *words, "--resume"]]))
            return 0
        run_jobs(jobs, at_once, budget, device)
    from minivjepa.figures.ablation import collapse_curves
    from minivjepa.report import html, verdict

    command = shlex.join(["minivjepa", "ablate", *argv])
    results = finite_or_null(collect(jobs, config, options.preset, command, budget, device))
    collapse_curves(results).save(options.out / "collapse.png")
    write_text(options.out / "report.html", html(results))
    write_json(options.out / "results.json", results)
    print("\n".join(verdict(arm, results) for arm in results["arms"]))
    print(f"open {options.out / 'report.html'} in a browser")
    return 0


@dataclass(frozen=True)
class ProbeOptions:
    """Ask a trained run's frozen encoders what they know: collapse metrics and probes on held-out moving handwriting.

    Always with the full probe budget, and on handwriting also where the run was trained on video.
    """

    run: tyro.conf.Positional[Path]
    """Folder that `minivjepa train` left."""
    device: str = "auto"
    """auto (cuda if there is one, else cpu), cpu or cuda."""
    json: Path | None = None
    """Also write the numbers to this file."""


def probe(argv: list[str]) -> int:
    """The probe command."""
    options = parse(ProbeOptions, argv, "probe")
    with plain_errors():
        run = Run(options.run)
        config, _ = run.config()
        device = pick_device(options.device)
        model = build_model(config)
        state = run.restore(model, config)
        if state is None:
            raise ValueError(f"{options.run} holds no checkpoint.pt yet; train further with --resume, then probe")
        model.to(device)
        check_memory(config, FULL)
        if options.json is not None and (options.json.is_dir() or not options.json.absolute().parent.is_dir()):
            raise ValueError(f"--json {options.json} is no file in a folder that exists; give for example probe.json")
        steps = tqdm(total=3 if model.target_encoder is None else 4, desc="probing", unit="part")
        with steps:
            untrained = judge_untrained(build_model(config).to(device), config, FULL, device)
            steps.update(1)

            def part_done() -> None:
                steps.update(1)

            final = judge(model, config, FULL, device, part_done)
    shown = {"untrained": untrained, "online": final} | ({"target": final["target"]} if final["target"] else {})
    print(
        f"step {state['step']} of {config.steps}; chance: direction {CHANCE['direction']:.3f}, identity {CHANCE['identity']:.3f}"
    )
    print(" " * 22 + "".join(f"{name:>11}" for name in shown))
    for name in METRICS:
        print(f"{name:22}" + "".join(f"{metrics[name]:11.4f}" for metrics in shown.values()))
    if options.json is not None:
        write_json(options.json, {"step": state["step"], "chance": CHANCE, "untrained": untrained, "final": final})
    return 0


@dataclass(frozen=True)
class DoctorOptions:
    """Check that this machine can run the course: one line a check.  Exits with 1 if one fails."""


def doctor(argv: list[str]) -> int:
    """The doctor command."""
    parse(DoctorOptions, argv, "doctor")
    return 0 if diagnose(print) else 1


COMMANDS = {"train": train, "ablate": ablate, "probe": probe, "doctor": doctor}


def main(argv: list[str] | None = None) -> NoReturn:
    """Run one command and exit with its code."""
    words = sys.argv[1:] if argv is None else argv
    if not words or words[0] in ("-h", "--help"):
        print(USAGE)
        raise SystemExit(0 if words else 2)
    if words[0] == "--version":
        print(f"minivjepa {__version__}")
        raise SystemExit(0)
    if words[0] not in COMMANDS:
        fail(f"unknown command {words[0]!r}; choose from {', '.join(COMMANDS)}, or see minivjepa --help")
    try:
        raise SystemExit(COMMANDS[words[0]](words[1:]))
    except KeyboardInterrupt:
        resumable = words[0] in ("train", "ablate")
        advice = "; run the same command with --resume to go on" if resumable else ""
        sys.stderr.write(f"\nminivjepa: stopped by Ctrl-C{advice}\n")
        raise SystemExit(130) from None
