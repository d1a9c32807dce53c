"""Figures that only the pages of results need."""

from typing import Any

import numpy as np

from minivjepa.evaluation.statistics import rate_in_words
from minivjepa.figures import COLORS, Picture, finish, panels
from minivjepa.figures.arm_curves import Results, finals, look

NAMES = {
    "random": "random actions",
    "straight": "straight to the goal",
    "untrained": "untrained encoder, frozen",
    "vjepa": "V-JEPA encoder, frozen",
    "lewm": "LeWorldModel",
    "oracle": "oracle",
}


def mask_scatter(results: Results) -> Picture:
    """Motion against identity, one point per run, for arms that differ only in their masks."""
    figure, [ax] = panels((6.4, 5))
    said = []
    for number, (name, runs) in enumerate(finals(results).items()):
        x, y = ([run[metric] for run in runs] for metric in ("linear_direction", "attentive_identity"))
        color, _ = look(name, number)
        ax.plot(x, y, "o", color=color, ms=4, alpha=0.5)
        ax.plot(np.mean(x), np.mean(y), "s", color=color, ms=9, label=name)
        said.append(f"{name} {np.mean(x):.2f} and {np.mean(y):.2f}")
    ax.axvline(results["chance"]["direction"], color="black", lw=1, ls=":")
    ax.axhline(results["chance"]["identity"], color="black", lw=1, ls=":")
    ax.set(xlim=(0, 1), ylim=(0, 1))
    ylabel, title = "identity of the digit, attentive probe", "What you hide decides what is learned"
    finish(ax, "direction of motion, linear probe", ylabel, title)
    return Picture(
        figure,
        f"Scatter plot of accuracy for direction and for identity, by mask. Means: {'; '.join(said)}.",
        "The same encoder, trained under different masks. Dots are seeds, squares their means, dotted lines chance.",
    )


def loss_against_probe(results: dict[str, Any]) -> Picture:
    """Training loss and probe score of runs with random options, with and without SIGReg: does the loss rank the runs?"""
    weights = sorted({row["weight"] for row in results["ranking"]}, reverse=True)
    losses = sorted(row["loss"] for row in results["ranking"])  # both panels have the same axes
    figure, axes = panels((9, 3.4), len(weights))
    said = []
    for number, (ax, weight) in enumerate(zip(axes, weights)):
        rows = [row for row in results["ranking"] if row["weight"] == weight]
        ax.scatter([row["loss"] for row in rows], [row["position_r2"] for row in rows], s=18, color=COLORS[number])
        ax.set(xscale="log", xlim=(0.7 * losses[0], 1.4 * losses[-1]), ylim=(0, 1.05))
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


def success_rates(results: dict[str, Any]) -> Picture:
    """Share of goals reached through the door and within a room, with 95 % intervals: one row per control and model."""
    rows = [(name, results[name]) for name in ("random", "straight", "oracle")]
    rows += [(m["model"], m) for m in results["models"]]
    rows = sorted(rows, key=lambda row: list(NAMES).index(row[0]))
    labels = [NAMES[name] + (f", seed {row['seed']}" if "seed" in row else "") for name, row in rows]
    figure, [ax] = panels((9, 1.2 + 0.36 * len(rows)))
    parts = (("door", "through the door", -0.12, COLORS[0], "o"), ("room", "within a room", 0.12, COLORS[1], "s"))
    for part, title, shift, color, marker in parts:
        value, low, high = (np.array([100 * row[part][key] for _, row in rows]) for key in ("success", "low", "high"))
        errors = np.maximum([value - low, high - value], 0)
        places = np.arange(len(rows)) + shift
        ax.errorbar(value, places, xerr=errors, fmt=marker, color=color, capsize=3, markersize=5, label=title)
    ax.set_yticks(range(len(rows)), labels)
    ax.set(xlim=(0, 102), xlabel="goals reached (%), with 95 % intervals")
    ax.grid(alpha=0.25, axis="x")
    ax.legend(loc="lower center")
    said = "; ".join(f"{label}: {rate_in_words(row['all'])}" for label, (_, row) in zip(labels, rows))
    task = results["task"]
    return Picture(
        figure,
        f"Share of goals reached, through the door and within a room, one line each. Of all pairs: {said}.",
        f"How often the goal is reached within {task['steps']} steps, over {task['pairs']} start-goal pairs, half of them through the door. "
        f"Of all pairs: {said}.",
    )
