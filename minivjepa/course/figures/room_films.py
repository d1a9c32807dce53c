"""Lessons 11 and 12: two rooms, films of them, and a robot's path."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from torch import Tensor

from minivjepa.course.figures import Picture, strip


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
    alt = f"Two pictures of the rooms: the start with a path of {moves} moves, and the goal, which was {end}."
    caption = f"What the planner was shown, and the {moves} moves that it made. The goal was {end}."
    return Picture(figure, alt, caption)


def strips(rows: Mapping[str, Sequence[Tensor]], titles: Sequence[str]) -> Picture:
    """Film strips of the same moments, one below the other.  rows: label -> pictures."""
    figure, _ = room_strip(list(rows.values()), titles, 1.3, 1.35 * len(rows) + 0.2, list(rows))
    names, said = (each.replace("\n", " ") for each in (" above ".join(rows), "; ".join(titles)))
    alt = f"Film strips of the rooms, {names}, {len(titles)} pictures each: {said}."
    caption = f"Film strips: {names}. From left to right: {said}."
    return Picture(figure, alt, caption)
