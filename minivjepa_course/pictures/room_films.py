"""Lessons 11 and 12: worlds seen from above, strips of them, and robots that walk."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from minivjepa.figures import Picture, frame_of, strip
from minivjepa.world.base_world import World, displayable
from minivjepa_course.pictures.films import HELD, Film

GOAL, AHEAD = "#00E5A0", "#F0E442"  # a goal's ring, and where a robot plans to go: readable on the dark floors


def room_strip(
    rows: Sequence[Sequence[Tensor]], titles: Sequence[str], width: float, height: float, labels: Sequence[str] = ()
) -> tuple[Figure, np.ndarray]:
    """As `strip`, for displayable pictures [3, H, W], 0 to 1."""
    return strip([[frame.permute(1, 2, 0) for frame in row] for row in rows], titles, width, height, labels)


def ring(ax: Axes, goal: Tensor, radius: float) -> None:
    """Draw the goal: a robot whose center is inside the ring has reached it."""
    (y, x), turn = goal.tolist(), torch.linspace(0, 2 * torch.pi, 60)
    ax.plot(x + radius * turn.cos(), y + radius * turn.sin(), "-", color=GOAL, linewidth=1.8, label="the goal")


def robots_in_motion(
    world: World, ways: Mapping[str, Tensor], goal: Tensor, radius: float, plans: Mapping[str, Sequence[Tensor]]
) -> Film:
    """Robots on their ways, side by side.  ways: title -> states [T, S]; goal: a state [S].

    plans: for some titles, the positions [H, 2] that a robot has in mind at each step.
    """
    longest = max(map(len, ways.values()))
    seen = {title: displayable(world.render(way, 64, 64)).permute(0, 2, 3, 1) for title, way in ways.items()}
    figure, axes = strip([[frames[0] for frames in seen.values()]], list(ways), 2.9, 3.2)
    trails, minds = (
        [ax.plot([], [], style, color=color, linewidth=2)[0] for ax in axes]
        for style, color in (("-", "white"), ("--", AHEAD))
    )
    for ax in axes:
        ring(ax, goal[:2], radius)
    canvas, films = FigureCanvasAgg(figure), []
    for moment in range(longest):
        for ax, (title, way), trail, mind in zip(axes, ways.items(), trails, minds):
            now, ahead = min(moment, len(way) - 1), plans.get(title, ())
            ax.images[0].set_data(seen[title][now])
            trail.set_data(way[: now + 1, 1], way[: now + 1, 0])
            mind.set_data(*(ahead[now].flip(1).T if now < len(ahead) else ([], [])))
        films.append(frame_of(canvas))
    there = {title: bool(world.line(way[-1], goal) <= radius) for title, way in ways.items()}
    said = "; ".join(
        f"{title} {'reaches' if there[title] else 'misses'} it, {len(way) - 1} steps" for title, way in ways.items()
    )
    words = f"Robots (orange) with the same goal (ring): {said}."
    alt = f"Films of a world from above, side by side. {words}"
    return Film(np.stack(films + HELD * films[-1:]), alt, words)


def strips(rows: Mapping[str, Sequence[Tensor]], titles: Sequence[str]) -> Picture:
    """Film strips of the same moments, one below the other.  rows: label -> pictures."""
    figure, _ = room_strip(list(rows.values()), titles, 1.3, 1.35 * len(rows) + 0.2, list(rows))
    names, said = (each.replace("\n", " ") for each in (" above ".join(rows), "; ".join(titles)))
    alt = f"Film strips of the rooms, {names}, {len(titles)} pictures each: {said}."
    caption = f"Film strips: {names}. From left to right: {said}."
    return Picture(figure, alt, caption)
