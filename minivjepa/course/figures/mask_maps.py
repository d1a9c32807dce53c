"""Lesson 2: what a mask shows, what it hides, and what the batch throws away."""

from collections.abc import Mapping

import numpy as np
import torch
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch
from torch import Tensor

from minivjepa.course.figures import COLORS, Picture, curve, finish, panels, show
from minivjepa.course.figures.tubelet_grids import digit_frames
from minivjepa.masking import MaskPair, parse_mask
from minivjepa.tubelets import Grid

DARK = 0.85  # how opaque a cover is
NEITHER = "#bbbbbb"  # light: visible frames are mostly dark


def states(grid: Grid, pair: MaskPair, row: int = 0) -> Tensor:
    """int64 [t, h, w] of one clip of a batch: 0 seen (context), 1 to predict (target), 2 neither."""
    context, target = pair
    state = torch.full((grid.tokens,), 2)
    state[target[row]] = 1
    state[context[row]] = 0
    return state.reshape(grid.shape)


def masked_strip(grid: Grid, pair: MaskPair, name: str, row: int = 0) -> Picture:
    """One frame per time step of a clip of moving handwriting, with what the encoder does not see covered."""
    state = states(grid, pair, row)
    t = grid.shape[0]
    frames = digit_frames(grid, row)[:: grid.tubelet]
    covers = ListedColormap(["#ffffff", COLORS[0], NEITHER])
    figure, axes = panels((1.6 * t, 2.3), t)
    for number, ax in enumerate(axes):
        show(ax, frames[number], f"time step {number}")
        cover = np.kron(state[number].numpy(), np.ones((grid.patch, grid.patch)))
        ax.imshow(cover, cmap=covers, vmin=0, vmax=2, alpha=np.where(cover > 0, DARK, 0), interpolation="nearest")
    seen, hidden, lost = (int((state == kind).sum()) for kind in range(3))
    kinds = [("picture: seen", "white"), ("to predict", COLORS[0]), ("neither", NEITHER)][: 3 if lost else 2]
    handles = [Patch(facecolor=color, edgecolor="black", label=label) for label, color in kinds]
    figure.legend(handles=handles, loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    figure.suptitle(name, fontsize=9)
    return Picture(
        figure,
        f"{t} frames of a clip under the mask {name}: {seen} squares show the picture, {hidden} are covered in blue, {lost} in grey.",
        f"Mask {name}: of {grid.tokens} tubelets the encoder sees {seen}, {hidden} are to be predicted, {lost} are neither.",
    )


def draw_mask(name: str, side: int, batch: int, step: int) -> Picture:
    """A mask by name on 16 frames of side x side pixels in patches of 16: the first clip of a batch."""
    grid = Grid(16, side, side)
    return masked_strip(grid, parse_mask(name).sample(grid, 0, step, torch.arange(batch)), name)


def heat_maps(maps: Mapping[str, Tensor], what: str) -> Picture:
    """Shares [t, h, w] in 0..1, one row of panels per name, one panel per time step."""
    t = next(iter(maps.values())).shape[0]
    figure, axes = panels((1.5 * t, 1.75 * len(maps)), t, len(maps))
    for row, (name, shares) in zip(axes.reshape(len(maps), t), maps.items()):
        row[0].set_ylabel(name.replace(" ", "\n"), fontsize=8)
        for ax, share in zip(row, shares):
            image = ax.imshow(share, vmin=0, vmax=1, cmap="viridis")
            ax.set(xticks=[], yticks=[])
    for number, ax in enumerate(axes[:t]):
        ax.set_title(f"time step {number}", fontsize=8)
    figure.colorbar(image, ax=list(axes), label=what, shrink=0.8)
    means = "; ".join(f"{name} {100 * float(shares.mean()):.0f} %" for name, shares in maps.items())
    return Picture(
        figure,
        f"Heat maps, one row per mask and one column per time step, of the {what}. Means: {means}.",
        f"Over many draws, the {what}, by place and time step. Means: {means}.",
    )


def survival_curves(curves: Mapping[str, list[float]]) -> Picture:
    """Per name, the share of ids that survive the cut, by time step."""
    figure, [ax] = panels((6.4, 3.6))
    for number, (name, shares) in enumerate(curves.items()):
        curve(ax, number, range(len(shares)), shares, name, "os"[number % 2])
    ax.set_ylim(0, 1.03)
    finish(ax, "time step", "share that is left", "The cut takes from the end")
    last = ", ".join(f"{name} {100 * shares[-1]:.0f} %" for name, shares in curves.items())
    return Picture(
        figure,
        f"Curves over {len(next(iter(curves.values())))} time steps that start at 1 and fall. Left in the last time step: {last}.",
        f"How much of a clip's own context and target is left after the batch was cut to its smallest count. In the last time step: {last}.",
    )
