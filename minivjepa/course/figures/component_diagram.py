"""Lessons 4 and 5: the three components and what flows between them; how slowly the target follows."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.patches import FancyBboxPatch

from minivjepa.course.figures import COLORS, STYLES, Picture, curves, finish, panels
from minivjepa.ema import half_life


def three_components(shapes: Mapping[str, Sequence[int]], parts: int = 3) -> Picture:
    """The first parts of V-JEPA as one drawing: 1 the online encoder, 2 the predictor too, 3 all.

    shapes: of "clip" and "context"; from 2 parts on "prediction"; with 3 "features" and "target".
    """
    said = defaultdict(str, {name: str(list(shape)) for name, shape in shapes.items()})
    figure, [ax] = panels((11, 4.2 if parts == 3 else 2.9))
    ax.set(xlim=(0, 15), ylim=(0 if parts == 3 else 1.6, 5.2))
    ax.axis("off")
    boxes = (
        (1, 1.2, 2.5, 1.6, "clip", "#dddddd"), (1, 5.0, 4.0, 2.3, "online encoder", COLORS[0]), (2, 9.0, 4.0, 2.3, "predictor", COLORS[2]),
        (3, 5.0, 1.0, 2.3, "target encoder", COLORS[1]), (3, 9.0, 1.0, 2.3, "LayerNorm,\nkeep the hidden", "#dddddd"),
        (3, 13.4, 2.5, 1.8, "mean |.|", "#444444"),
    )  # fmt: skip
    for part, x, y, wide, text, color in boxes:
        if part <= parts:
            box = FancyBboxPatch((x - wide / 2, y - 0.42), wide, 0.84, "round,pad=0.05", facecolor=color, edgecolor="none")  # fmt: skip
            ax.add_patch(box)
            ax.text(x, y, text, ha="center", va="center", color="black" if color == "#dddddd" else "white", fontsize=10)
    flows = (
        (1, (2.1, 2.8), (3.7, 3.9), "visible tubelets"), (3, (2.1, 2.2), (3.7, 1.1), "all tubelets"),
        (1, (6.3, 4.0), (7.7, 4.0), said["context"]), (2, (10.3, 3.9), (12.4, 2.9), said["prediction"]),
        (3, (6.3, 1.0), (7.7, 1.0), said["features"]), (3, (10.3, 1.1), (12.4, 2.1), said["target"]),
    )  # fmt: skip
    arrow = {"arrowstyle": "-|>", "color": "#444444", "lw": 1.4}
    paper = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
    for part, start, end, text in flows:
        if part <= parts:
            ax.annotate("", end, start, arrowprops=arrow)
            (x, y), up = np.mean([start, end], axis=0), 0.3 if start[1] == end[1] else 0.0  # beside a level arrow
            ax.text(x, y + up, text, ha="center", va="center", fontsize=9, family="monospace", bbox=paper)
    ax.text(1.2, 1.8, said["clip"], fontsize=9, ha="center", family="monospace")
    if parts >= 2:
        hints = "mask tokens + positions of the hidden tubelets"
        ax.annotate(hints, (9.0, 4.45), (9.0, 4.9), fontsize=9, ha="center", arrowprops={**arrow, "lw": 1.0})
    if parts == 3:
        ax.annotate("", (5.0, 1.5), (5.0, 3.5), arrowprops={**arrow, "ls": "--"})
        ax.text(5.15, 2.5, "EMA: weights follow slowly", fontsize=9, va="center")
        ax.plot([10.5, 10.75], [1.5, 0.9], color=COLORS[1], lw=4, zorder=3)  # a bar across the teacher's arrow
        ax.text(10.6, 0.4, "bar: no gradient flows back", fontsize=9, color=COLORS[1])
    alt = (
        f"Diagram. The student, above: the visible tubelets of a clip {said['clip']} go through the online encoder to {said['context']}",
        f", and with mask tokens through the predictor to {said['prediction']}",
        f". The teacher, below: the same clip goes through the target encoder to {said['features']}, of which {said['target']} are kept. "
        "Both meet in a mean of absolute differences",
    )
    caption = (
        f"The online encoder turns the visible tubelets into context vectors {said['context']}.",
        f"The predictor gets those, and the places of the hidden tubelets. Its predictions: {said['prediction']}.",
        "The student (above) sees the visible tubelets and guesses the features of the hidden ones. The teacher (below) sees everything, "
        f"gets no gradient, and follows the student slowly. Context {said['context']}, prediction {said['prediction']}.",
    )
    return Picture(figure, "".join(alt[:parts]) + ".", caption[parts - 1])


def two_losses(losses: Mapping[str, Sequence[float]]) -> Picture:
    """Per student, its loss over training steps; nothing says how they were trained."""
    columns = {f"student {name}": (range(1, len(values) + 1), values) for name, values in losses.items()}
    figure, [ax] = curves((6.6, 3.4), ["The same clips, the same loss"], columns, "training step", "loss")
    ax.set_ylim(bottom=0)
    ax.legend(fontsize=9)
    ends = ", ".join(f"{name} at {values[-1]:.2f}" for name, values in losses.items())
    alt = f"Curves of the training loss of {len(losses)} students, which start together and end apart: {ends}."
    return Picture(figure, alt, f"The training loss of {len(losses)} students. They end apart: {ends}.")


def target_response(momentum: float, steps: int = 1000) -> Picture:
    """How a target weight follows an online weight that jumps from 0 to 1 at the first step."""
    step = np.arange(steps + 1)
    follows = 1 - momentum**step
    half = half_life(momentum)
    figure, [ax] = panels((6.6, 3.4))
    ax.plot(step, np.ones_like(follows), STYLES[1], color=COLORS[0], label="student (online encoder)")
    ax.plot(step, follows, color=COLORS[1], label="teacher (target encoder)")
    if 0 < half <= step[-1]:
        ax.plot([half, half], [0, 0.5], ":", color="black", lw=1)
        side = "left" if half < 0.8 * step[-1] else "right"  # inside the panel
        ax.text(half, 0.02, f" half-life {half:.0f} ", fontsize=9, ha=side)
    ax.set_ylim(0, 1.08)
    finish(ax, "steps after the jump", "weight", f"momentum {momentum:g}")
    ax.legend(fontsize=9)
    if half == 0:
        said = "With momentum 0 the teacher is the student: it jumps along in the first step."
    else:
        said = f"With momentum {momentum:g} the teacher is half-way after {half:.0f} steps: ln 2 / -ln m."
    return Picture(figure, f"Two curves: the student's weight jumps to 1 and the teacher's follows. {said}", said)


def movement_curves(moved: Mapping[str, Sequence[float]]) -> Picture:
    """Per name, how far the target's features moved from one step to the next, relative to their size."""
    columns = {name: (range(1, len(values) + 1), values) for name, values in moved.items()}
    title, ylabel = "How far the target moves in one step", "relative change of the target"
    figure, [ax] = curves((6.6, 3.6), [title], columns, "training step", ylabel)
    ax.set_yscale("log")
    ax.yaxis.set_major_formatter("{x:g}")
    ax.legend(fontsize=9)
    steps = len(next(iter(moved.values())))
    early, late = (
        ", ".join(f"{name} {np.mean(values[part]):.4f}" for name, values in moved.items())
        for part in (slice(0, steps // 2), slice(steps // 2, steps))
    )
    means = f"Means over steps 1 to {steps // 2}: {early}; over the rest: {late}."
    alt = f"Curves over training steps of how much the target's features change in one step, on a log scale. {means}"
    return Picture(figure, alt, f"Relative change of the target's features in each training step. {means}")
