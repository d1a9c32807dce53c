"""`minivjepa train`: one model, in one process or under torchrun."""

import contextlib
import os
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import torch
import tyro

from minivjepa.commands.options import parse, preset_and_arm
from minivjepa.data import open_data
from minivjepa.data.video import Ahead, VideoClips
from minivjepa.training.arms import ARM_NAMES, unused
from minivjepa.training.config import PRESETS, Config
from minivjepa.training.devices import meet, pick_device, process_group
from minivjepa.training.loop import ClipSource
from minivjepa.training.progress_bar import RunBar
from minivjepa.training.runs import Run
from minivjepa.training.trainer import Trainer, Tuning, find_teacher


@dataclass(frozen=True)
class TrainOptions:
    """Train one V-JEPA.  Leaves config.json, metrics.jsonl and checkpoint.pt in --out.

    Under torchrun the same command trains in several processes:
    torchrun --nproc-per-node=2 -m minivjepa train --out runs/two
    """

    out: Path  # Folder of the run: new or empty, unless --resume is given.
    preset: str = "cpu"
    """Sets the defaults below: tiny (seconds), cpu (90 s a run), cpu-long (5 minutes), cuda (a GPU), vitl (the paper's geometry; its learning rate is for 3,072 clips a step, its batch has 24)."""
    arm: Annotated[str, tyro.conf.arg(help=f"Switches of collapse prevention, by name: {ARM_NAMES}.")] = "vjepa"
    data: str = "digits"  # digits (moving handwriting; --clips.* changes it), or the path of a video file or of a folder of them.
    device: str = "auto"  # auto (cuda if there is one, else cpu), cpu, cuda or mps.
    resume: bool = False  # Continue the run in --out from its last checkpoint, to the same final weights.
    deterministic: bool = False
    """Use only deterministic GPU kernels: slower, but then resuming gives the same bits on a GPU too."""
    tuning: Annotated[Tuning, tyro.conf.arg(name="")] = field(default_factory=Tuning)
    strict: bool = False  # Refuse videos that are damaged or cannot be used, in place of leaving out what cannot.
    workers: int = 0  # Threads that read video ahead of training; 0: read between steps.  Digits need none.
    config: Annotated[Config, tyro.conf.arg(name="")] = field(default_factory=Config)


def open_clips(options: TrainOptions, device: torch.device) -> ClipSource:
    """The clips to train on.  Raises ValueError for unusable data or number of workers."""
    config, workers = options.config, options.workers
    if workers < 0 or (options.data == "digits" and (workers or options.strict)):
        given = f"--workers is {workers}, --strict {options.strict}"
        raise ValueError(f"{given}; expected --workers 0 or more, and neither for digits, which are drawn, not read")
    if not workers:
        return open_data(options.data, config.grid, config.seed, device, config.clips, strict=options.strict)
    source = VideoClips(Path(options.data), config.grid, config.seed, strict=options.strict)
    return Ahead(source, config.steps, workers, device)


def films(source: ClipSource, data: Path) -> dict[str, str]:
    """Each video's name in the folder -> its size and length; empty for clips that are drawn."""
    clips = source.source if isinstance(source, Ahead) else source
    files = clips.files if isinstance(clips, VideoClips) else []
    names = [Path(os.path.relpath(file.path, data if data.is_dir() else data.parent)).as_posix() for file in files]
    return {name: f"{file.path.stat().st_size} bytes, {len(file.times)} frames" for name, file in zip(names, files)}


def train(argv: list[str]) -> int:
    """The train command."""
    preset, arm, config = preset_and_arm(argv)
    options = parse(TrainOptions, argv, "train", TrainOptions(tyro.MISSING, preset, arm, config=config))
    config = options.config
    if options.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)
    options.tuning.check(config)
    for message in unused(config, PRESETS[preset]).values():
        raise ValueError(message)
    with process_group(pick_device(options.device), config.batch) as device:
        source = open_clips(options, device)
        run = Run(options.out, films=films(source, Path(options.data)))
        run.check(config, options.data, options.resume)
        if config.teacher and not options.resume:
            find_teacher(config, options.out)
        first = int(os.environ.get("RANK", "0")) == 0
        meet()  # all processes have checked the folder before the first one fills it
        with run.open(config, options.data, options.resume) if first else contextlib.nullcontext():
            meet()
            trainer = Trainer(config, source, run, device, options.tuning)
            RunBar(options.arm, config.steps, trainer.step, hidden=not first).follow(trainer)
    if first:
        print(f"next: minivjepa probe {shlex.quote(str(options.out))}")
    return 0
