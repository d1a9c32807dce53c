"""Lesson 7: the fate of every arm, live and from a results file; what masks teach; updates that go down no hill."""

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import numpy as np
import torch
from torch import Tensor

from minivjepa.collapse import COLLAPSED, WARNING
from minivjepa.course.figures import COLORS, STYLES, Picture, finish, panels
from minivjepa.data.protocol import CHANCE
from minivjepa.evaluation.collapsed_runs import LogRow, collapsed, or_nan, smaller_std
from minivjepa.vjepa import ARMS

Results = dict[str, Any]


def look(arm: str, number: int) -> tuple[str, str]:
    """Color and line style of an arm: the same in every picture.  number: its place in this one, for arms that are not in ARMS."""
    if arm == "untrained":
        return "#999999", "-"
    place = list(ARMS).index(arm) if arm in ARMS else number
    return COLORS[place % len(COLORS)], STYLES[place % len(STYLES)]


def finals(results: Results) -> dict[str, list[dict[str, Any]]]:
    """Arm -> the final metrics of its runs, one per seed; and those of the untrained encoders."""
    trained = {arm: [run["final"] for run in runs] for arm, runs in results["arms"].items()}
    return {**trained, "untrained": results["untrained"]}


def collapse_curves(results: Results) -> Picture:
    """Loss, feature std, and what the frozen features know about motion, for every arm."""
    figure, (loss, std, bars) = panels((13, 4), 3)
    for number, (arm, runs) in enumerate(results["arms"].items()):
        color, style = look(arm, number)
        for run in runs:
            steps = [row["step"] for row in run["history"]]
            for ax, value in ((loss, itemgetter("loss")), (std, smaller_std)):
                values = [or_nan(value(row)) for row in run["history"]]
                ax.plot(steps, values, style, color=color, label=arm if run is runs[0] else None, lw=1.8, alpha=0.85)
    for ax, title in ((loss, "Training loss: is lower better?"), (std, "Feature std, the smaller of both encoders")):
        ax.set_yscale("log")
        finish(ax, "training step", title=title, legend=ax is loss)
    scores = {arm: [run["linear_direction"] for run in runs] for arm, runs in finals(results).items()}
    for number, (arm, shares) in enumerate(scores.items()):
        bars.bar(number, float(np.mean(shares)), color=look(arm, number)[0], alpha=0.85)
        bars.plot([number] * len(shares), shares, "o", color="black", mec="white", mew=0.5, ms=4)
    bars.axhline(results["chance"]["direction"], color="black", lw=1, ls=":", label="chance")
    bars.set_xticks(range(len(scores)), list(scores), rotation=30, ha="right")
    bars.set(title="Direction of motion, linear probe", ylabel="held-out accuracy", ylim=(0, 1))
    bars.legend()
    said = ", ".join(f"{arm} {np.mean(shares):.2f}" for arm, shares in scores.items())
    dead = ", ".join(arm for arm, runs in results["arms"].items() if all(map(collapsed, runs))) or "none"
    return Picture(
        figure,
        f"Three panels. Left: loss over training steps per arm. Middle: the smaller feature standard deviation of online and target encoder; "
        f"collapsed to below {COLLAPSED} on every seed: {dead}. Right: accuracy of a linear probe for direction: {said}.",
        f"Read the middle panel, not the left one: a low loss can be a collapse. Arms with an encoder, online or target, that ended below {COLLAPSED} on every seed: {dead}. "
        "Dots are seeds; the dotted line is chance.",
    )


def spectra(results: Results) -> Picture:
    """Singular values of pooled features: their scale, and their shape without it."""
    figure, (plain, scaled) = panels((9, 3.6), 2)
    first = {arm: runs[0] for arm, runs in finals(results).items()}
    for number, (arm, metrics) in enumerate(first.items()):
        sigma = np.array(metrics["spectrum"])
        color, style = look(arm, number)
        label = f"{arm} (effective rank {metrics['effective_rank']:.0f})" if metrics["effective_rank"] else arm
        directions = np.arange(1, len(sigma) + 1)
        plain.semilogy(directions, sigma, style, color=color, label=label)
        scaled.semilogy(directions, sigma / sigma.sum(), style, color=color)
    plain.set(title="Singular values", xlabel="direction", ylabel="std along it")
    scaled.set(title="The same, each curve divided by its sum", xlabel="direction")
    plain.legend()
    ranks = ", ".join(f"{arm} {m['effective_rank']:.0f}" for arm, m in first.items() if m["effective_rank"])
    alt = f"Two panels of singular values of pooled online features on held-out clips, first seed. Effective ranks: {ranks}."
    caption = "Effective rank sees the right panel only: a collapsed arm can look rich there while the left panel shows it has no spread at all."
    return Picture(figure, alt, caption)


