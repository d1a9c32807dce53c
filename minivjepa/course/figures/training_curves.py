"""Lesson 8: a healthy run's loss, and the schedules behind it."""

from matplotlib.figure import Figure

from minivjepa.course.figures import COLORS, STYLES, Picture
from minivjepa.course.figures.arm_curves import Results
from minivjepa.training.config import Config
from minivjepa.training.recipe import schedule


def losses_and_spread(results: Results, arm: str) -> Picture:
    """Loss and feature std of every run of one arm of a results file."""
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    loss, std = figure.subplots(1, 2)
    for number, run in enumerate(results["arms"][arm]):
        rows = [row for row in run["history"] if row["step"] >= 50]
        for ax, name in ((loss, "loss"), (std, "feature_std")):
            steps, values = [row["step"] for row in rows], [row[name] for row in rows]
            ax.plot(steps, values, STYLES[number % 4], color=COLORS[number % 7], label=f"seed {run['seed']}")
    for ax, title in ((loss, "Loss, from step 50 on"), (std, "Feature std across clips")):
        ax.set(xlabel="training step", title=title, ylim=(0, None))
        ax.grid(alpha=0.25)
    loss.legend(fontsize=8)
    said = []
    for run in results["arms"][arm]:
        rows = run["history"][1:]
        least = min(rows, key=lambda row: row["loss"])
        later = max(row["loss"] for row in rows if row["step"] >= least["step"])
        said.append(f"seed {run['seed']}: {least['loss']:.3f} at step {least['step']}, later up to {later:.3f}")
    return Picture(
        figure,
        f"Two panels over training steps for every seed of {arm}: loss, and feature standard deviation. Least loss: {'; '.join(said)}.",
        f"The loss of {arm} over a long run, and whether clips still differ. Least loss: {'; '.join(said)}.",
    )


def schedules(configs: dict[str, Config]) -> Picture:
    """Learning rate, weight decay and momentum over each config's run, against the share of the run."""
    figure = Figure(figsize=(11, 3.3), layout="constrained")
    titles = ("learning rate / its peak", "weight decay", "1 - momentum")
    said = []
    for number, (name, config) in enumerate(configs.items()):
        steps = range(0, config.steps, max(1, config.steps // 400))
        lr, decay, momentum = zip(*(schedule(config, step) for step in steps))
        curves = ([value / config.lr for value in lr], decay, [1 - value for value in momentum])
        for ax, values in zip(figure.axes or figure.subplots(1, 3), curves):
            ax.plot(
                [step / config.steps for step in steps], values, STYLES[number % 4], color=COLORS[number], label=name
            )
        said.append(f"{name} ends at {curves[0][-1]:.3f} of its peak rate, momentum {momentum[-1]:.4f}")
    for ax, title in zip(figure.axes, titles):
        ax.set(xlabel="share of the run", title=title, ylim=(0, None))
        ax.grid(alpha=0.25)
    figure.axes[0].legend(fontsize=8)
    return Picture(
        figure,
        f"Three panels over the share of a run: learning rate, weight decay, one minus momentum. {'; '.join(said)}.",
        f"Three numbers that change with every step. The last panel shows how far the target encoder goes in one step. {'; '.join(said)}.",
    )
