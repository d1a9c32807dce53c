"""Lesson 2: what a mask shows, what it hides, and what the batch throws away."""

from collections.abc import Mapping

import numpy as np
import torch
from einops import repeat
from matplotlib.colors import to_rgb
from matplotlib.patches import Patch
from torch import Tensor

from minivjepa.figures import HIDDEN, Picture, curves, strip
from minivjepa.figures.film_strips import digit_frames
from minivjepa.masking import MaskPair, parse_mask
from minivjepa.tubelets import Grid

KINDS = {"uncovered: seen": "white", "to predict": HIDDEN, "neither": "#bbbbbb"}  # light: frames are mostly dark


def masked_strip(grid: Grid, pair: MaskPair, name: str, row: int = 0) -> Picture:
    """One frame per time step of a clip of moving handwriting, with what the encoder does not see covered."""
    context, target = pair
    state = torch.full((grid.tokens,), 2)  # 0 seen (context), 1 to predict (target), 2 neither
    state[target[row]] = 1
    state[context[row]] = 0
    seen, hidden, lost = state.bincount(minlength=3).tolist()
    pixels = repeat(state.reshape(grid.shape), "t h w -> t (h p) (w q)", p=grid.patch, q=grid.patch).numpy()
    paint = np.array([to_rgb(color) for color in KINDS.values()])[pixels]  # [t, H, W, 3]
    frames = digit_frames(grid, row)[:: grid.tubelet]
    titles = [f"time step {step}" for step in range(len(frames))]
    figure, _ = strip([np.where(pixels[..., None] > 0, paint, frames)], titles, 1.6, 2.3)
    handles = [Patch(facecolor=color, edgecolor="black", label=kind) for kind, color in KINDS.items()]
    handles = handles if lost else handles[:2]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, frameon=False)
    figure.suptitle(name, fontsize=10)
    alt = f"{len(frames)} frames of a clip under a mask, {name}: {seen} squares show the picture, {hidden} are covered in blue, {lost} in gray."
    neither = f", and {lost} are neither" if lost else ""
    caption = f"{name.capitalize()}: of {grid.tokens} tubelets, the encoder sees K = {seen}; M = {hidden} are to be predicted{neither}."
    return Picture(figure, alt, caption)


def draw_mask(name: str, side: int, batch: int, step: int) -> Picture:
    """A mask by name on 16 frames of side x side pixels in patches of 16: the first clip of a batch."""
    grid = Grid(16, side, side)
    return masked_strip(grid, parse_mask(name).sample(grid, 0, step, torch.arange(batch)), f"{name}, batch of {batch}")


def heat_maps(maps: Mapping[str, Tensor], what: str) -> Picture:
    """Shares [t, h, w] in 0..1, one row of panels per name, one panel per time step."""
    rows = [list(shares) for shares in maps.values()]
    titles = [f"time step {step}" for step in range(len(rows[0]))]
    labels = [name.replace(" ", "\n") for name in maps]
    figure, axes = strip(rows, titles, 1.5, 1.75 * len(maps), labels, (0, 1))
    figure.colorbar(axes[0].images[0], ax=list(axes), label=what, shrink=0.8)
    means = "; ".join(f"{name} {100 * float(shares.mean()):.0f} %" for name, shares in maps.items())
    alt = f"Heat maps of the {what}, one row per mask and one column per time step. Means: {means}."
    caption = f"The {what}, over many draws, by place and time step. Means: {means}."
    return Picture(figure, alt, caption)


def survival_curves(left: Mapping[str, list[float]]) -> Picture:
    """Per name, the share of ids that survive the cut, by time step."""
    columns = {name: (range(len(shares)), shares) for name, shares in left.items()}
    figure, [ax] = curves((6.4, 3.6), ["The cut hits the end hardest"], columns, "time step", "share that's left", "o")
    ax.set_ylim(0, 1.03)
    ax.legend()
    last = ", ".join(f"{name} {100 * shares[-1]:.0f} %" for name, shares in left.items())
    alt = f"Curves over {len(next(iter(left.values())))} time steps that start near 1 and fall. Left in the last time step: {last}."
    caption = f"How much of a clip's own context and target is left once the batch is cut to its smallest count. In the last time step: {last}."
    return Picture(figure, alt, caption)
