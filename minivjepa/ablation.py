"""Arms times seeds, in parallel processes, into one results file.

Read in lesson 7.  Every run is a folder of its own under DIR/runs, so a killed ablation goes on where it was
and any scheduler can run the parts: `--plan` prints them.
"""

import multiprocessing
import platform
import shlex
import signal
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from minivjepa.config import Config, differences, from_dict, to_dict
from minivjepa.data.digits import DigitClips
from minivjepa.evaluation import CONTROLS, METRICS, control, judge, judge_untrained
from minivjepa.protocol import CHANCE, Budget
from minivjepa.recipe import build_model
from minivjepa.runs import Run, check_new, read_json, write_json
from minivjepa.training import Trainer
from minivjepa.vjepa import ARMS

GRACE = 10.0  # seconds that running jobs have to save after Ctrl-C


@dataclass(frozen=True)
class Job:
    """One part of an ablation.  kind: "arm", "untrained" or "control"; name: of the arm or control."""

    kind: str
    name: str
    config: Config
    folder: Path

    @property
    def title(self) -> str:
        """What people see beside its progress bar."""
        return f"{self.name} seed {self.config.seed}"

    @property
    def steps(self) -> int:
        """Training steps, 0 where nothing is trained."""
        return self.config.steps if self.kind == "arm" or self.name == "supervised" else 0

    @property
    def result_file(self) -> Path:
        """What the job leaves when it is complete."""
        return self.folder / "result.json"


def plan_jobs(arms: Sequence[str], seeds: Sequence[int], config: Config, out: Path) -> list[Job]:
    """All jobs, those first whose curves tell the story.  Raises ValueError for an unknown arm or none."""
    if not arms or not seeds:
        raise ValueError(
            "an ablation needs at least one arm and one seed; give for example --arms vjepa,neither --seeds 0,1"
        )
    unknown = [arm for arm in arms if arm not in ARMS]
    if unknown:
        raise ValueError(f"unknown arm {unknown[0]!r}; choose from {', '.join(ARMS)}")
    if len(set(arms)) < len(arms) or len(set(seeds)) < len(seeds):
        raise ValueError(
            f"an arm or a seed is given twice in --arms {','.join(arms)} --seeds {','.join(map(str, seeds))}"
        )
    telling = sorted(arms, key=lambda arm: (arm not in ("vjepa", "neither"), arms.index(arm)))
    jobs = [
        Job("arm", arm, replace(config, seed=seed, prevention=ARMS[arm]), out / "runs" / f"{arm}-{seed}")
        for seed in seeds
        for arm in telling
    ]
    first = replace(config, seed=seeds[0])
    jobs += [Job("control", name, first, out / "runs" / f"control-{name}") for name in reversed(CONTROLS)]
    jobs += [Job("untrained", "untrained", replace(config, seed=s), out / "runs" / f"untrained-{s}") for s in seeds]
    return jobs


def train_command(job: Job, preset: str, base: Config) -> str:
    """The command that trains one arm's run on its own."""
    changed = replace(job.config, prevention=base.prevention, seed=base.seed)
    words = ["minivjepa", "train", "--preset", preset, "--arm", job.name, "--seed", str(job.config.seed)]
    flat, usual = to_dict(changed), to_dict(base)
    for group in ("grid",):
        flat.update(flat.pop(group)), usual.update(usual.pop(group))
    for name, value in flat.items():
        if value != usual[name]:
            values = value if isinstance(value, tuple) else (value,)
            words += [f"--{name.replace('_', '-')}", *map(str, values)]
    return shlex.join([*words, "--data", "digits", "--out", str(job.folder)])


def open_folder(out: Path, config: Config, preset: str, resume: bool) -> None:
    """Make the ablation's folder, or check that it holds one of this config.  Raises ValueError otherwise."""
    file = out / "ablation.json"
    if not resume:
        check_new(out)
        out.mkdir(parents=True, exist_ok=True)
        write_json(file, {"preset": preset, "config": to_dict(config)})
        return
    if not file.exists():
        raise ValueError(f"nothing to resume in {out}: it holds no ablation.json; run the command without --resume")
    saved = read_json(file)
    lines = differences(from_dict(Config, saved["config"]), config)
    if lines:
        raise ValueError(
            f"{out} holds an ablation of another config ({'; '.join(lines[:4])}); resume with the same options"
        )


def run_job(job: Job, budget: Budget, device: torch.device, pipe: Connection) -> None:
    """Do one job and write its result.json; steps and rows go through the pipe, a word from it means stop."""

    def progress(step: int, row: dict[str, Any] | None = None) -> None:
        pipe.send((step, row))
        if pipe.poll():
            signal.raise_signal(signal.SIGINT)

    if job.kind == "arm":
        run, seed = Run(job.folder), job.config.seed
        if run.config_file.exists():
            run.check_same(job.config, "digits")
        else:
            run.create(job.config, "digits")
        model = Trainer(job.config, DigitClips(job.config.grid, "train", seed, str(device)), run, device).fit(progress)
        pipe.send((job.steps, "probing"))
        history = run.history()
        final = judge(model.eval(), job.config, budget, device)
        result = {"seed": seed, "seconds": history[-1]["seconds"], "history": history, "final": final}
    else:
        pipe.send((0, "training" if job.steps else "probing"))
        if job.kind == "untrained":
            model = build_model(job.config).to(device)
            result = {"seed": job.config.seed, **judge_untrained(model, job.config, budget, device)}
        else:
            result = control(job.name, job.config, budget, device, progress)
        job.folder.mkdir(parents=True, exist_ok=True)
    write_json(job.result_file, result)


