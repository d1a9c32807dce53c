"""Lesson 3: what attention costs, and where the arithmetic of a training step goes."""

from collections.abc import Mapping, Sequence

import numpy as np

from minivjepa.course.figures import COLORS, Picture, curves, panels
from minivjepa.transformer import block_flops


def block_cost_curves(dim: int, longest: int) -> Picture:
    """FLOPs of the three parts of a block over the number of tokens, on logarithmic axes."""
    lengths = np.unique(np.geomspace(16, longest, 60).astype(int))
    costs = [block_flops(int(n), dim) for n in lengths]
    columns = {part: (lengths, [cost[part] for cost in costs]) for part in ("attention", "projections", "mlp")}
    figure, [ax] = curves((6.6, 4), [f"Width D = {dim}"], columns, "tokens n", "FLOPs of one block")
    ax.set(xscale="log", yscale="log")
    for factor, name, side in ((4, "the MLP", "right"), (6, "all dense layers", "left")):
        ax.axvline(factor * dim, color="black", lw=1, ls=":")
        ax.text(factor * dim, ax.get_ylim()[0] * 2, f" n = {factor} D: \n passes {name} ", fontsize=10, ha=side)
    return Picture(
        figure,
        f"Three rising lines over the number of tokens for width {dim}: projections and MLP rise in proportion, attention twice as steeply.",
        f"Attention's part grows with the square of the number of tokens and all else in proportion: it costs as much as the MLP at "
        f"{4 * dim} tokens and as much as MLP and projections together at {6 * dim}.",
    )


def measured_times(
    lengths: Sequence[int], seconds: Mapping[str, Sequence[float]], slopes: Mapping[str, float]
) -> Picture:
    """Measured times over the number of tokens, with the exponent that fits each."""
    names = {name: f"{name}: n to the {slope:.1f}" for name, slope in slopes.items()}
    columns = {names[name]: (lengths, 1000 * np.array(values)) for name, values in seconds.items()}
    figure, [ax] = curves((6.6, 4), ["Measured on this machine"], columns, "tokens n", "milliseconds", "o")
    ax.set(xscale="log", yscale="log")
    ax.set_xticks(lengths, [str(n) for n in lengths])
    ax.set_xticks([], minor=True)
    said = ", ".join(f"{name} {slope:.1f}" for name, slope in slopes.items())
    alt = f"Measured times over {lengths[0]} to {lengths[-1]} tokens on logarithmic axes. Slopes: {said}."
    caption = (
        f"A straight line on these axes is a power of n, its slope the exponent. From the longer lists on: {said}."
    )
    return Picture(figure, alt, caption)


def shares_bar(shares: Mapping[str, Mapping[str, float]]) -> Picture:
    """One bar per name, cut into named shares that add up to 1."""
    figure, [ax] = panels((7.2, 0.7 + 0.6 * len(shares)))
    parts = list(next(iter(shares.values())))
    for row, share in enumerate(shares.values()):
        left = 0.0
        for number, part in enumerate(parts):
            bar = ax.barh(row, share[part], left=left, color=COLORS[number], label=part if row == 0 else None)
            ax.bar_label(bar, [f"{100 * share[part]:.0f} %"], label_type="center", color="white", fontsize=10)
            left += share[part]
    ax.set_yticks(range(len(shares)), list(shares))
    ax.invert_yaxis()
    ax.set(xlim=(0, 1), xticks=[])
    figure.legend(loc="outside lower center", ncols=len(parts), frameon=False)
    said = "; ".join(
        f"{name}: " + ", ".join(f"{part} {100 * v:.0f} %" for part, v in share.items())
        for name, share in shares.items()
    )
    return Picture(figure, f"Bars cut into shares. {said}.", f"Where the arithmetic of one training step goes. {said}.")
