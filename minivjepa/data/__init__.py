"""Clips to train on: moving handwriting with known factors, and real video files."""

from pathlib import Path

import torch

from minivjepa.data.digits import CLIPS, ClipRules, DigitClips
from minivjepa.data.video import VideoClips
from minivjepa.tubelets import Grid

# mean and std by which the pixels of a run's data are normalised; real video: ImageNet's, in video.py
PIXELS = {"digits": ((CLIPS.mean,) * 3, (CLIPS.std,) * 3), "rooms": ((0.2,) * 3, (0.25,) * 3)}


def open_data(
    data: str, grid: Grid, seed: int, device: torch.device, rules: ClipRules = CLIPS
) -> DigitClips | VideoClips:
    """Training clips: "digits", or the path of a video file or of a folder of them.

    seed: decides all clips.  device: where they go.  rules: how digits look.  Raises ValueError for a path that cannot be used.
    """
    if data == "digits":
        return DigitClips(grid, "train", seed, str(device), rules)
    return VideoClips(Path(data), grid, seed, str(device))
