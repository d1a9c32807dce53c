"""Lesson 8: a healthy run's loss, and the schedules behind it."""

import numpy as np

from minivjepa.course.figures import Picture, curves
from minivjepa.course.figures.arm_curves import Results
from minivjepa.training.config import Config
from minivjepa.training.recipe import schedule


def losses_and_spread(results: Results, arm: str) -> Picture:
    """Loss and feature std of every run of one arm of a results file."""
    columns, said = {}, []
    for run in results["arms"][arm]:
        shown = [row for row in run["history"] if row["step"] >= 50]
        columns[f"seed {run['seed']}"] = [[row[key] for row in shown] for key in ("step", "loss", "feature_std")]
        rows = run["history"][1:]
        least = min(rows, key=lambda row: row["loss"])
        later = max(row["loss"] for row in rows if row["step"] >= least["step"])
        said.append(f"seed {run['seed']}: {least['loss']:.3f} at step {least['step']}, later up to {later:.3f}")
    titles = ("Loss, from step 50 on", "Feature std across clips")
    figure, axes = curves((10, 3.6), titles, columns, "training step")
    for ax in axes:
        ax.set_ylim(0)
    alt = f"Two panels over training steps for every seed of {arm}: loss, and feature standard deviation. Least loss: {'; '.join(said)}."
    caption = f"The loss of {arm} over a long run, and whether clips still differ. Least loss: {'; '.join(said)}."
    return Picture(figure, alt, caption)


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
    caption = f"Three numbers that change with every step. The last panel shows how far the target encoder goes in one step. {'; '.join(said)}."
    return Picture(figure, alt, caption)
