"""The parts of an ablation, each in its own process with its own progress bar.

A thread starts each process and follows it.  An arm that was killed goes on from its last checkpoint; a finished job is
not repeated.
"""

import contextlib
import multiprocessing
import signal
import threading
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from itertools import groupby
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from minivjepa.data import known_clips
from minivjepa.data.protocol import Budget
from minivjepa.evaluation.controls import judge_control
from minivjepa.evaluation.judge import Metrics, judge, judge_online
from minivjepa.training.arms import with_arm
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
    def result_file(self) -> Path:
        """What the job leaves when it is complete."""
        return self.folder / "result.json"

    def summary(self) -> str:
        """One line on the finished job, from its own numbers."""
        result = read_json(self.result_file)
        metrics = result.get("final", result)
        line = f"direction {metrics['linear_direction']:.2f}, identity {metrics['linear_identity']:.2f} (linear probes)"
        return line + (f", feature std {metrics['feature_std']:.4f}" if self.name != "raw_pixels" else "")


def lessons(config: Config) -> int:
    """How many runs must be trained before this one: its teacher, that one's teacher, and so on."""
    return 1 + lessons(with_arm(replace(config, teacher=""), config.teacher)) if config.teacher else 0


def run_job(job: Job, budget: Budget, device: torch.device, pipe: Connection) -> None:
    """Do one job and write its result.json.  Steps and rows go through the pipe; any message from the parent means stop."""

    def progress(step: int, row: Metrics | None = None) -> None:
        pipe.send((step, row))
        if pipe.poll():
            if job.kind != "arm":
                raise KeyboardInterrupt
            signal.raise_signal(signal.SIGINT)  # the trainer finishes its step and saves

    if job.kind == "arm":
        run, seed = Run(job.folder), job.config.seed
        with run.open(job.config, "digits", resume=run.config_file.exists()):
            source = known_clips(job.config.grid, "train", seed, device, job.config.clips)
            model = Trainer(job.config, source, run, device).fit(progress)
        pipe.send((job.steps, "probing"))
        history = run.history()
        final = judge(model.eval(), job.config, budget, device)
        result = {"seed": seed, "seconds": history[-1]["seconds"], "history": history, "final": final}
    else:
        pipe.send((0, "training" if job.steps else "probing"))
        if job.kind == "untrained":
            model = build_model(job.config).to(device)
            result = {"seed": job.config.seed, **judge_online(model, job.config, budget, device)}
        else:
            result = judge_control(job.name, job.config, budget, device, progress)
        job.folder.mkdir(parents=True, exist_ok=True)
    write_json(job.result_file, result)


def mask_interrupt(how: str) -> None:
    """Block or unblock SIGINT in this thread and in the processes that it starts.  how: "SIG_BLOCK" or "SIG_UNBLOCK"."""
    if hasattr(signal, "pthread_sigmask"):  # Windows lacks it
        signal.pthread_sigmask(getattr(signal, how), [signal.SIGINT])


def work(job: Job, budget: Budget, device: torch.device, pipe: Connection) -> None:
    """What a job's process does, on one thread.  It ignores Ctrl-C: the parent asks it to stop through the pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    mask_interrupt("SIG_UNBLOCK")  # or the trainer would not get the signal that it raises itself
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):  # for the libraries under scikit-learn
            run_job(job, budget, device, pipe)
    except (KeyboardInterrupt, BrokenPipeError):
        pass
    except (ValueError, OSError) as error:
        pipe.send((0, f"failed: {error}"))


class Crew:
    """What the threads of an ablation share: free lines for progress bars, steps done per job, and whether to stop."""

    def __init__(self, at_once: int, budget: Budget, device: torch.device):
        self.budget, self.device = budget, device
        self.places = list(range(at_once, 0, -1))
        self.steps: dict[Job, int] = {}
        self.stopping = threading.Event()

    def supervise(self, job: Job) -> str | None:
        """Run one job in its own process, show its progress, and return how it failed, or None."""
        if self.stopping.is_set():
            return None
        context = multiprocessing.get_context("spawn")
        pipe, theirs = context.Pipe()
        process = context.Process(target=work, args=(job, self.budget, self.device, theirs), daemon=True)
        # in this thread, and in the process until it ignores it: the main thread hears Ctrl-C
        mask_interrupt("SIG_BLOCK")
        process.start()
        theirs.close()
        place, state = self.places.pop(), ""
        bar = RunBar(job.title, job.steps, place=place)
        with contextlib.suppress(EOFError, ConnectionError):  # the process has ended
            while not self.stopping.is_set():
                if pipe.poll(0.2):
                    self.steps[job], news = pipe.recv()
                    bar.show(self.steps[job], news if isinstance(news, dict) else None)
                    if isinstance(news, str):
                        state = news
                        bar.bar.set_description(f"{job.title}: {state}")
            pipe.send("stop")
        process.join(GRACE)
        process.terminate()  # nothing is lost: every file is complete at any moment
        bar.bar.close()
        self.places.append(place)
        failure = None
        if not job.result_file.exists():
            state = state if state.startswith("failed: ") else f"ended without a result (exit code {process.exitcode})"
            failure = f"{job.title} {state}"
        if not self.stopping.is_set():
            bar.bar.write(failure or f"{job.title}: {job.summary()}")
        return failure


def run_jobs(jobs: list[Job], at_once: int, budget: Budget, device: torch.device) -> None:
    """Run all jobs that have no result yet; those with a teacher come after it.

    Raises ValueError naming those that failed, or a finished arm whose switches have changed since.  Ctrl-C is passed on.
    """
    for job in jobs:
        if job.kind == "arm" and job.result_file.exists():
            Run(job.folder).check_same(job.config, "digits")
    todo, crew = [job for job in jobs if not job.result_file.exists()], Crew(at_once, budget, device)
    resource_tracker.ensure_running()  # else the first thread would start it, which unblocks SIGINT there
    effort, names = sum(job.steps + PROBING for job in todo), f"of {len(todo)} jobs done"
    total = tqdm(total=effort, desc=f"0 {names}", bar_format=TOTAL, smoothing=0, position=0)
    futures: list[Future[str | None]] = []
    with total, ThreadPoolExecutor(at_once) as pool:
        try:
            for _, wave in groupby(todo, lambda job: lessons(job.config)):  # every teacher before its pupils
                futures += [pool.submit(crew.supervise, job) for job in wave]
                left = set(futures)
                while left:
                    left = wait(left, timeout=0.5, return_when=FIRST_COMPLETED).not_done
                    ended = len(futures) - len(left)
                    total.set_description_str(f"{ended} {names}", refresh=False)
                    total.update(sum(crew.steps.values()) + PROBING * ended - total.n)
        except BaseException:
            crew.stopping.set()
            pool.shutdown(cancel_futures=True)
            raise
    failures = [failure for future in futures if (failure := future.result())]
    if failures:
        raise ValueError("; ".join(failures) + ". All other runs are kept: --resume tries only what failed again")
