"""Lesson 6: which number warns first, from a results file."""

from matplotlib.figure import Figure

from minivjepa.collapse import COLLAPSED, WARNING
from minivjepa.evaluation.collapsed_runs import smaller_std
from minivjepa.figures import Picture
from minivjepa.figures.arm_curves import Results, look


def warning_curves(results: Results) -> Picture:
    """Loss and the smaller feature std of both encoders, over the logarithm of the step: which one warns?"""
    figure = Figure(figsize=(11, 4), layout="constrained")
    loss, std = figure.subplots(1, 2)
    first: dict[str, int] = {}
    for number, (name, runs) in enumerate(results["arms"].items()):
        for run in runs:
            rows = [row for row in run["history"] if row["step"] > 0]
            steps = [row["step"] for row in rows]
            smaller = [smaller_std(row) for row in rows]
            label = name if run is runs[0] else None
            color, style = look(name, number)
            loss.plot(steps, [row["loss"] for row in rows], style, color=color, alpha=0.8, label=label)
            std.plot(steps, smaller, style, color=color, alpha=0.8)
            below = [step for step, value in zip(steps, smaller) if value is not None and value < WARNING]
            if below:
                first[name] = max(first.get(name, 0), below[0])
    for ax, title in ((loss, "Loss"), (std, "Feature std, the smaller of the two encoders")):
        ax.set(xscale="log", yscale="log", xlabel="training step", title=title)
        ax.grid(alpha=0.25)
    std.axhline(WARNING, color="black", lw=1, ls="--")
    std.axhline(COLLAPSED, color="black", lw=1, ls=":")
    loss.legend()
    said = ", ".join(f"{name} by step {step}" for name, step in first.items()) or "none"
    return Picture(
        figure,
        f"Two panels over the logarithm of the step. Feature std falls below {WARNING} in: {said}.",
        f"Left: a collapsing loss looks like fast learning. Right: the feature std crosses the warning line ({WARNING}, dashed) "
        f"on its way to collapse ({COLLAPSED}, dotted). Crossed by: {said}.",
    )
