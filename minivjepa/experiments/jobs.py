"""The parts of an ablation, each in a process of its own, with a progress bar for each.

An arm that was killed goes on from its last checkpoint; a finished job is not repeated.
"""

import contextlib
import multiprocessing
import signal
import time
import typing
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from minivjepa.data.digits import DigitClips
from minivjepa.data.protocol import Budget
from minivjepa.evaluation.controls import control
from minivjepa.evaluation.judge import judge, judge_untrained
from minivjepa.training.config import Config
from minivjepa.training.files import read_json, write_json
from minivjepa.training.progress_bar import RunBar
from minivjepa.training.recipe import build_model
from minivjepa.training.runs import Run
from minivjepa.training.trainer import Trainer

PROBING = 700  # steps that take about as long as judging a finished run
TOTAL = "{desc}, {percentage:.0f}% |{bar}| {elapsed} passed, about {remaining} left"
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
    def effort(self) -> int:
        """About how long the job takes, in training steps."""
        return self.steps + PROBING

    @property
    def result_file(self) -> Path:
        """What the job leaves when it is complete."""
        return self.folder / "result.json"


def run_job(job: Job, budget: Budget, device: torch.device, pipe: Connection) -> None:
    """Do one job and write its result.json; steps and rows go through the pipe, any message from the parent means stop."""

    def progress(step: int, row: dict[str, Any] | None = None) -> None:
        pipe.send((step, row))
        if pipe.poll():
            if job.kind != "arm":
                raise KeyboardInterrupt
            signal.raise_signal(signal.SIGINT)  # the trainer finishes its step and saves

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
        with threadpool_limits(1):  # for the libraries under scikit-learn
            run_job(job, budget, device, pipe)
        pipe.send((job.steps, "done"))
    except (KeyboardInterrupt, BrokenPipeError):
        pass
    except (ValueError, OSError) as error:
        pipe.send((0, f"failed: {error}"))


class Crew:
    """The running jobs, their pipes and their progress bars."""

    def __init__(self, jobs: list[Job], at_once: int, budget: Budget, device: torch.device):
        self.waiting, self.at_once, self.budget, self.device = list(jobs), at_once, budget, device
        self.active: dict[Connection, tuple[BaseProcess, Job, RunBar]] = {}
        self.failures: list[str] = []
        self.total = tqdm(total=sum(job.effort for job in jobs), bar_format=TOTAL, smoothing=0, position=0)
        self.count, self.finished = len(jobs), 0
        self.total.set_description_str(f"0 of {self.count} jobs done")

    def start(self) -> None:
        """Fill the free places."""
        context = multiprocessing.get_context("spawn")
        while self.waiting and len(self.active) < self.at_once:
            job, (ours, theirs) = self.waiting.pop(0), context.Pipe()
            process = context.Process(target=work, args=(job, self.budget, self.device, theirs), daemon=True)
            heard = signal.signal(
                signal.SIGINT, signal.SIG_IGN
            )  # children inherit this: Ctrl-C reaches only the parent
            process.start()
            signal.signal(signal.SIGINT, heard)
            theirs.close()
            taken = {row.bar.pos for _, _, row in self.active.values()}
            place = next(p for p in range(1, self.at_once + 1) if -p not in taken)
            self.active[ours] = (process, job, RunBar(job.title, job.steps, place=place))

    def listen(self) -> None:
        """Wait a moment for news and show it."""
        for pipe in wait(list(self.active), timeout=0.5):
            pipe = typing.cast(Connection, pipe)
            process, job, row = self.active[pipe]
            try:
                step, news = pipe.recv()
            except EOFError:
                process.join()
                self.finish(pipe, f"{job.title} ended without a result (exit code {process.exitcode})")
                continue
            if isinstance(news, str) and news.startswith("failed: "):
                self.finish(pipe, f"{job.title} {news}")
                continue
            self.total.update(step - row.bar.n)
            row.show(step, news if isinstance(news, dict) else None)
            if news == "done":
                self.finish(pipe, None)
            elif isinstance(news, str):
                row.bar.set_description(f"{job.title}: {news}")

    def finish(self, pipe: Connection, failure: str | None) -> None:
        """Take a job off the list and say how it ended."""
        process, job, row = self.active.pop(pipe)
        process.join()
        left = job.effort - row.bar.n
        row.bar.close()
        pipe.close()
        self.finished += 1
        self.total.update(left)
        self.total.set_description_str(f"{self.finished} of {self.count} jobs done")
        if failure:
            self.failures.append(failure)
        self.total.write(failure or f"{job.title}: {summary(job)}")

    def stop(self) -> None:
        """Ask all jobs to save, wait for them a little, then end them: every file is complete at any moment."""
        for pipe in self.active:
            with contextlib.suppress(OSError):  # a job that has just ended needs no asking
                pipe.send("stop")
        deadline = time.monotonic() + GRACE
        for process, _, row in self.active.values():
            process.join(max(0.0, deadline - time.monotonic()))
            process.terminate()
            row.bar.close()
        self.total.close()


def summary(job: Job) -> str:
    """One line on a finished job, from its own numbers."""
    result = read_json(job.result_file)
    metrics = result.get("final", result)
    line = f"direction {metrics['linear_direction']:.2f}, identity {metrics['linear_identity']:.2f} (linear probes)"
    return line + (f", feature std {metrics['feature_std']:.4f}" if job.name != "raw_pixels" else "")


def run_jobs(jobs: list[Job], at_once: int, budget: Budget, device: torch.device) -> None:
    """Run all jobs that have no result yet.

    Raises ValueError naming those that failed, or a finished arm whose switches have changed since.  Ctrl-C is passed on.
    """
    for job in jobs:
        if job.kind == "arm" and job.result_file.exists():
            Run(job.folder).check_same(job.config, "digits")
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
        raise ValueError(
            "; ".join(crew.failures) + ". The other runs are kept: with --resume only what failed is tried again"
        )
