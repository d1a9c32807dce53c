"""Clips as pictures (lesson 1): what clips look like, how they are cut into tubelets, and where the tokens say they are."""

from typing import Any

import numpy as np
import torch
from matplotlib.patches import Rectangle

from minivjepa.data.digits import CLIPS, ClipRules, DigitClips
from minivjepa.evaluation.judge import evaluation_clips
from minivjepa.figures import COLORS, Picture, strip
from minivjepa.training.config import Config
from minivjepa.tubelets import Grid

MOST = 8  # frames that are drawn
HEADINGS = ("right", "down right", "down", "down left", "left", "up left", "up", "up right")


def displayed(clip: torch.Tensor, scale: tuple[Any, Any] = CLIPS.pixel_scale) -> np.ndarray:
    """Normalised clips [B, C, T, H, W] -> colors 0..1 [B, T, H, W, C], ready to be drawn.

    scale: mean and standard deviation of the pixels, a number or one for each channel.
    """
    mean, std = (torch.tensor(value).reshape(-1, 1, 1, 1) for value in scale)
    return (clip.cpu() * std + mean).clamp(0, 1).permute(0, 2, 3, 4, 1).numpy()


def film_strip(grid: Grid, count: int = 3, rules: ClipRules = CLIPS) -> Picture:
    """The first `count` clips that encoders are tested on, frame by frame, with what is in them written beside."""
    config = Config(grid=grid, clips=rules)
    clip, factors = evaluation_clips(config, "test", torch.device("cpu")).batch(0, torch.arange(count))
    photographs = rules.shows == "photographs"
    what = "photo " if photographs else ""
    rows = [f"{what}{digit} moves\n{HEADINGS[way]}" for digit, way in zip(factors.identity, factors.direction)]
    titles = [f"frame {number}" for number in range(grid.frames)]
    figure, _ = strip(list(displayed(clip, rules.pixel_scale)), titles, 1.2, 1.35 * count, rows)
    said = "; ".join(row.replace("\n", " ") for row in rows)
    return Picture(
        figure,
        f"{count} clips of {grid.frames} frames of {grid.height} by {grid.width} pixels, one per row: {said}.",
        "What the encoder gets: a window that slides over a photograph at constant speed."
        if photographs
        else "What the encoder gets: real handwriting at constant speed over a noisy frame whose edges are joined, so a "
        "digit that leaves on one side comes back on the other."
        + (f" Behind it is a background ({rules.background})." if rules.strength else ""),
    )


def digit_frames(grid: Grid, index: int = 0) -> np.ndarray:
    """Frames 0..1 [T, H, W, 3] of one clip of moving handwriting, ready to be drawn."""
    clip, _ = DigitClips(grid).batch(0, torch.tensor([index]))
    return displayed(clip)[0]


def cut_up(grid: Grid, token: int = 0) -> Picture:
    """The first frames of a clip with the cuts drawn in, and one tubelet outlined in all its frames."""
    t, h, w = grid.shape
    token = token % grid.tokens
    step, row, column = np.unravel_index(token, grid.shape)
    first = max(0, min(int(step) * grid.tubelet, grid.frames - MOST))
    shown = range(first, min(grid.frames, first + MOST))
    titles = [f"frame {number}\ntime step {number // grid.tubelet}" for number in shown]
    figure, axes = strip([digit_frames(grid)[shown]], titles, 1.5, 2.1)
    for ax, number in zip(axes, shown):
        ax.hlines(np.arange(1, h) / h, 0, 1, color="white", lw=0.5)
        ax.vlines(np.arange(1, w) / w, 0, 1, color="white", lw=0.5)
        if number // grid.tubelet == step:
            ax.add_patch(Rectangle((column / w, row / h), 1 / w, 1 / h, fill=False, edgecolor=COLORS[4], lw=3))
    where = f"time step {step}, row {row}, column {column}"
    return Picture(
        figure,
        f"{len(shown)} frames of a clip, each cut into {h} by {w} squares; one square is outlined in {grid.tubelet} frames.",
        f"{grid.frames} frames of {grid.height} x {grid.width} pixels, tubelets of {grid.tubelet} frames x {grid.patch} x {grid.patch} pixels: "
        f"{t} x {h} x {w} = {grid.tokens} tokens. Outlined: token {token}, at {where}.",
    )


def position_map(grid: Grid, table: torch.Tensor, token: int) -> Picture:
    """How alike the position of one token is to that of every other, one panel per time step.  table: positions [N, D]."""
    t, h, w = grid.shape
    alike = torch.cosine_similarity(table, table[token], dim=1).reshape(t, h, w).numpy()
    titles = [f"time step {number}" for number in range(t)]
    figure, axes = strip([alike], titles, 2, 2.4, limits=(alike.min(), 1))
    figure.colorbar(axes[0].images[0], ax=list(axes), label="cosine")
    step, row, column = np.unravel_index(token, grid.shape)
    axes[step].plot((column + 0.5) / w, (row + 0.5) / h, "x", color=COLORS[1], ms=9, mew=2)
    alt = f"{t} maps of {h} by {w} squares; brightest at the cross, in row {row} and column {column} of time step {step}, and darker away from it."
    caption = f"Cosine between the position vector of token {token} (cross) and each of the {grid.tokens}: places that are close in space and time have similar vectors. The darkest is {alike.min():.2f}, not 0."
    return Picture(figure, alt, caption)
