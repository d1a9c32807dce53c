"""Lesson 11: what keeps a world model from collapsing."""

from typing import Any

from minivjepa.course.figures import COLORS, Picture, curves, finish, panels


def loss_against_probe(results: dict[str, Any]) -> Picture:
    """Training loss and probe score of runs with random options, with and without SIGReg: does the loss rank the runs?"""
    weights = sorted({row["weight"] for row in results["ranking"]}, reverse=True)
    figure, axes = panels((9, 3.4), len(weights))
    said = []
    for number, (ax, weight) in enumerate(zip(axes, weights)):
        rows = [row for row in results["ranking"] if row["weight"] == weight]
        ax.scatter([row["loss"] for row in rows], [row["position_r2"] for row in rows], s=18, color=COLORS[number])
        ax.set_xscale("log")
        title = f"lambda {weight:g}"
        finish(ax, "training loss at the end", "position, held-out R²", title, legend=False)
        middle, low, high = results["spearman"][str(weight)]
        said.append(f"{title}, {len(rows)} runs: rank correlation {middle:.2f} ({low:.2f} to {high:.2f})")
    words = "; ".join(said)
    return Picture(
        figure,
        f"Dots of runs with random options, the probe's score over the training loss. {words}.",
        f"Does a lower loss mean better latents? 1 would be a perfect ranking. {words}.",
    )


def spectra(values: dict[str, list[float]]) -> Picture:
    """Singular values of latents, largest first, on a logarithmic scale: one curve per run."""
    columns = {name: (range(1, len(sigma) + 1), sigma) for name, sigma in values.items()}
    title = "Spread in every direction, largest first"
    figure, [ax] = curves((6.4, 3.4), [title], columns, "direction", "spread of latents")
    ax.set_yscale("log")
    said = "; ".join(f"{name} from {sigma[0]:.2g} to {sigma[-1]:.2g}" for name, sigma in values.items())
    return Picture(
        figure, f"Spread of latents over directions: {said}.", f"How far latents spread in each direction: {said}."
    )
