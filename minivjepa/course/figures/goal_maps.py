"""Lesson 12: what a world model imagines, how a planner narrows down its plans, and which goals are missed.

Positions are (y, x) as shares of the world's side, as in world/rooms.py; pictures are displayable, [3, H, W], 0 to 1.
"""

from collections.abc import Mapping, Sequence

import torch
from einops import rearrange
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from minivjepa.course.figures import COLORS, STYLES, Picture

LINES = (("-", "white"), ("--", "#F0E442"), (":", "#56B4E9"))  # of paths: readable on the dark floor of the rooms
SHARES = (0.0, 1.0, 1.0, 0.0)  # a picture's edges, so that positions can be drawn on it


def floor(ax: Axes, picture: Tensor, title: str) -> None:
    """Draw a picture of the rooms, on which positions can be drawn."""
    ax.imshow(rearrange(picture, "C H W -> H W C").numpy(), extent=SHARES)
    ax.set(xlim=(0, 1), ylim=(1, 0), xticks=[], yticks=[])
    ax.set_title(title, fontsize=9)


def ring(ax: Axes, goal: Tensor, radius: float) -> None:
    """Draw the goal: a robot inside the ring has reached it."""
    y, x = goal.tolist()
    turn = torch.linspace(0, 2 * torch.pi, 60)
    ax.plot(x + radius * turn.cos(), y + radius * turn.sin(), "-", color="#00E5A0", linewidth=1.6, label="the goal")


def rollout_errors(curves: Mapping[str, Sequence[float]], radius: float) -> Picture:
    """Error of imagined positions, step by step: one curve per model, and a line at the goal's radius."""
    figure = Figure(figsize=(7.4, 3.6), layout="constrained")
    ax = figure.subplots()
    for number, (name, values) in enumerate(curves.items()):
        steps = range(1, len(values) + 1)
        ax.plot(steps, values, STYLES[number % 4], marker="o", markersize=4, color=COLORS[number % 7], label=name)
    ax.axhline(radius, color="grey", linewidth=0.8)
    ax.annotate("near enough to a goal", (1, radius), (0, 3), textcoords="offset points", fontsize=8, color="grey")
    ax.set(xlabel="steps imagined", ylabel="distance from the true position\n(sides of the world)", ylim=(0, None))
    ax.grid(alpha=0.25)
    ax.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    said = "; ".join(f"{name}: {values[0]:.2f} after one step, {values[-1]:.2f} at the end" for name, values in curves.items())  # fmt: skip
    return Picture(
        figure,
        f"Distance of imagined from true positions over {len(next(iter(curves.values())))} steps. {said}.",
        f"Mean error of imagined positions, in sides of the world. {said}. A goal counts as reached within {radius:g}.",
    )


def ways(
    frames: Sequence[Tensor],
    titles: Sequence[str],
    lines: Sequence[Mapping[str, Tensor]],
    goals: Sequence[Tensor] = (),
    radius: float = 0.08,
) -> Picture:
    """A row of rooms with paths drawn in.  lines: for each picture, label -> positions [T, 2]; goals: one for each picture."""
    count = len(frames)
    figure = Figure(figsize=(max(4.2, 2.2 * count), 2.72 if count > 1 else 4.5), layout="constrained")
    for number, ax in enumerate(figure.subplots(1, count, squeeze=False)[0]):
        floor(ax, frames[number], titles[number])
        for (style, color), (label, path) in zip(LINES, lines[number].items()):
            y, x = path.unbind(-1)
            ax.plot(x, y, style, marker=".", markersize=4, linewidth=1.4, color=color, label=label)
        if goals:
            ring(ax, goals[number], radius)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    legend = figure.legend(handles, labels, loc="outside lower center", ncols=4, fontsize=8, facecolor=(0.1, 0.1, 0.15))
    for text in legend.get_texts():
        text.set_color("white")
    kinds = ", ".join(labels)
    said = "; ".join(titles)
    return Picture(
        figure,
        f"The two rooms, seen from above, with {kinds} drawn in. From left to right: {said}.",
        f"The rooms from above with {kinds}: {said}.",
    )


def strips(rows: Mapping[str, Sequence[Tensor]], titles: Sequence[str]) -> Picture:
    """Film strips of the same moments, one below the other.  rows: label -> pictures."""
    count = len(titles)
    figure = Figure(figsize=(1.25 * count + 0.6, 1.35 * len(rows) + 0.2), layout="constrained")
    for number, (grid, (name, frames)) in enumerate(
        zip(figure.subplots(len(rows), count, squeeze=False), rows.items())
    ):
        for ax, frame, title in zip(grid, frames, titles):
            floor(ax, frame, title if number == 0 else "")
        grid[0].set_ylabel(name, fontsize=9)
    names, said = " above ".join(name.replace("\n", " ") for name in rows), ", ".join(titles)
    return Picture(
        figure,
        f"Film strips of the rooms, {names}, {count} pictures each: {said}.",
        f"Film strips: {names}. From left to right: {said}.",
    )


