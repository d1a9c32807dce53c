"""`minivjepa doctor`: can this machine run the course?  Each check prints one line; a failure says what to do."""

import importlib.util
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from minivjepa import __version__
from minivjepa.commands.options import parse
from minivjepa.data.digits import DigitClips
from minivjepa.training.config import PRESETS
from minivjepa.training.runs import Run
from minivjepa.training.trainer import Trainer

OLDEST_PYTHON = (3, 11)
EXTRAS = {"figures": ("matplotlib",), "video": ("av",), "notebooks": ("jupyterlab", "ipywidgets", "nbval")}


def check_python() -> str:
    """Python is new enough."""
    if sys.version_info < OLDEST_PYTHON:
        raise ValueError(f"Python {platform.python_version()} is too old; install 3.11 or newer")
    return f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"


def check_torch() -> str:
    """torch multiplies, and integers wrap around as the random numbers need."""
    x = torch.full((2,), 2**62)
    if int((x * 4)[0]) != 0:
        raise ValueError("this torch does not wrap 64-bit integers; reinstall torch")
    return f"torch {torch.__version__}, {torch.get_num_threads()} threads of {os.cpu_count()} cores"


def check_gpu() -> str:
    """Name the GPU; the course runs without one."""
    if torch.cuda.is_available():  # pragma: no cover (needs a GPU)
        return f"GPU {torch.cuda.get_device_name()}: use --preset cuda"
    return "no CUDA GPU: every lesson runs on the CPU, use --preset cpu"


def check_training() -> str:
    """A few real steps of the tiny preset, written to the disk, with a checkpoint that loads again."""
    config = PRESETS["tiny"]
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder) / "run")
        run.create(config, "digits")
        Trainer(config, DigitClips(config.grid), run, torch.device("cpu")).fit(lambda step, row: None)
        loss = run.history()[-1]["loss"]
        run.load()
    return f"trained the tiny preset for {config.steps} steps in {time.perf_counter() - start:.1f} s, loss {loss:.2f}"


def diagnose(say: Callable[[str], None]) -> bool:
    """Run all checks, say one line for each, and return whether all passed."""
    say(f"minivjepa {__version__}")
    healthy = True
    for check in (check_python, check_torch, check_gpu, check_training):
        try:
            say(f"[OK]   {check()}")
        except Exception as error:  # a doctor reports every failure and goes on to the next check
            healthy = False
            say(f"[FAIL] {error}")
    for name, modules in EXTRAS.items():  # an optional part may be missing until a lesson asks for it
        missing = ", ".join(module for module in modules if importlib.util.find_spec(module) is None)
        advice = f"is not installed (lacks {missing}): pip install 'minivjepa[{name}]' adds it"
        say(f"[OK]   extra {name} {advice if missing else 'is installed'}")
    say("Your setup is ready." if healthy else "Fix the [FAIL] lines from the top, then run this again.")
    return healthy


@dataclass(frozen=True)
class DoctorOptions:
    """Check that this machine can run the course: one line per check.  Exits with 1 if a check fails."""


def doctor(argv: list[str]) -> int:
    """The doctor command."""
    parse(DoctorOptions, argv, "doctor")
    return 0 if diagnose(print) else 1
