"""Lesson 7: the fate of every arm, live and from a results file; what masks teach; updates that go down no hill."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from minivjepa.collapse import COLLAPSED, WARNING
from minivjepa.figures import COLOURS, STYLES, Picture

Results = dict[str, Any]
Row = dict[str, Any]  # of metrics.jsonl


def _series(rows: list[Row], name: str) -> tuple[list[int], list[float]]:
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


def mask_map(results: Results) -> Picture:
    """Motion against identity, one point per run, for arms that differ in their masks alone."""
    figure = Figure(figsize=(6.4, 5), layout="constrained")
    ax = figure.subplots()
    said = []
    groups = {name: [run["final"] for run in runs] for name, runs in results["arms"].items()}
    for number, (name, runs) in enumerate((groups | {"untrained": results["untrained"]}).items()):
        x, y = ([run[metric] for run in runs] for metric in ("linear_direction", "attentive_identity"))
        colour = COLOURS[number % len(COLOURS)] if name in groups else "#999999"
        ax.plot(x, y, "o", color=colour, ms=4, alpha=0.5)
        ax.plot(np.mean(x), np.mean(y), "s", color=colour, ms=9, label=name)
        said.append(f"{name} {np.mean(x):.2f} and {np.mean(y):.2f}")
    ax.axvline(results["chance"]["direction"], color="black", lw=1, ls=":")
    ax.axhline(results["chance"]["identity"], color="black", lw=1, ls=":")
    ax.set(xlabel="direction of motion, linear probe", ylabel="identity of the digit, attentive probe")
    ax.set(xlim=(0, 1), ylim=(0, 1), title="What you hide decides what is learned")
    ax.legend(fontsize=8, loc="lower right")
    ax.grid(alpha=0.25)
    return Picture(
        figure,
        f"Scatter plot of accuracy for direction and for identity, by mask. Means: {'; '.join(said)}.",
        "The same encoder, trained under different masks. Dots are seeds, squares their means, dotted lines chance.",
    )


def dashboard(histories: Mapping[str, Sequence[Row]]) -> Picture:
    """Runs while they train.  Rows as in metrics.jsonl, with `spectrum` (singular values) and `linear_direction` too."""
    figure = Figure(figsize=(14, 3.6), layout="constrained")
    std, rank, spectrum, probe = figure.subplots(1, 4)
    for number, (arm, rows) in enumerate(histories.items()):
        colour, style = COLOURS[number % len(COLOURS)], STYLES[number % len(STYLES)]
        steps = [row["step"] for row in rows]
        std.semilogy(steps, [row["feature_std"] for row in rows], style, color=colour, label=arm)
        std.semilogy(steps, [row["target_feature_std"] for row in rows], "x", color=colour)
        rank.plot(steps, [row["effective_rank"] for row in rows], style, color=colour)
        spectrum.semilogy(rows[-1]["spectrum"], style, color=colour)
        probe.plot(steps, [row["linear_direction"] for row in rows], style, color=colour)
    std.axhline(WARNING, color="black", lw=1, ls=":")
    titles = ("feature std (x: target encoder)", "effective rank", "singular values, now", "direction, linear probe")
    for ax, title in zip((std, rank, spectrum, probe), titles):
        ax.set(title=title, xlabel="direction of spread" if ax is spectrum else "training step")
        ax.grid(alpha=0.25)
    probe.set_ylim(0, 1)
    std.legend(fontsize=8)
    said = "; ".join(
        f"{arm} at step {rows[-1]['step']}: feature std {rows[-1]['feature_std']:.3f}, of the target encoder "
        f"{rows[-1]['target_feature_std']:.3f}, effective rank {rows[-1]['effective_rank']:.0f}, "
        f"linear probe {rows[-1]['linear_direction']:.2f}"
        for arm, rows in histories.items()
    )
    return Picture(
        figure,
        f"Four panels over training: feature std, effective rank, singular values, linear probe. {said}.",
        f"Below the dotted line the package warns. Crosses are the target encoder. {said}.",
    )


def update_fields(updates: Mapping[str, Callable[[Tensor], Tensor]], loop: Tensor) -> Picture:
    """Updates of a model with two parameters as arrows, and a closed walk `loop` [n, 2] through them.

    updates: name -> function from (w, e) [2] to the update of both [2].
    """
    figure = Figure(figsize=(4.4 * len(updates), 4.2), layout="constrained")
    ticks = torch.linspace(-0.5, 2, 15)  # none of them 0 or 1, where an update is exactly zero
    points = torch.cartesian_prod(ticks, ticks)  # [225, 2]
    for ax, (name, update) in zip(figure.subplots(1, len(updates), squeeze=False).flat, updates.items()):
        arrows = torch.stack([update(point) for point in points]).numpy()  # [225, 2]
        length = np.linalg.norm(arrows, axis=1, keepdims=True)
        ax.quiver(
            *points.numpy().T, *(arrows / length).T, np.log10(length[:, 0]), cmap="cividis", scale=26, width=0.005
        )
        ax.plot(*loop.numpy().T, color=COLOURS[1], lw=2)
        ax.axhline(0, color="black", lw=1, ls=":")
        ax.axvline(1, color="black", lw=1, ls="--")
        ax.set(xlabel="w, the predictor", ylabel="e, the encoder", title=name)
    return Picture(
        figure,
        f"{len(updates)} panels of arrows over the predictor's weight w and the encoder's weight e, with a circle drawn through them: {', '.join(updates)}.",
        "Arrows show the way an update goes (yellow: large). The loss is zero on both lines: dashed, where the prediction is right; "
        "dotted, where the encoder says nothing. Walk the circle, and add up how much you go along with the arrows.",
    )
