"""Clips to train on: moving handwriting and photographs with known factors, and real video files."""

from pathlib import Path

import torch

from minivjepa.data.digits import CLIPS, ClipRules, DigitClips
from minivjepa.data.photographs import MEAN, STD, PhotoClips
from minivjepa.data.video import IMAGENET_MEAN, IMAGENET_STD, Color, VideoClips
from minivjepa.tubelets import Grid

ROOMS = ((0.2,) * 3, (0.25,) * 3)  # mean and std by which pixels of rooms are normalised


def pixel_scale(data: str, rules: ClipRules) -> tuple[Color, Color]:
    """Mean and standard deviation, per channel, by which the pixels of a run's data are normalised."""
    if data == "digits":
        return (rules.mean,) * 3, (rules.pixel_std,) * 3
    return {"rooms": ROOMS, "photographs": ((MEAN,) * 3, (STD,) * 3)}.get(data, (IMAGENET_MEAN, IMAGENET_STD))


def open_data(
    data: str, grid: Grid, seed: int, device: torch.device, rules: ClipRules = CLIPS, split: str = "train"
) -> DigitClips | PhotoClips | VideoClips:
    """Clips of "digits" or "photographs", or from the path of a video file or of a folder of them, which has no splits.

    seed: decides all clips.  device: where they go.  rules: how digits look.  Raises ValueError for a path that cannot be used,
    and for rules that would change nothing.
    """
    if data == "digits":
        return DigitClips(grid, split, seed, str(device), rules)
    if rules != CLIPS:
        raise ValueError(f"--clips.* says how digits look, and --data is {data}; leave --clips.* out")
    if data == "photographs":
        return PhotoClips(grid, split, seed, str(device))
    return VideoClips(Path(data), grid, seed, str(device))
