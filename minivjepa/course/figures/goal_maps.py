"""Lesson 12: what a world model imagines, how a planner narrows down its plans, and which goals are missed.

Positions are (y, x) as shares of the world's side, as in world/rooms.py; pictures are displayable, [3, H, W], 0 to 1.
"""

from collections.abc import Mapping, Sequence

import torch
from matplotlib.axes import Axes
from torch import Tensor

from minivjepa.course.figures import Picture, curves, strip
from minivjepa.course.figures.room_films import room_strip

LINES = (("-", "white"), ("--", "#F0E442"), (":", "#56B4E9"))  # of paths: readable on the dark floor of the rooms


def ring(ax: Axes, goal: Tensor, radius: float) -> None:
    """Draw the goal: a robot inside the ring has reached it."""
    y, x = goal.tolist()
    turn = torch.linspace(0, 2 * torch.pi, 60)
    ax.plot(x + radius * turn.cos(), y + radius * turn.sin(), "-", color="#00E5A0", linewidth=1.6, label="the goal")


def rollout_errors(errors: Mapping[str, Sequence[float]], radius: float) -> Picture:
    """Error of imagined positions, step by step: one curve per model, and a line at the goal's radius."""
    columns = {name: (range(1, len(values) + 1), values) for name, values in errors.items()}
    ylabel = "distance from the true position\n(sides of the world)"
    figure, [ax] = curves((7.4, 3.6), [""], columns, "steps imagined", ylabel, "o")
    ax.axhline(radius, color="grey", linewidth=0.8)
    ax.annotate("near enough to a goal", (1, radius), (0, 3), textcoords="offset points", fontsize=10, color="grey")
    ax.set_ylim(0)
    ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    said = "; ".join(f"{name}: {values[0]:.2f} after one step, {values[-1]:.2f} at the end" for name, values in errors.items())  # fmt: skip
    alt = f"Distance of imagined from true positions over {len(next(iter(errors.values())))} steps. {said}."
    caption = (
        f"Mean error of imagined positions, in sides of the world. {said}. A goal counts as reached within {radius:g}."
    )
    return Picture(figure, alt, caption)


def ways(
    frames: Sequence[Tensor],
    titles: Sequence[str],
    lines: Sequence[Mapping[str, Tensor]],
    goals: Sequence[Tensor] = (),
    radius: float = 0.08,
) -> Picture:
    """A row of rooms with paths drawn in.  lines: for each picture, label -> positions [T, 2]; goals: one for each picture."""
    figure, axes = room_strip([frames], titles, *((2.2, 2.72) if len(frames) > 1 else (4.2, 4.5)))
    for ax, paths in zip(axes, lines):
        for (style, color), (label, path) in zip(LINES, paths.items()):
            ax.plot(path[:, 1], path[:, 0], style, marker=".", markersize=4, linewidth=1.4, color=color, label=label)
    for ax, goal in zip(axes, goals):
        ring(ax, goal, radius)
    handles, labels = axes[0].get_legend_handles_labels()
    dark = (0.1, 0.1, 0.15)
    figure.legend(handles, labels, loc="outside lower center", ncols=4, facecolor=dark, labelcolor="white")
    kinds = ", ".join(labels)
    said = "; ".join(titles)
    alt = f"The two rooms, seen from above, with {kinds} drawn in. From left to right: {said}."
    caption = f"The rooms from above with {kinds}: {said}."
    return Picture(figure, alt, caption)


def planning_rounds(start: Tensor, goal: Tensor, rounds: Sequence[tuple[Tensor, Tensor]], radius: float) -> Picture:
    """What a planner tries, round by round.  rounds: the paths of all plans [S, T, 2] and of those it kept [E, T, 2]."""
    passing = [int(((paths - goal).norm(dim=-1) <= radius).any(dim=1).sum()) for paths, _ in rounds]
    found = [f"{count} of {len(paths)}" for count, (paths, _) in zip(passing, rounds)]
    titles = [f"round {number}: {words} pass the goal" for number, words in enumerate(found, 1)]
    figure, axes = room_strip([[start] * len(rounds)], titles, 2.5, 2.9)
    for ax, (paths, kept) in zip(axes, rounds):
        for some, color, alpha in ((paths, "white", 0.25), (kept, "#F0E442", 0.9)):
            ax.plot(some[..., 1].T, some[..., 0].T, color=color, alpha=alpha, linewidth=0.9)
        ring(ax, goal, radius)
    said = ", ".join(f"{words} in round {number}" for number, words in enumerate(found, 1))
    alt = f"{len(rounds)} pictures of the rooms with the paths of all plans of a round. The goal is passed by {said}."
    caption = f"Where the plans of a round really lead (white; yellow if they were kept), and the goal (ring). It is passed by {said}."
    return Picture(figure, alt, caption)


def distance_maps(maps: Mapping[str, Tensor], goal: Tensor, radius: float) -> Picture:
    """Distance to the goal from everywhere.  maps: name -> [n, n] from the top left corner, NaN where no robot can be.

    Each map has its own scale.
    """
    figure, axes = strip([list(maps.values())], list(maps), 3.1, 3.2)
    said = []
    for ax, (name, values) in zip(axes, maps.items()):
        ax.set_facecolor((0.35, 0.6, 0.85))
        ax.images[0].set_cmap("magma_r")
        ax.contour(values.numpy(), 12, extent=(0, 1, 0, 1), origin="lower", colors="white", linewidths=0.5)
        ring(ax, goal, radius)
        seen = torch.where(values.isnan(), torch.inf, values)
        row, column = divmod(int(seen.argmin()), values.shape[1])
        near = torch.tensor([(row + 0.5) / len(values), (column + 0.5) / values.shape[1]])
        said.append(f"{name}: least {(near - goal).norm():.2f} from the goal")
    words, (y, x) = "; ".join(said), goal.tolist()
    alt = f"Maps of the rooms, light where the goal at {x:.2f} from the left and {y:.2f} from the top is near, dark where it is far. {words}."
    caption = f"Distance to the goal (ring, {x:.2f} from the left and {y:.2f} from the top) from everywhere: light is near; the robot's centre cannot be in the blue. {words}."
    return Picture(figure, alt, caption)


def misses(picture: Tensor, starts: Tensor, goals: Tensor, reached: Mapping[str, Sequence[bool]]) -> Picture:
    """The pairs that were missed, as arrows from start to goal: one map per name.  starts, goals: [pairs, 2]."""
    missed = {name: [number for number, there in enumerate(found) if not there] for name, found in reached.items()}
    titles = [f"{name}: {len(numbers)} missed" for name, numbers in missed.items()]
    figure, axes = room_strip([[picture] * len(missed)], titles, 2.9, 3.2)
    doors = (starts[:, 1] < 0.5) != (goals[:, 1] < 0.5)  # the goal is in the other room
    said = []
    for ax, (name, numbers) in zip(axes, missed.items()):
        for number in numbers:
            color = "#F0E442" if doors[number] else "white"
            arrow = {"arrowstyle": "->", "color": color, "linewidth": 1.2}
            ax.annotate("", goals[number].flip(0).tolist(), starts[number].flip(0).tolist(), arrowprops=arrow)
        said.append(f"{name} missed {len(numbers)}, {int(doors[numbers].sum())} of them through the door")
    words = "; ".join(said)
    alt = f"Maps of the rooms with an arrow from start to goal for every pair that was missed: {words}."
    caption = f"The pairs of {len(starts)} that were missed, an arrow from start to goal each (yellow: through the door): {words}."
    return Picture(figure, alt, caption)
