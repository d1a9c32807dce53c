"""Clips to train on: moving handwriting and photographs with known factors, and real video files."""

from pathlib import Path

import torch

from minivjepa.data.digits import CLIPS, ClipRules, DigitClips
from minivjepa.data.photographs import PhotoClips
from minivjepa.data.video import IMAGENET_MEAN, IMAGENET_STD, Color, VideoClips
from minivjepa.tubelets import Grid

ROOMS = ((0.2,) * 3, (0.25,) * 3)  # mean and std by which pixels of rooms are normalised
KnownClips = DigitClips | PhotoClips


def pixel_scale(data: str, rules: ClipRules) -> tuple[Color, Color]:
    """Mean and standard deviation, per channel, by which the pixels of a run's data are normalised."""
    if data == "digits":
        mean, std = rules.pixel_scale
        return (mean,) * 3, (std,) * 3
    return ROOMS if data == "rooms" else (IMAGENET_MEAN, IMAGENET_STD)


def known_clips(grid: Grid, split: str, seed: int, device: torch.device, rules: ClipRules = CLIPS) -> KnownClips:
    """Clips in which everything is known: moving digits, or photographs if the rules say so."""
    return (PhotoClips if rules.shows == "photographs" else DigitClips)(grid, split, seed, str(device), rules)


def open_data(
    data: str, grid: Grid, seed: int, device: torch.device, rules: ClipRules, split: str = "train", strict: bool = False
) -> KnownClips | VideoClips:
    """Clips as `rules` say for "digits", or from the path of a video file or of a folder of them, which has no splits.

    seed: decides all clips.  device: where they go.  strict: as for VideoClips.  Raises ValueError for a path that cannot be
    used, and for rules that would change nothing.
    """
    if data == "digits":
        return known_clips(grid, split, seed, device, rules)
    if data == "rooms":
        raise ValueError("--data rooms names the robots' rooms; for a folder of that name give ./rooms")
    if rules != CLIPS:
        raise ValueError(f"--clips.* says what digits look like, and --data is {data}; leave --clips.* out")
    return VideoClips(Path(data), grid, seed, str(device), strict=strict)
