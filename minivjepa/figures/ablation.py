"""Lesson 7: the fate of every arm, from a results file."""

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from minivjepa.collapse import COLLAPSED
from minivjepa.figures import COLOURS, STYLES, Picture

Results = dict[str, Any]


def _series(rows: list[dict[str, Any]], name: str) -> tuple[list[int], list[float]]:
    """Steps and values of one metric in a history; null becomes NaN."""
    return [r["step"] for r in rows], [math.nan if r[name] is None else r[name] for r in rows]


def _curves(ax: Axes, results: Results, name: str, title: str) -> None:
    """One line per run, one colour and style per arm, on a logarithmic scale."""
    for number, (arm, runs) in enumerate(results["arms"].items()):
        style, colour = STYLES[number % len(STYLES)], COLOURS[number % len(COLOURS)]
        for run in runs:
            label = arm if run is runs[0] else None
            ax.plot(*_series(run["history"], name), style, color=colour, label=label, lw=1.8, alpha=0.85)
    ax.set(xlabel="training step", title=title, yscale="log")
    ax.grid(alpha=0.25)


def final_values(results: Results, name: str) -> dict[str, list[float]]:
    """Arm -> one value per seed of an online encoder's final metric."""
    return {arm: [run["final"][name] for run in runs] for arm, runs in results["arms"].items()}


def collapse_curves(results: Results) -> Picture:
    """Loss, feature std, and what the frozen features know about motion, for every arm."""
    figure = Figure(figsize=(13, 4), layout="constrained")
    loss, std, bars = figure.subplots(1, 3)
    _curves(loss, results, "loss", "Training loss: is lower better?")
    _curves(std, results, "feature_std", "Feature std across clips: 0 = collapse")
    loss.legend(fontsize=8)
    values = final_values(results, "linear_direction")
    values["untrained"] = [row["linear_direction"] for row in results["untrained"]]
    for number, (arm, scores) in enumerate(values.items()):
        colour = COLOURS[number % len(COLOURS)] if arm in results["arms"] else "#999999"
        bars.bar(number, float(np.mean(scores)), color=colour, alpha=0.85)
        bars.plot(
            [number] * len(scores), scores, "o", color="black", markeredgecolor="white", markeredgewidth=0.5, ms=4
        )
    bars.axhline(results["chance"]["direction"], color="black", lw=1, ls=":", label="chance")
    bars.set_xticks(range(len(values)), list(values), rotation=30, ha="right")
    bars.set(title="Direction of motion, linear probe", ylabel="held-out accuracy", ylim=(0, 1))
    bars.legend(fontsize=8)
    said = ", ".join(f"{arm} {np.mean(scores):.2f}" for arm, scores in values.items())
    dead = [arm for arm, stds in final_values(results, "feature_std").items() if max(stds) < COLLAPSED]
    return Picture(
        figure,
        f"Three panels. Left: loss over training steps per arm. Middle: feature standard deviation over steps; "
        f"collapsed to below {COLLAPSED}: {', '.join(dead) or 'none'}. Right: accuracy of a linear probe for direction: {said}.",
        f"Read the middle panel, not the left one: a low loss can be a collapse. Arms whose features ended constant: {', '.join(dead) or 'none'}. "
        "Dots are seeds; the dotted line is chance.",
    )


def spectra(results: Results) -> Picture:
    """Singular values of pooled features: their scale, and their shape without it."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    plain, scaled = figure.subplots(1, 2)
    first = {arm: runs[0]["final"] for arm, runs in results["arms"].items()} | {"untrained": results["untrained"][0]}
    for number, (arm, metrics) in enumerate(first.items()):
        sigma = np.array(metrics["spectrum"])
        style = STYLES[number % len(STYLES)]
        colour = COLOURS[number % len(COLOURS)] if arm in results["arms"] else "#999999"
        label = f"{arm} (effective rank {metrics['effective_rank']:.0f})" if metrics["effective_rank"] else arm
        plain.semilogy(np.arange(1, len(sigma) + 1), sigma, style, color=colour, label=label)
        scaled.semilogy(np.arange(1, len(sigma) + 1), sigma / sigma.sum(), style, color=colour)
    plain.set(title="Singular values", xlabel="direction", ylabel="std along it")
    scaled.set(title="The same, each curve divided by its sum", xlabel="direction")
    plain.legend(fontsize=7)
    ranks = ", ".join(f"{arm} {m['effective_rank']:.0f}" for arm, m in first.items() if m["effective_rank"])
    return Picture(
        figure,
        f"Two panels of singular values of pooled online features on held-out clips, first seed. Effective ranks: {ranks}.",
        "Effective rank sees the right panel only: a collapsed arm can look rich there while the left panel shows it has no spread at all.",
    )