def dashboard(histories: Mapping[str, Sequence[LogRow]]) -> Picture:
    """Runs while they train.  Rows as in metrics.jsonl, with `spectrum` (singular values) and `linear_direction` too."""
    figure, axes = panels((14, 3.6), 4)
    std, rank, spectrum, probe = axes
    for number, (arm, rows) in enumerate(histories.items()):
        color, style = look(arm, number)
        steps = [row["step"] for row in rows]
        std.semilogy(steps, [row["feature_std"] for row in rows], style, color=color, label=arm)
        std.semilogy(steps, [row["target_feature_std"] for row in rows], "x", color=color)
        rank.plot(steps, [row["effective_rank"] for row in rows], style, color=color)
        spectrum.semilogy(rows[-1]["spectrum"], style, color=color)
        probe.plot(steps, [row["linear_direction"] for row in rows], style, color=color)
    std.axhline(WARNING, color="black", lw=1, ls=":")
    titles = ("feature std (x: target encoder)", "effective rank", "singular values, now", "direction, linear probe")
    for ax, title in zip(axes, titles):
        finish(ax, "direction of spread" if ax is spectrum else "training step", title=title, legend=False)
    probe.axhline(CHANCE["direction"], color="black", lw=1, ls=":")
    probe.set_ylim(0, 1)
    figure.legend(loc="outside lower center", ncols=len(histories), frameon=False)
    said = "; ".join(
        f"{arm} at step {rows[-1]['step']}: feature std {rows[-1]['feature_std']:.3f}, of the target encoder "
        f"{rows[-1]['target_feature_std']:.3f}, effective rank {rows[-1]['effective_rank']:.0f}, "
        f"linear probe {rows[-1]['linear_direction']:.2f}"
        for arm, rows in histories.items()
    )
    alt = f"Four panels over training: feature std, effective rank, singular values, linear probe. {said}."
    caption = f"Lines are the online encoder, crosses the target encoder. Dotted: where the package warns (left), and chance (right). {said}."
    return Picture(figure, alt, caption)


def update_fields(updates: Mapping[str, Callable[[Tensor], Tensor]], loop: Tensor) -> Picture:
    """Updates of a model with two parameters as arrows, and a closed walk `loop` [n, 2] through them.

    updates: name -> function from (w, e) [2] to the update of both [2].
    """
    figure, axes = panels((4.4 * len(updates), 4.2), len(updates))
    ticks = torch.linspace(-0.5, 2, 15)  # none of them 0 or 1, where an update is exactly zero
    points = torch.cartesian_prod(ticks, ticks)  # [225, 2]
    for ax, (name, update) in zip(axes, updates.items()):
        arrows = torch.stack([update(point) for point in points]).numpy()  # [225, 2]
        length = np.linalg.norm(arrows, axis=1, keepdims=True)
        colors = np.log10(length[:, 0])
        ax.quiver(*points.numpy().T, *(arrows / length).T, colors, cmap="cividis", scale=26, width=0.005)
        ax.plot(*loop.numpy().T, color=COLORS[1], lw=2)
        ax.annotate("", loop[10].tolist(), loop[0].tolist(), arrowprops={"arrowstyle": "-|>", "color": COLORS[1]})
        ax.axhline(0, color="black", lw=1, ls=":")
        ax.axvline(1, color="black", lw=1, ls="--")
        ax.set(xlabel="w, the predictor", ylabel="e, the encoder", title=name)
    return Picture(
        figure,
        f"{len(updates)} panels of arrows over the predictor's weight w and the encoder's weight e, with a circle drawn through them: {', '.join(updates)}. "
        "With the gradient through both, arrows near the line e = 0 point at it; with stop-gradient and w between 0 and 1 they point away from it.",
        "Arrows show the way an update goes; all are drawn equally long, yellow where the step is large. The loss is zero on both lines: dashed, where "
        "the prediction is right; dotted, where the encoder says nothing. Walk the circle against the clock, and add up how much you go along with the arrows.",
    )
