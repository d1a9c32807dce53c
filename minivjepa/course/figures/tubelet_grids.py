"""Lesson 1: how a clip is cut into tubelets, and where the tokens say they are."""

import numpy as np
import torch
from matplotlib.patches import Rectangle

from minivjepa.course.figures import COLORS, Picture, panels, show
from minivjepa.course.figures.film_strips import displayed
from minivjepa.data.digits import DigitClips
from minivjepa.tubelets import Grid, sincos_positions

MOST = 8  # frames that are drawn


def digit_frames(grid: Grid, index: int = 0) -> np.ndarray:
    """Frames 0..1 [T, H, W, 3] of one clip of moving handwriting, ready to be drawn."""
    clip, _ = DigitClips(grid).batch(0, torch.tensor([index]))
    return displayed(clip)[0]


def cut_up(grid: Grid, token: int = 0) -> Picture:
    """The first frames of a clip with the cuts drawn in, and one tubelet outlined in all its frames."""
    t, h, w = grid.shape
    token = token % grid.tokens
    step, row, column = token // (h * w), token // w % h, token % w
    first = max(0, min(step * grid.tubelet, grid.frames - MOST))
    shown = range(first, min(grid.frames, first + MOST))
    frames = digit_frames(grid)
    figure, axes = panels((1.5 * len(shown), 2.1), len(shown))
    for ax, number in zip(axes, shown):
        show(ax, frames[number], f"frame {number}\ntime step {number // grid.tubelet}")
        for line in range(1, h):
            ax.axhline(line * grid.patch - 0.5, color="white", lw=0.5)
        for line in range(1, w):
            ax.axvline(line * grid.patch - 0.5, color="white", lw=0.5)
        if number // grid.tubelet == step:
            corner = (column * grid.patch - 0.5, row * grid.patch - 0.5)
            ax.add_patch(Rectangle(corner, grid.patch, grid.patch, fill=False, edgecolor=COLORS[4], lw=3))
    where = f"time step {step}, row {row}, column {column}"
    return Picture(
        figure,
        f"{len(shown)} frames of a clip, each cut into {h} by {w} squares; one square is outlined in {grid.tubelet} frames.",
        f"{grid.frames} frames of {grid.height} x {grid.width} pixels, tubelets of {grid.tubelet} frames x {grid.patch} x {grid.patch} pixels: "
        f"{t} x {h} x {w} = {grid.tokens} tokens. Outlined: token {token}, at {where}.",
    )


def position_map(grid: Grid, dims: int, token: int) -> Picture:
    """How alike the position of one token is to that of every other, one panel per time step."""
    t, h, w = grid.shape
    table = sincos_positions(grid, dims)
    table = table / table.norm(dim=1, keepdim=True)
    alike = (table @ table[token]).reshape(t, h, w).numpy()
    figure, axes = panels((2 * t, 2.4), t)
    for number, ax in enumerate(axes):
        image = ax.imshow(alike[number], vmin=alike.min(), vmax=1, cmap="viridis")
        ax.set(xticks=[], yticks=[])
        ax.set_title(f"time step {number}", fontsize=8)
    figure.colorbar(image, ax=list(axes), label="cosine")
    step, row, column = token // (h * w), token // w % h, token % w
    axes[step].plot(column, row, "x", color=COLORS[1], ms=9, mew=2)
    return Picture(
        figure,
        f"{t} maps of {h} by {w} squares; brightest at the cross, in row {row} and column {column} of time step {step}, and darker away from it.",
        f"Cosine between the position vector of token {token} (cross) and all {grid.tokens} of them: near in time, height and width is alike.",
    )
