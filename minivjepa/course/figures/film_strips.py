"""Lessons 1 and 2: what clips and masks look like."""

import numpy as np
import torch

from minivjepa.course.figures import Picture, strip
from minivjepa.data.digits import CLIPS
from minivjepa.evaluation.judge import evaluation_clips
from minivjepa.tubelets import Grid

HEADINGS = ("right", "down right", "down", "down left", "left", "up left", "up", "up right")


def displayed(clip: torch.Tensor) -> np.ndarray:
    """Normalised clips of moving handwriting [B, C, T, H, W] -> colors 0..1 [B, T, H, W, C], ready to be drawn."""
    return (clip * CLIPS.std + CLIPS.mean).clamp(0, 1).permute(0, 2, 3, 4, 1).numpy()


def film_strip(grid: Grid, count: int = 3) -> Picture:
    """The first `count` clips that encoders are tested on, frame by frame, with what is in them written beside."""
    clip, factors = evaluation_clips(grid, "test", torch.device("cpu")).batch(0, torch.arange(count))
    rows = [f"{i} moves\n{HEADINGS[d]}" for i, d in zip(factors.identity.tolist(), factors.direction.tolist())]
    titles = [f"frame {number}" for number in range(grid.frames)]
    figure, _ = strip(list(displayed(clip)), titles, 1.2, 1.35 * count, rows)
    said = "; ".join(row.replace("\n", " ") for row in rows)
    return Picture(
        figure,
        f"{count} clips of {grid.frames} frames of {grid.height} by {grid.width} pixels, one per row: {said}.",
        "What the encoder gets: real handwriting at constant speed over a noisy frame whose edges are joined, so a "
        "digit that leaves on one side comes back on the other.",
    )
