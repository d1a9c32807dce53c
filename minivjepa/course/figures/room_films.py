"""Lessons 11 and 12: two rooms, a robot's path, and how often each model reaches the goal."""

from collections.abc import Sequence
from typing import Any

from einops import rearrange
from matplotlib.figure import Figure
from torch import Tensor

from minivjepa.course.figures import COLORS, Picture
from minivjepa.evaluation.statistics import rate_in_words

NAMES = {
    "random": "random actions",
    "straight": "straight to the goal",
    "untrained": "untrained encoder, frozen",
    "vjepa": "V-JEPA encoder, frozen",
    "lewm": "LeWorldModel",
    "oracle": "oracle",
}


def success_rates(results: dict[str, Any]) -> Picture:
    """Share of goals reached through the door and within a room, with 95 % intervals: one row per control and model."""
    rows = [(name, results[name]) for name in ("random", "straight", "oracle")]
    rows += [(m["model"], m) for m in results["models"]]
    rows = sorted(rows, key=lambda row: list(NAMES).index(row[0]))
    labels = [NAMES[name] + (f", seed {row['seed']}" if "seed" in row else "") for name, row in rows]
    figure = Figure(figsize=(9, 1.2 + 0.36 * len(rows)), layout="constrained")
    ax = figure.subplots()
    for shift, part, color, marker in ((-0.12, "door", COLORS[0], "o"), (0.12, "room", COLORS[1], "s")):
        values = [100 * row[part]["success"] for _, row in rows]
        errors = [
            [max(0.0, value - 100 * row[part]["low"]) for value, (_, row) in zip(values, rows)],
            [max(0.0, 100 * row[part]["high"] - value) for value, (_, row) in zip(values, rows)],
        ]
        places = [number + shift for number in range(len(rows))]
        title = {"door": "through the door", "room": "within a room"}[part]
        ax.errorbar(values, places, xerr=errors, fmt=marker, color=color, capsize=3, markersize=5, label=title)
    ax.set_yticks(range(len(rows)), labels)
    ax.set(xlim=(0, 102), xlabel="goals reached (%), with 95 % intervals")
    ax.grid(alpha=0.25, axis="x")
    ax.legend(fontsize=8, loc="lower center")
    said = "; ".join(f"{label}: {rate_in_words(row['all'])}" for label, (_, row) in zip(labels, rows))
    task = results["task"]
    return Picture(
        figure,
        f"Share of goals reached, through the door and within a room, one line each. Of all pairs: {said}.",
        f"How often the goal is reached within {task['steps']} steps, over {task['pairs']} start-goal pairs, half of them through the door. "
        f"Of all pairs: {said}.",
    )


def walk(frames: Tensor, goal: Tensor, path: Tensor, reached: bool) -> Picture:
    """One robot's path to its goal: the first picture with the path on it, and the goal's picture.

    frames, goal: displayable pictures [3, H, W], 0 to 1.  path: positions [T, 2] as shares of the side, (y, x).
    """
    figure = Figure(figsize=(6.4, 3.3), layout="constrained")
    for ax, picture, title in zip(figure.subplots(1, 2), (frames, goal), ("start and path", "goal")):
        ax.imshow(rearrange(picture, "C H W -> H W C").numpy())
        ax.set(title=title, xticks=[], yticks=[])
    height, width = frames.shape[1:]
    figure.axes[0].plot(path[:, 1] * width - 0.5, path[:, 0] * height - 0.5, ".-", color="white", linewidth=1)
    end = "reached" if reached else "not reached"
    moves = int((path[1:] != path[:-1]).any(dim=1).sum())
    return Picture(
        figure,
        f"Two pictures of the rooms: the start with a path of {moves} moves, and the goal, which was {end}.",
        f"What the planner was shown, and the {moves} moves that it made. The goal was {end}.",
    )


def film(frames: Sequence[Tensor], captions: Sequence[str]) -> Picture:
    """A strip of displayable pictures [3, H, W], 0 to 1, with a caption above each."""
    figure = Figure(figsize=(1.3 * len(frames), 1.7), layout="constrained")
    for ax, frame, word in zip(figure.subplots(1, len(frames), squeeze=False)[0], frames, captions):
        ax.imshow(rearrange(frame, "C H W -> H W C").numpy())
        ax.set_title(word, fontsize=8)
        ax.set(xticks=[], yticks=[])
    said = ", ".join(word.replace("\n", " ") for word in captions)
    return Picture(figure, f"A strip of {len(frames)} pictures of the rooms: {said}.", f"From left to right: {said}.")
