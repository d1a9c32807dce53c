"""How fast clips come from a film, for results/speed.py: decoding, and training that waits for it or does not."""

import math
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

from minivjepa.data import video
from minivjepa.data.digits import BACKGROUNDS, ClipRules, DigitClips
from minivjepa.speed.step_time import find_geometry, prepare, seconds
from minivjepa.training.config import PRESETS

DRAWN = 300  # batches of each kind
ROUNDS = 7  # of a step whose median counts


def write_film(path: Path, frames: int, height: int, width: int) -> None:
    """A film of moving noise, compressed as films are."""
    import av

    rng = np.random.default_rng(0)
    still = np.kron(rng.integers(0, 255, (height // 8, width // 8, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        for number in range(frames):
            image = np.roll(still, (number, 2 * number), axis=(0, 1))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def clips_per_second(source: Any, batches: int, index: Tensor, train: Callable[[], Any]) -> float:
    """Batches drawn one after the other, each followed by a step that takes its time."""
    source.batch(0, index)
    start = time.perf_counter()
    for step in range(1, batches + 1):
        source.batch(step, index)
        train()
    return batches * len(index) / (time.perf_counter() - start)


def clips(device: torch.device) -> dict[str, float]:
    """Background -> seconds to draw a batch of the preset cpu, the fastest of many rounds that take turns."""
    config, index = PRESETS["cpu"], torch.arange(PRESETS["cpu"].batch, device=device)
    kinds = {name: ClipRules(background=name, strength=float(name != "none")) for name in BACKGROUNDS}
    sources = {name: DigitClips(config.grid, "train", 0, str(device), rules) for name, rules in kinds.items()}
    found = dict.fromkeys(sources, math.inf)
    for step in range(DRAWN):
        for name, source in sources.items():
            found[name] = min(found[name], seconds(partial(source.batch, step, index), device))
    return found


def data(device: torch.device) -> dict[str, Any]:
    """Decoding, and clips of a film that stays in memory, of one that does not, and of one that workers read ahead."""
    grid, index, batches = PRESETS["cuda"].grid, torch.arange(8), 6
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "film.mp4"
        write_film(film, 300, 240, 320)
        start = time.perf_counter()
        frames = sum(1 for _ in video.decode(film))
        found: dict[str, Any] = {
            "frames_per_s": frames / (time.perf_counter() - start),
            "frames": frames,
            "size": [240, 320],
            "clip": grid.shape,
        }
        nothing: Callable[[], Any] = lambda: None  # noqa: E731
        found["in_memory_clips_per_s"] = clips_per_second(video.VideoClips(film, grid), batches, index, nothing)
        with patch.object(video, "KEPT", 0):
            source = video.VideoClips(film, grid)
        found["from_file_clips_per_s"] = clips_per_second(source, batches, index, nothing)
        work = prepare(find_geometry("mini", None), "float32", device)
        work()  # the first one also makes the optimiser's state
        found["step_clips_per_s"] = len(index) / statistics.median(seconds(work, device) for _ in range(ROUNDS))
        for workers in (0, 1):
            reading = video.Ahead(source, batches + 1, workers, device) if workers else source
            rate = clips_per_second(reading, batches, index, lambda: (work(), seconds(lambda: None, device)))
            found[f"training_clips_per_s_workers_{workers}"] = rate
    return found
