"""Lesson 8: a healthy run's loss, and the schedules behind it."""

from minivjepa.course.figures import Picture, curve, finish, panels
from minivjepa.course.figures.arm_curves import Results
from minivjepa.training.config import Config
from minivjepa.training.recipe import schedule


def losses_and_spread(results: Results, arm: str) -> Picture:
    """Loss and feature std of every run of one arm of a results file."""
    figure, (loss, std) = panels((10, 3.6), 2)
    said = []
    for number, run in enumerate(results["arms"][arm]):
        shown = [row for row in run["history"] if row["step"] >= 50]
        steps = [row["step"] for row in shown]
        for ax, name in ((loss, "loss"), (std, "feature_std")):
            curve(ax, number, steps, [row[name] for row in shown], f"seed {run['seed']}")
        rows = run["history"][1:]
        least = min(rows, key=lambda row: row["loss"])
        later = max(row["loss"] for row in rows if row["step"] >= least["step"])
        said.append(f"seed {run['seed']}: {least['loss']:.3f} at step {least['step']}, later up to {later:.3f}")
    for ax, title in ((loss, "Loss, from step 50 on"), (std, "Feature std across clips")):
        ax.set_ylim(0)
        finish(ax, "training step", title=title, legend=ax is loss)
    return Picture(
        figure,
        f"Two panels over training steps for every seed of {arm}: loss, and feature standard deviation. Least loss: {'; '.join(said)}.",
        f"The loss of {arm} over a long run, and whether clips still differ. Least loss: {'; '.join(said)}.",
    )


def schedules(configs: dict[str, Config]) -> Picture:
    """Learning rate, weight decay and momentum over each config's run, against the share of the run."""
    figure, axes = panels((11, 3.3), 3)
    titles = ("learning rate / its peak", "weight decay", "1 - momentum")
    said = []
    for number, (name, config) in enumerate(configs.items()):
        steps = range(0, config.steps, max(1, config.steps // 400))
        lr, decay, momentum = zip(*(schedule(config, step) for step in steps))
        curves = ([value / config.lr for value in lr], decay, [1 - value for value in momentum])
        for ax, values in zip(axes, curves):
            curve(ax, number, [step / config.steps for step in steps], values, name)
        said.append(f"{name} ends at {curves[0][-1]:.3f} of its peak rate, momentum {momentum[-1]:.4f}")
    for ax, title in zip(axes, titles):
        ax.set_ylim(0)
        finish(ax, "share of the run", title=title, legend=ax is axes[0])
    return Picture(
        figure,
        f"Three panels over the share of a run: learning rate, weight decay, one minus momentum. {'; '.join(said)}.",
        f"Three numbers that change with every step. The last panel shows how far the target encoder goes in one step. {'; '.join(said)}.",
    )
