"""Lesson 12: what a world model imagines, how a planner narrows down its plans, and how often it reaches its goal.

Positions are (y, x) as shares of the world's side, as in world/rooms.py; pictures are displayable, [3, H, W], 0 to 1.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from minivjepa.figures import COLORS, STYLES, Picture, curves, finish, panels, strip
from minivjepa_course.pictures.room_films import ring, room_strip

LINES = (("-", "white"), ("--", "#F0E442"), (":", "#56B4E9"))  # of paths: readable on the dark floor of the rooms


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


def success_dots(rates: Mapping[str, Sequence[float]], controls: Mapping[str, float], title: str = "") -> Picture:
    """Share of goals reached: a row per model with a dot per training, and a line for each control."""
    figure, [ax] = panels((7.6, 1.4 + 0.36 * len(rates)))
    for row, values in enumerate(rates.values()):
        ax.plot(values, [row] * len(values), "o", color=COLORS[0], alpha=0.6, markersize=7)
    for number, (name, value) in enumerate(controls.items(), 1):
        ax.axvline(value, color="gray", linestyle=STYLES[number % len(STYLES)])
        ax.annotate(name, (value, 1.02), xycoords=("data", "axes fraction"), ha="center", fontsize=10)
    ax.set(xlim=(0, 1.04), ylim=(len(rates) - 0.5, -0.5), yticks=range(len(rates)), yticklabels=list(rates))
    ax.set_xlabel("share of goals reached")
    ax.set_title(title, pad=22)
    ax.grid(alpha=0.25)
    said = "; ".join(f"{name} {', '.join(f'{value:.3g}' for value in values)}" for name, values in rates.items())
    lines = "; ".join(f"{name} {value:.3g}" for name, value in controls.items())
    words = f"{title}: {said}. Controls: {lines}".removeprefix(": ")
    alt = f"Dots in rows, one per training, over the share of goals reached. {words}."
    return Picture(figure, alt, f"One dot per training; lines are controls without a trained model. {words}.")


def success_against_time(points: Mapping[str, Mapping[str, tuple[float, float]]]) -> Picture:
    """Share of goals reached over what a decision costs.  points: planner -> model -> (milliseconds, share)."""
    figure, [ax] = panels((7.6, 4.2))
    models = list(dict.fromkeys(name for row in points.values() for name in row))
    said = []
    for mark, (planner, row) in zip("os^D", points.items()):
        for name, (time, share) in row.items():
            ax.plot(time, share, mark, color=COLORS[models.index(name) % len(COLORS)], markersize=9, alpha=0.85)
            said.append(f"{planner}, {name}: {time:.2g} ms, {share:.2f}")
        ax.plot([], [], mark, color="gray", label=planner)
    for number, name in enumerate(models):
        ax.plot([], [], "-", color=COLORS[number % len(COLORS)], label=name, linewidth=5)
    finish(ax, "milliseconds per decision", "share of goals reached", legend=False)
    ax.set(xscale="log", ylim=(0, 1.03))
    figure.legend(loc="outside right upper")
    alt = f"Share of goals reached over milliseconds per decision, a mark per planner and a color per model. {'; '.join(said)}."
    return Picture(figure, alt, "Means over trainings: what a decision costs (logarithmic), and how often the goal is reached. A mark for each planner, a color for each model.")  # fmt: skip


def longer_training(columns: Mapping[str, tuple[Sequence[int], Sequence[float], Sequence[float]]]) -> Picture:
    """A predictor that trains on: by model, its steps, its loss there, and the share of goals reached with it."""
    titles = ["prediction loss", "share of goals reached"]
    figure, axes = curves((9, 3.4), titles, columns, "steps of the predictor", marker="o")
    for ax in axes:
        ax.set(xscale="log", ylim=(0, None))
    axes[1].set_ylim(0, 1.03)
    said = "; ".join(f"{name}: loss {loss[0]:.2f} to {loss[-1]:.2f}, goals {', '.join(f'{share:.2f}' for share in shares)}" for name, (_, loss, shares) in columns.items())  # fmt: skip
    return Picture(figure, f"Two panels over training steps: loss, and goals reached. {said}.", f"While a predictor trains on. {said}.")  # fmt: skip
