"""Lesson 11: what keeps a world model from collapsing."""

from typing import Any

from matplotlib.figure import Figure

from minivjepa.course.figures import COLORS, STYLES, Picture


def loss_against_probe(results: dict[str, Any]) -> Picture:
    """Training loss and probe score of runs with random options, with and without SIGReg: does the loss rank the runs?"""
    weights = sorted({row["weight"] for row in results["ranking"]}, reverse=True)
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    said = []
    for number, (ax, weight) in enumerate(zip(figure.subplots(1, len(weights), squeeze=False)[0], weights)):
        rows = [row for row in results["ranking"] if row["weight"] == weight]
        ax.scatter([row["loss"] for row in rows], [row["position_r2"] for row in rows], s=18, color=COLORS[number])
        title = f"lambda {weight:g}"
        ax.set(xscale="log", xlabel="training loss at the end", ylabel="position, held-out R²", title=title)
        ax.grid(alpha=0.25)
        middle, low, high = results["spearman"][str(weight)]
        said.append(f"{title}, {len(rows)} runs: rank correlation {middle:.2f} ({low:.2f} to {high:.2f})")
    words = "; ".join(said)
    return Picture(
        figure,
        f"Dots of runs with random options, the probe's score over the training loss. {words}.",
        f"Does a lower loss mean better latents? 1 would be a perfect ranking. {words}.",
    )


def spectra(curves: dict[str, list[float]]) -> Picture:
    """Singular values of latents, largest first, on a logarithmic scale: one curve per run."""
    figure = Figure(figsize=(6.4, 3.4), layout="constrained")
    ax = figure.subplots()
    for number, (name, values) in enumerate(curves.items()):
        ax.plot(range(1, len(values) + 1), values, STYLES[number % 4], color=COLORS[number % 7], label=name)
    ax.set(
        yscale="log", xlabel="direction", ylabel="spread of latents", title="Spread in every direction, largest first"
    )
    ax.grid(alpha=0.25)
    ax.legend(fontsize=8)
    said = "; ".join(f"{name} from {values[0]:.2g} to {values[-1]:.2g}" for name, values in curves.items())
    return Picture(
        figure, f"Spread of latents over directions: {said}.", f"How far latents spread in each direction: {said}."
    )