def work(job: Job, budget: Budget, device: torch.device, pipe: Connection) -> None:
    """The body of a job's own process: one thread, deaf to the keyboard (the parent passes Ctrl-C on)."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    try:
        run_job(job, budget, device, pipe)
        pipe.send((job.steps, "done"))
    except ValueError as error:
        pipe.send((0, f"failed: {error}"))
    except (KeyboardInterrupt, BrokenPipeError):
        pass


class Crew:
    """The running jobs, their pipes and their progress bars."""

    def __init__(self, jobs: list[Job], at_once: int, budget: Budget, device: torch.device):
        self.waiting, self.at_once, self.budget, self.device = list(jobs), at_once, budget, device
        self.active: dict[Connection, tuple[BaseProcess, Job, tqdm[Any]]] = {}
        self.failures: list[str] = []
        self.total = tqdm(total=len(jobs), desc="all jobs", unit="job", position=0)

    def start(self) -> None:
        """Fill the free places."""
        context = multiprocessing.get_context("spawn")
        while self.waiting and len(self.active) < self.at_once:
            job, (ours, theirs) = self.waiting.pop(0), context.Pipe()
            process = context.Process(target=work, args=(job, self.budget, self.device, theirs), daemon=True)
            process.start()
            theirs.close()
            taken = {bar.pos for _, _, bar in self.active.values()}
            place = next(p for p in range(1, self.at_once + 1) if -p not in taken)
            bar = tqdm(total=job.steps or None, desc=job.title, unit="step", position=place, leave=False)
            self.active[ours] = (process, job, bar)

    def listen(self) -> None:
        """Wait a moment for news and show it."""
        for pipe in wait(list(self.active), timeout=0.5):
            assert isinstance(pipe, Connection)
            process, job, bar = self.active[pipe]
            try:
                step, news = pipe.recv()
            except EOFError:
                process.join()
                self.finish(pipe, f"{job.title} ended without a result (exit code {process.exitcode})")
                continue
            bar.update(step - bar.n)
            if isinstance(news, dict):
                bar.set_postfix_str(f"loss {news['loss']:.3f}, feature std {news['feature_std']:.4f}")
            elif news == "done":
                self.finish(pipe, None)
            elif news and news.startswith("failed: "):
                self.finish(pipe, f"{job.title} {news}")
            elif news:
                bar.set_description(f"{job.title}: {news}")

    def finish(self, pipe: Connection, failure: str | None) -> None:
        """Take a job off the list and say how it ended."""
        process, job, bar = self.active.pop(pipe)
        process.join()
        bar.close()
        pipe.close()
        self.total.update(1)
        if failure:
            self.failures.append(failure)
        self.total.write(failure or f"{job.title}: {summary(job)}")

    def stop(self) -> None:
        """Ask all jobs to save, wait for them a little, then end them: every file is complete at any moment."""
        for pipe in self.active:
            pipe.send("stop")
        deadline = time.monotonic() + GRACE
        for process, _, bar in self.active.values():
            process.join(max(0.0, deadline - time.monotonic()))
            process.terminate()
            bar.close()
        self.total.close()


def summary(job: Job) -> str:
    """One line on a finished job, from its own numbers."""
    result = read_json(job.result_file)
    metrics = result.get("final", result)
    line = f"direction {metrics['linear_direction']:.2f}, identity {metrics['linear_identity']:.2f} (linear probes)"
    return line + (f", feature std {metrics['feature_std']:.4f}" if job.name != "raw_pixels" else "")


def run_jobs(jobs: list[Job], at_once: int, budget: Budget, device: torch.device) -> None:
    """Run all jobs that have no result yet.  Raises ValueError naming those that failed; Ctrl-C is passed on."""
    crew = Crew([job for job in jobs if not job.result_file.exists()], at_once, budget, device)
    try:
        while crew.waiting or crew.active:
            crew.start()
            crew.listen()
    except KeyboardInterrupt:
        crew.stop()
        raise
    crew.total.close()
    if crew.failures:
        raise ValueError("; ".join(crew.failures) + ". The other runs are complete; mend the cause and add --resume")


def versions() -> dict[str, str]:
    """What produced a result: Python, the system and the libraries that numbers depend on."""
    found = {name: version(name) for name in ("minivjepa", "torch", "numpy", "scikit-learn")}
    return {"python": platform.python_version(), "system": platform.platform(), **found}


def collect(jobs: list[Job], preset: str, command: str, budget: Budget, device: torch.device) -> dict[str, Any]:
    """All results in the layout of results.json."""
    arms: dict[str, list[Any]] = {}
    for job in jobs:
        if job.kind == "arm":
            arms.setdefault(job.name, []).append(read_json(job.result_file))
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{device.type} {platform.machine()}"
    return {
        "preset": preset,
        "command": command,
        "date": time.strftime("%Y-%m-%d"),
        "versions": versions(),
        "device": name,
        "complete": True,
        "config": to_dict(jobs[0].config),
        "metrics": list(METRICS),
        "chance": CHANCE,
        "probe": asdict(budget),
        "controls": {job.name: read_json(job.result_file) for job in jobs if job.kind == "control"},
        "untrained": [read_json(job.result_file) for job in jobs if job.kind == "untrained"],
        "arms": arms,
    }