def planning_rounds(start: Tensor, goal: Tensor, rounds: Sequence[tuple[Tensor, Tensor]], radius: float) -> Picture:
    """What a planner tries, round by round.  rounds: the paths of all plans [S, T, 2] and of those it kept [E, T, 2]."""
    figure = Figure(figsize=(2.5 * len(rounds), 2.9), layout="constrained")
    said = []
    for number, (ax, (paths, kept)) in enumerate(zip(figure.subplots(1, len(rounds), squeeze=False)[0], rounds), 1):
        passing = int(((paths - goal).norm(dim=-1) <= radius).any(dim=1).sum())
        said.append(f"{passing} of {len(paths)} in round {number}")
        floor(ax, start, f"round {number}: {passing} of {len(paths)} pass the goal")
        for some, color, alpha in ((paths, "white", 0.25), (kept, "#F0E442", 0.9)):
            for y, x in (path.unbind(-1) for path in some):
                ax.plot(x, y, color=color, alpha=alpha, linewidth=0.9)
        ring(ax, goal, radius)
    words = ", ".join(said)
    return Picture(
        figure,
        f"{len(rounds)} pictures of the rooms with the paths of all plans of a round. The goal is passed by {words}.",
        f"Where the plans of a round really lead (white; yellow if they were kept), and the goal (ring). It is passed by {words}.",
    )


def distance_maps(maps: Mapping[str, Tensor], goal: Tensor, radius: float) -> Picture:
    """Distance to the goal from everywhere.  maps: name -> [n, n] from the top left corner, NaN where no robot can be.

    Each map has its own scale.
    """
    figure = Figure(figsize=(3.1 * len(maps), 3.2), layout="constrained")
    said = []
    for ax, (name, values) in zip(figure.subplots(1, len(maps), squeeze=False)[0], maps.items()):
        ax.set_facecolor((0.35, 0.6, 0.85))
        ax.imshow(values.numpy(), extent=SHARES, cmap="magma_r")
        ax.contour(values.numpy(), 12, extent=SHARES, origin="upper", colors="white", linewidths=0.5)
        ax.set(xlim=(0, 1), ylim=(1, 0), xticks=[], yticks=[])
        ax.set_title(name, fontsize=9)
        ring(ax, goal, radius)
        seen = torch.where(values.isnan(), torch.inf, values)
        row, column = divmod(int(seen.argmin()), values.shape[1])
        near = torch.tensor([(row + 0.5) / len(values), (column + 0.5) / values.shape[1]])
        said.append(f"{name}: least {(near - goal).norm():.2f} from the goal")
    words, (y, x) = "; ".join(said), goal.tolist()
    return Picture(
        figure,
        f"Maps of the rooms, light where the goal at {x:.2f} from the left and {y:.2f} from the top is near, dark where it is far. {words}.",
        f"Distance to the goal (ring, {x:.2f} from the left and {y:.2f} from the top) from everywhere: light is near; the robot's centre cannot be in the blue. {words}.",
    )


def misses(picture: Tensor, starts: Tensor, goals: Tensor, reached: Mapping[str, Sequence[bool]]) -> Picture:
    """The pairs that were missed, as arrows from start to goal: one map per name.  starts, goals: [pairs, 2]."""
    figure = Figure(figsize=(2.9 * len(reached), 3.2), layout="constrained")
    said = []
    for ax, (name, found) in zip(figure.subplots(1, len(reached), squeeze=False)[0], reached.items()):
        missed = [number for number, there in enumerate(found) if not there]
        floor(ax, picture, f"{name}: {len(missed)} missed")
        through = 0
        for number in missed:
            (y, x), (to_y, to_x) = starts[number].tolist(), goals[number].tolist()
            other = (x < 0.5) != (to_x < 0.5)
            through += other
            arrow = {"arrowstyle": "->", "color": "#F0E442" if other else "white", "linewidth": 1.2}
            ax.annotate("", (to_x, to_y), (x, y), arrowprops=arrow)
        said.append(f"{name} missed {len(missed)}, {through} of them through the door")
    words = "; ".join(said)
    return Picture(
        figure,
        f"Maps of the rooms with an arrow from start to goal for every pair that was missed: {words}.",
        f"The pairs of {len(starts)} that were missed, an arrow from start to goal each (yellow: through the door): {words}.",
    )
