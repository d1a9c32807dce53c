"""Clips from real video files, through PyAV.

Built in lesson 8.  Every STRIDE-th frame from a random start, then the preprocessing of V-JEPA's evaluation: shortest side
scaled to crop * 256 / 224, a centre crop, ImageNet statistics.  Its training crops and flips at random, and takes every 4th frame.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm import tqdm

from minivjepa import randomness
from minivjepa.data.film import UnusableVideo, film
from minivjepa.data.find_videos import SUFFIXES, Reasons, find_videos
from minivjepa.tubelets import Grid

Color = tuple[float, ...]  # one number per channel
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
STRIDE = 2  # source frames per clip frame; fewer in files that are too short for it
KEPT = 2**30  # bytes of decoded frames, at clip size, that stay in memory
AHEAD = 2  # batches that each reading thread may be ahead of training


@dataclass(frozen=True)
class VideoFile:
    """A file that was decoded once, up to its end or its damage.

    times: when each frame is shown, in the file's units, None if the file does not say, or if seeking gives other
    frames, as in an AVI file whose palette comes with the first one.  pixels: all frames at clip size,
    uint8 [frames, 3, H, W], or None if they are too many to keep.
    """

    path: Path
    times: list[int | None]
    pixels: Tensor | None


def decode(path: Path) -> Iterator[tuple[float, np.ndarray]]:
    """All frames of a file in order: (seconds from its start, uint8 [H, W, 3]).  Raises ValueError like film."""
    first = None
    for number, frame in enumerate(film(path)):
        seconds = number / frame.rate if frame.raw.time is None else frame.raw.time
        first = seconds if first is None else first
        yield seconds - first, frame.picture()


def read_frames(file: VideoFile, numbers: range) -> list[np.ndarray]:
    """Some frames of a file, uint8 [H, W, 3] each, decoded from a key frame before the first, or else from the start."""
    wanted: list[Any] = [file.times[number] for number in numbers]
    found: dict[int, np.ndarray] = {}
    if None not in wanted:
        with contextlib.suppress(ValueError):  # some files can only be read from their start
            for number, frame in enumerate(film(file.path, since=wanted[0])):
                if frame.time is None or (number == 0 and not frame.raw.key_frame):
                    break
                if frame.time in wanted:
                    found[frame.time] = frame.picture()
                if frame.time >= wanted[-1]:
                    break
    if list(found) == wanted:
        return list(found.values())
    return [frame.picture() for frame in islice(film(file.path), numbers.start, numbers.stop, numbers.step)]


def resize_and_crop(frames: Tensor, height: int, width: int) -> Tensor:
    """uint8 [T, H, W, 3] -> uint8 [T, 3, height, width]: scale the shortest side, then crop the centre."""
    x = frames.permute(0, 3, 1, 2).float()  # [T, 3, H, W]
    margin = 256 / 224
    scale = max(int(height * margin) / x.shape[2], int(width * margin) / x.shape[3])
    size = (max(height, round(x.shape[2] * scale)), max(width, round(x.shape[3] * scale)))
    x = F.interpolate(x, size=size, mode="bilinear", antialias=True, align_corners=False)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    return x[:, :, top : top + height, left : left + width].round().clamp(0, 255).to(torch.uint8)


def normalise(frames: Tensor, mean: Color = IMAGENET_MEAN, std: Color = IMAGENET_STD) -> Tensor:
    """uint8 [T, 3, H, W] -> float32 [3, T, H, W], normalised by a mean and standard deviation per color."""
    middle, spread = (torch.tensor(v).reshape(1, 3, 1, 1) for v in (mean, std))
    return ((frames.float() / 255 - middle) / spread).transpose(0, 1).contiguous()


def say(line: str) -> None:
    """Write a line beside the progress bar, once for all processes of a training."""
    if os.environ.get("RANK", "0") == "0":
        tqdm.write(line, file=sys.stderr)


class VideoClips:
    """Clips from a video file or from all video files in a folder.

    path: a file or a folder.  grid: size of a clip.  seed: decides the file and the start of each sample.
    device: where clips go.  strict: refuse damaged videos, and a folder in which a video cannot be used; otherwise what
    comes before the damage is used, other videos are left out, and a line says so.
    Raises ValueError if the path is missing or holds no video that can be used.
    """

    def __init__(self, path: Path, grid: Grid, seed: int = 0, device: str = "cpu", strict: bool = False):
        if grid.channels != 3:
            raise ValueError(f"video is read in color: --grid.channels is {grid.channels}, expected 3")
        self.grid, self.seed, self.device, self.strict = grid, seed, torch.device(device), strict
        if not path.exists():
            raise ValueError(f"video path {path} does not exist; give a video file or a folder of them")
        found, left_out = find_videos(path) if path.is_dir() else ([path], {})
        self.files: list[VideoFile] = []
        self.kept = 0  # bytes of all frames that are kept
        for file in tqdm(found, desc="reading video", unit="file", leave=False):
            try:
                self.files.append(self.open(file))
            except UnusableVideo as error:
                if strict or not path.is_dir():
                    raise
                left_out.setdefault(error.reason, []).append(file.name)
        self.report(path, left_out)

    def report(self, path: Path, left_out: Reasons) -> None:
        """Say which files of a folder were left out; raise ValueError if none could be used."""
        why = "; ".join(f"{len(of)} {why}: {of[0]}{' ...' * (len(of) > 1)}" for why, of in left_out.items()) or "none"
        if not self.files:
            expected = f"expected files ending in {', '.join(SUFFIXES)}"
            raise ValueError(f"folder {path} holds no video; {expected} (left out: {why})")
        if path.is_dir():
            say(f"{path}: {len(self.files)} videos used; left out: {why}")

    def open(self, path: Path) -> VideoFile:
        """Decode a file once, up to its damage; keep its frames at clip size while all files together stay below KEPT bytes."""
        times, small, damage, transparent = [], [], "", False
        try:
            for number, frame in enumerate(film(path)):
                times.append(frame.time)
                transparent = transparent or frame.transparent()
                if number & (number + 1) == 0:  # 0, 1, 3, 7 ...: the last of them is in the second half
                    late = number, frame
                if self.kept + 3 * self.grid.height * self.grid.width * len(times) <= KEPT:
                    small.append(self.shrink(frame.picture()))
        except UnusableVideo as error:
            if self.strict or not times:
                raise
            damage = error.reason
        if len(times) < self.grid.frames:
            needs = f"{damage or f'has {len(times)} frames'}, a clip needs {self.grid.frames}"
            raise UnusableVideo(path, needs, "give a longer video or fewer --grid.frames")
        if transparent:
            say(f"{path} is transparent; it is shown on black")
        if damage:
            say(f"{path} {damage}; what comes before is used")
        if len(small) == len(times):
            self.kept += sum(part.numel() for part in small)
            return VideoFile(path, times, torch.cat(small))
        file = VideoFile(path, times, None)
        for n, seen in (late, (number, frame)):
            if not np.array_equal(read_frames(file, range(n, n + 1))[0], seen.picture()):
                return VideoFile(path, [None] * len(times), None)
        return file

    def shrink(self, frame: np.ndarray) -> Tensor:
        """One decoded frame at clip size, uint8 [1, 3, H, W]."""
        return resize_and_crop(torch.from_numpy(frame)[None], self.grid.height, self.grid.width)

    def batch(self, step: int, index: Tensor) -> tuple[Tensor, None]:
        """Clips [B, C, T, H, W] for the global sample indices int64 [B] at this step; real video has no factors."""
        u = randomness.uniform(randomness.keys("video", self.seed, step, index.cpu()), 2).tolist()
        return torch.stack([self.clip(*row) for row in u]).to(self.device), None

    def clip(self, which: float, start: float) -> Tensor:
        """float32 [C, T, H, W]: the file and its start are chosen by two numbers in [0, 1)."""
        file = self.files[int(which * len(self.files))]
        frames = len(file.times)
        stride = min(STRIDE, (frames - 1) // max(1, self.grid.frames - 1)) or 1
        span = (self.grid.frames - 1) * stride + 1
        first = int(start * (frames - span + 1))
        if file.pixels is not None:
            return normalise(file.pixels[first : first + span : stride])
        wanted = read_frames(file, range(first, first + span, stride))
        return normalise(torch.cat([self.shrink(frame) for frame in wanted]))


class Ahead:
    """The same clips as `source`, decoded and scaled ahead of time by `workers` threads (at least 1).

    steps: where training ends.  device: where clips go.  All steps must ask for the same sample indices.
    """

    def __init__(self, source: VideoClips, steps: int, workers: int, device: torch.device):
        self.source, self.steps, self.workers, self.device = source, steps, workers, device
        # threads, not processes: a forked process waits for ever for the threads of a decoder that its parent had
        self.pool = ThreadPoolExecutor(workers)
        self.ready: dict[int, Future[tuple[Tensor, None]]] = {}  # by step

    def batch(self, step: int, index: Tensor) -> tuple[Tensor, None]:
        """Clips [B, C, T, H, W] for the global sample indices int64 [B] at this step."""
        if not 0 <= step < self.steps:  # the monitor's clips
            return self.source.batch(step, index)[0].to(self.device), None
        coming = range(step, min(self.steps, step + 1 + AHEAD * self.workers))
        self.ready = {n: self.ready.get(n) or self.pool.submit(self.source.batch, n, index.cpu()) for n in coming}
        clip, _ = self.ready[step].result()
        return (clip.pin_memory() if self.device.type == "cuda" else clip).to(self.device, non_blocking=True), None


def read_clip(path: Path, grid: Grid, start: float, stride: int) -> tuple[Tensor, list[float]]:
    """One clip of a file from second `start` on: frames uint8 [T, 3, H, W], and the second at which each is shown.

    Raises ValueError if the file cannot be read, or ends before the clip does.
    """
    frames: list[Tensor] = []
    seconds: list[float] = []
    later = (pair for pair in decode(path) if pair[0] >= start - 1e-3)  # times in files are rounded
    for number, (second, frame) in enumerate(later):
        if number % stride == 0:
            frames.append(resize_and_crop(torch.from_numpy(frame)[None], grid.height, grid.width))
            seconds.append(second)
        if len(frames) == grid.frames:
            return torch.cat(frames), seconds
    found = f"{len(frames)} frames from second {start:g} on with stride {stride}"
    raise ValueError(f"video {path} gives {found}, a clip needs {grid.frames}; reduce --start, --stride or the frames")
