"""Lesson 8: a healthy run's loss, the schedules behind it, and what a forgotten part of a checkpoint costs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg

from minivjepa.figures import COLORS, Picture, curves, finish, frame_of, panels
from minivjepa.training.config import Config
from minivjepa.training.recipe import schedule
from minivjepa_course.pictures.films import HELD, Film

FIRST = 50  # step from which losses are drawn: before it they fall too steeply


def loss_so_far(run: Mapping[str, Any]) -> Film:
    """The loss of one run of a results file as it was logged, up to its least value."""
    rows = run["history"][1:]  # the first is from before the first step
    rows = rows[: rows.index(min(rows, key=lambda row: row["loss"])) + 1]
    steps, losses = [row["step"] for row in rows], [row["loss"] for row in rows]
    figure, [ax] = panels((6.4, 3))
    [line] = ax.plot([], [], "o-", color=COLORS[0], lw=1.8)
    ax.set(xscale="log", xlim=(0.9, run["history"][-1]["step"]), ylim=(0, 1.1 * max(losses)))
    finish(ax, "training step", "loss", legend=False)
    canvas, frames = FigureCanvasAgg(figure), []
    for shown in range(1, len(rows) + 1):
        line.set_data(steps[:shown], losses[:shown])
        frames.append(frame_of(canvas))
    words = f"The loss of one run of {run['history'][-1]['step']} steps, drawn up to its least value: {losses[-1]:.3f} at step {steps[-1]}."
    return Film(np.stack(frames + HELD * frames[-1:]), words, words)


def losses_and_spread(runs: Sequence[Mapping[str, Any]]) -> Picture:
    """Loss and feature std of every run of one arm of a results file."""
    columns, said = {}, []
    for run in runs:
        shown = [row for row in run["history"] if row["step"] >= FIRST]
        columns[f"seed {run['seed']}"] = [[row[key] for row in shown] for key in ("step", "loss", "feature_std")]
        rows = run["history"][1:]
        least = min(rows, key=lambda row: row["loss"])
        later = max(row["loss"] for row in rows if row["step"] >= least["step"])
        said.append(f"seed {run['seed']}: {least['loss']:.3f} at step {least['step']}, later up to {later:.3f}")
    titles = (f"Loss, from step {FIRST} on", "Feature std across clips")
    figure, axes = curves((10, 3.6), titles, columns, "training step")
    for ax in axes:
        ax.set_ylim(0)
    alt = f"Two panels over training steps for {len(runs)} seeds: loss, and feature standard deviation. Least loss: {'; '.join(said)}."
    caption = f"The loss over a long run, and whether clips still differ. Least loss: {'; '.join(said)}."
    return Picture(figure, alt, caption)


def went_on(distances: Mapping[str, Sequence[float]], killed: int) -> Picture:
    """How far a small run is from its moving goal after step `killed`; name: what its checkpoint forgot."""
    columns = {f"forgot {name}": (range(killed, killed + len(each)), each) for name, each in distances.items()}
    figure, [ax] = curves(
        (6.4, 3.2), [f"Killed at step {killed}, and resumed"], columns, "step", "distance from the goal"
    )
    ax.set_yscale("log")
    said = "; ".join(f"{name} {np.mean(each):.2f}" for name, each in distances.items())
    alt = f"Curves of the distance from a moving goal after a resume, by what was forgotten. Mean distance: {said}."
    return Picture(
        figure, alt, f"Distance from a moving goal after the resume, by what the checkpoint forgot. Mean: {said}."
    )


def schedules(configs: dict[str, Config]) -> Picture:
    """Learning rate, weight decay and momentum over each config's run, against the share of the run."""
    columns, said = {}, []
    for name, config in configs.items():
        steps = range(0, config.steps, max(1, config.steps // 400))
        rate, decay, momentum = np.array([schedule(config, step) for step in steps]).T
        columns[name] = np.array(steps) / config.steps, rate / config.lr, decay, 1 - momentum
        said.append(f"{name} ends at {rate[-1] / config.lr:.3f} of its peak rate, momentum {momentum[-1]:.4f}")
    titles = ("learning rate / its peak", "weight decay", "1 - momentum")
    figure, axes = curves((11, 3.3), titles, columns, "share of the run")
    for ax in axes:
        ax.set_ylim(0)
    alt = f"Three panels over the share of a run: learning rate, weight decay, one minus momentum. {'; '.join(said)}."
    caption = f"The schedules of three numbers. The last panel shows how far the target encoder goes in one step. {'; '.join(said)}."
    return Picture(figure, alt, caption)
