"""Lessons 11 and 12: two rooms, a robot's path, and how often each model reaches the goal."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from minivjepa.course.figures import COLORS, Picture, panels, strip
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
    figure, [ax] = panels((9, 1.2 + 0.36 * len(rows)))
    parts = (("door", "through the door", -0.12, COLORS[0], "o"), ("room", "within a room", 0.12, COLORS[1], "s"))
    for part, title, shift, color, marker in parts:
        value, low, high = (np.array([100 * row[part][key] for _, row in rows]) for key in ("success", "low", "high"))
        errors = np.maximum([value - low, high - value], 0)
        places = np.arange(len(rows)) + shift
        ax.errorbar(value, places, xerr=errors, fmt=marker, color=color, capsize=3, markersize=5, label=title)
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


def room_strip(
    rows: Sequence[Sequence[Tensor]], titles: Sequence[str], width: float, height: float, labels: Sequence[str] = ()
) -> tuple[Figure, np.ndarray]:
    """As `strip`, for displayable pictures [3, H, W], 0 to 1."""
    return strip([[frame.permute(1, 2, 0) for frame in row] for row in rows], titles, width, height, labels)


def walk(frames: Tensor, goal: Tensor, path: Tensor, reached: bool) -> Picture:
    """One robot's path to its goal: the first picture with the path on it, and the goal's picture.

    frames, goal: displayable pictures [3, H, W], 0 to 1.  path: positions [T, 2] as shares of the side, (y, x).
    """
    figure, axes = room_strip([[frames, goal]], ["start and path", "goal"], 3.2, 3.3)
    axes[0].plot(path[:, 1], path[:, 0], ".-", color="white", linewidth=1)
    end = "reached" if reached else "not reached"
    moves = int((path[1:] != path[:-1]).any(dim=1).sum())
    return Picture(
        figure,
        f"Two pictures of the rooms: the start with a path of {moves} moves, and the goal, which was {end}.",
        f"What the planner was shown, and the {moves} moves that it made. The goal was {end}.",
    )


def film(frames: Sequence[Tensor], captions: Sequence[str]) -> Picture:
    """A strip of displayable pictures [3, H, W], 0 to 1, with a caption above each."""
    figure, _ = room_strip([frames], captions, 1.3, 1.7)
    said = ", ".join(word.replace("\n", " ") for word in captions)
    return Picture(figure, f"A strip of {len(frames)} pictures of the rooms: {said}.", f"From left to right: {said}.")
