"""Lesson 3: where a tubelet looks, what that costs, and where the arithmetic of a training step goes."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from matplotlib.patches import Rectangle
from torch import Tensor

from minivjepa.figures import COLORS, ROLES, Picture, curve, finish, panels, strip
from minivjepa.figures.film_strips import digit_frames
from minivjepa.tubelets import Grid

LINES = {"attention": ["attention"], "MLP + projections": ["mlp", "projections"], "MLP": ["mlp"], "projections": ["projections"]}  # fmt: skip


def attention_map(grid: Grid, index: int, token: int, weight: Tensor, name: str) -> Picture:
    """A clip of moving handwriting with one tubelet outlined, above the weight [N] that it gives to each."""
    (t, h, w), (step, row, column) = grid.shape, np.unravel_index(token, grid.shape)
    rows = digit_frames(grid, index)[:: grid.tubelet], weight.reshape(grid.shape).numpy()
    titles, labels, limits = [f"time step {i}" for i in range(t)], ["the clip", name], (0, float(weight.max()))
    figure, axes = strip(rows, titles, 1.7, 3.7, labels, limits)
    for ax in axes[step::t]:
        ax.add_patch(Rectangle((column / w, row / h), 1 / w, 1 / h, fill=False, edgecolor=COLORS[1], lw=3))
    figure.colorbar(axes[t].images[0], ax=list(axes[t:]), label="weight")
    said = f"the weights that tubelet {token} (outlined: row {row}, column {column}, time step {step}) gives to all {grid.tokens}"
    alt, caption = (
        f"A clip of a moving digit; below, in {t} maps, {said}.",
        f"{name.capitalize()}: {said}. The brightest is {weight.max():.2f}; if all were equal, each would be {1 / grid.tokens:.3f}.",
    )
    return Picture(figure, alt, caption)


def block_cost_curves(cost: Callable[[int, int], Mapping[str, int]], dim: int, tokens: int = 1568) -> Picture:
    """FLOPs of the parts of a block over the number of tokens.  cost(n, D): by part.  tokens: where to draw a line."""
    lengths = np.geomspace(64, 16384, 60).astype(int)
    costs = [cost(int(n), dim) for n in lengths]
    figure, [ax] = panels((7, 4.4))
    for number, (name, parts) in enumerate(LINES.items(), 3):  # the first three colors are those of roles
        curve(ax, number, lengths, [sum(each[part] for part in parts) / 1e9 for each in costs], name)
    for n, name, side, height in ((4 * dim, "4 D = ", "right", 0.02), (6 * dim, "6 D = ", "left", 0.02), (tokens, "V-JEPA: ", "right", 0.1)):  # fmt: skip
        ax.axvline(n, color="black", lw=1, ls=":")
        ax.text(n, height, f" {name}{n:,} ", transform=ax.get_xaxis_transform(), ha=side)
    finish(ax, "tokens n", "GFLOP per block", f"Width D = {dim:,}")
    ax.set(xscale="log", yscale="log")
    ax.legend()
    said = f"as much as the MLP at {4 * dim:,} tokens, and as much as MLP and projections together at {6 * dim:,}"
    alt = f"Four rising lines over the number of tokens; attention rises twice as steeply as the others, and costs {said}."
    return Picture(figure, alt, f"At width {dim:,}, attention costs {said}. A V-JEPA clip has {tokens:,}.")


def measured_times(n: Sequence[int], seconds: Mapping[str, Sequence[float]], powers: Mapping[str, float]) -> Picture:
    """Measured times over the number of tokens, with the exponent that fits each, and guides of slope 1 and 2."""
    least = 500 * min(min(each) for each in seconds.values())
    figure, [ax] = panels((7, 4.4))
    for number, (name, each) in enumerate(seconds.items(), 3):
        curve(ax, number, n, 1000 * np.array(each), f"{name}: n to the {powers[name]:.1f}", "o")
    for slope in (1, 2):
        guide = least * (np.array(n) / n[0]) ** slope
        ax.plot(n, guide, color="gray", lw=1)
        ax.text(n[-1], guide[-1], f"  slope {slope}", color="gray", va="center")
    finish(ax, "tokens n", "milliseconds", "Measured on this machine")
    ax.set(xscale="log", yscale="log", xticks=n, xticklabels=[f"{length:,}" for length in n])
    ax.set_xticks([], minor=True)
    ax.legend()
    said = f"On these axes a power of n is a straight line; its slope is the power. Fitted here: {', '.join(f'{name} {slope:.1f}' for name, slope in powers.items())}."
    return Picture(figure, f"Measured times over {n[0]} to {n[-1]} tokens. {said}", said)


def flop_bars(steps: Mapping[str, Mapping[str, int]]) -> Picture:
    """One bar per name, as long as its TFLOP, cut into the components of `VJEPA.step_flops`."""
    figure, [ax] = panels((10, 1.3 + 0.7 * len(steps)))
    said = []
    for row, (name, step) in enumerate(steps.items()):
        left, parts = 0.0, {part.replace("context", "online"): flops / 1e12 for part, flops in step.items()}
        said.append(f"{name} ({', '.join(f'{role} {long:.1f}' for role, long in parts.items())})")
        for role, long in parts.items():
            bar = ax.barh(row, long, left=left, color=ROLES[role], label="" if row else role)
            ax.bar_label(bar, [f"{long:.1f}\n{long / sum(parts.values()):.0%}"], label_type="center", color="white")
            left += long
    ax.set(yticks=range(len(steps)), yticklabels=steps, xlabel="TFLOP per clip in one training step", title="Where the arithmetic goes")  # fmt: skip
    ax.invert_yaxis()
    figure.legend(loc="outside lower center", ncols=3, frameon=False)
    words = f"TFLOP per clip in one training step: {'; '.join(said)}."
    return Picture(figure, f"Bars cut into components. {words}", words)
