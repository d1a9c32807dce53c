"""Lesson 5: two losses that differ, and how slowly the target follows."""

from collections.abc import Mapping, Sequence

import numpy as np

from minivjepa.ema import half_life
from minivjepa.figures import ROLES, STYLES, Picture, curves, finish, panels


def two_losses(losses: Mapping[str, Sequence[float]]) -> Picture:
    """Per student, its loss over training steps; nothing says how they were trained."""
    columns = {f"student {name}": (range(1, len(values) + 1), values) for name, values in losses.items()}
    figure, [ax] = curves((6.6, 3.4), ["Two students, the same clips"], columns, "training step", "loss")
    ax.set_ylim(bottom=0)
    ax.legend()
    ends = ", ".join(f"{name} at {values[-1]:.2f}" for name, values in losses.items())
    alt = f"Curves of the training loss of {len(losses)} students, which start together and end apart: {ends}."
    return Picture(figure, alt, f"The training loss of {len(losses)} students, which end far apart: {ends}.")


def target_response(momentum: float, steps: int = 1000) -> Picture:
    """How a target weight follows an online weight that jumps from 0 to 1 at the first step."""
    step = np.arange(steps + 1)
    follows = 1 - momentum**step
    half = half_life(momentum)
    figure, [ax] = panels((6.6, 3.4))
    ax.plot(step, np.ones_like(follows), STYLES[1], color=ROLES["online encoder"], label="student (online encoder)")
    ax.plot(step, follows, color=ROLES["target encoder"], label="teacher (target encoder)")
    if 0 < half <= step[-1]:
        ax.plot([half, half], [0, 0.5], ":", color="black", lw=1)
        side = "left" if half < 0.8 * step[-1] else "right"  # inside the panel
        ax.text(half, 0.02, f" half-life {half:.0f} ", fontsize=10, ha=side)
    ax.set_ylim(0, 1.08)
    finish(ax, "steps after the jump", "weight", f"momentum {momentum:g}")
    ax.legend()
    if half == 0:
        said = "With momentum 0 the teacher is the student: it jumps too, in the first step."
    else:
        said = f"With momentum {momentum:g} the teacher gets halfway in {half:.0f} steps: ln 2 / -ln m."
    return Picture(figure, f"Two curves: the student's weight jumps to 1 and the teacher's follows. {said}", said)


def movement_curves(moved: Mapping[str, Sequence[float]]) -> Picture:
    """Per name, how far the target's features moved from one step to the next, relative to their size."""
    columns = {name: (range(1, len(values) + 1), values) for name, values in moved.items()}
    title, ylabel = "How far the target moves in one step", "relative change of the target"
    figure, [ax] = curves((6.6, 3.6), [title], columns, "training step", ylabel)
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter("{x:g}")
    ax.legend()
    steps = len(next(iter(moved.values())))
    early, late = (
        ", ".join(f"{name} {np.mean(values[part]):.4f}" for name, values in moved.items())
        for part in (slice(0, steps // 2), slice(steps // 2, steps))
    )
    means = f"Means over steps 1 to {steps // 2}: {early}; over the rest: {late}."
    alt = f"Curves over training steps of how much the target's features change in one step, on a log scale. {means}"
    return Picture(figure, alt, f"Relative change of the target's features in each training step. {means}")
