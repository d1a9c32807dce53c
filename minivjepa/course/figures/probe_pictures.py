"""Lesson 9: which clips features bring together, what probes read from them, and what each single token knows."""

from collections.abc import Mapping, Sequence

import numpy as np

from minivjepa.course.figures import COLORS, Picture, panels, strip
from minivjepa.course.figures.film_strips import HEADINGS

MARKERS = "osD^"


def trail(clips: np.ndarray) -> np.ndarray:
    """Brightness 0..1 [B, T, H, W] -> one picture a clip [B, H, W, 3]: early frames blue, late ones orange."""
    early, late = (np.array(color) for color in ((0.2, 0.5, 1.0), (1.0, 0.55, 0.1)))
    share = np.linspace(0, 1, clips.shape[1])[:, None]
    colors = (1 - share) * early + share * late  # [T, 3]
    return (clips[..., None] * colors[None, :, None, None]).max(axis=1).clip(0, 1)


def neighbors_strip(trails: np.ndarray, labels: Sequence[tuple[int, str]], found: Mapping[str, np.ndarray]) -> Picture:
    """A query and the clips that are nearest to it, one encoder a row.

    trails [B, H, W, 3]: one picture a clip, 0..1.  labels: each clip's digit and heading.  found: encoder -> int [1 + k], the query,
    then its nearest.
    """
    titles = ["query", *(f"nearest {number}" for number in range(1, len(next(iter(found.values())))))]
    figure, axes = strip([trails[ids] for ids in found.values()], titles, 1.4, 1.75 * len(found) + 0.2, [*found])
    said = []
    for row, (name, ids) in zip(axes.reshape(len(found), -1), found.items()):
        query, *others = (labels[clip] for clip in ids)
        for ax, (digit, heading) in zip(row, [query, *others]):
            ax.set_xlabel(f"{digit}, {heading}", fontsize=10)
            if heading == query[1]:
                ax.spines[:].set(color=COLORS[4], linewidth=3)
        words = ", ".join(f"{digit} {heading}" for digit, heading in others)
        said.append(f"the {name} encoder's nearest are {words}")
    digit, heading = labels[next(iter(found.values()))[0]]
    return Picture(
        figure,
        f"Trails of clips, one encoder per row. The query is a {digit} that moves {heading}; {'; '.join(said)}.",
        "Each picture is a whole clip: its early frames are blue, its late ones orange. An orange frame marks clips that move in the query's direction.",
    )


def probe_dots(scores: Mapping[str, Mapping[str, Mapping[str, float]]], chance: Mapping[str, float]) -> Picture:
    """Accuracies as dots.  scores: task -> probe -> what the probe reads -> accuracy; what wasn't measured is missing."""
    figure, axes = panels((8.4, 3.2), len(scores))
    said, seen = [], list(dict.fromkeys(name for probes in scores.values() for row in probes.values() for name in row))
    for ax, (task, probes) in zip(axes, scores.items()):
        ax.axvline(chance[task], color="gray", ls=":", label="chance")
        for number, name in enumerate(seen):
            dots = {line: row[name] for line, row in enumerate(probes.values()) if name in row}
            lines = [line - 0.27 + 0.18 * number for line in dots]  # one below the other
            ax.plot([*dots.values()], lines, MARKERS[number], ms=8, color=COLORS[number], label=name)
            said += [f"{task}, {[*probes][line]}, {name}: {value:.2f}" for line, value in dots.items()]
        ax.set(xlim=(0, 1.03), ylim=(len(probes) - 0.5, -0.5), title=task, xlabel="accuracy on test clips")
        ax.set_yticks(range(len(probes)), list(probes))
        ax.grid(alpha=0.25)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center")
    return Picture(
        figure,
        f"Dots for accuracies. {'; '.join(said)}.",
        "What each probe gets right, by what it reads. Further right is better.",
    )


def token_map(accuracy: Mapping[str, np.ndarray], chance: float) -> Picture:
    """encoder -> accuracy [t, h, w] of a probe that reads one token: a square per token, a row per encoder."""
    maps = list(accuracy.values())
    titles = [f"time step {number}" for number in range(len(maps[0]))]
    figure, axes = strip(maps, titles, 1.9, 2.1 * len(maps) + 0.2, [*accuracy], (0, 1))
    for ax, square in zip(axes, (square for each in maps for square in each)):
        for (row, column), value in np.ndenumerate(square):
            place = (column + 0.5) / square.shape[1], (row + 0.5) / square.shape[0]
            ax.text(*place, f"{value:.2f}", ha="center", va="center", color="black" if value > 0.5 else "white")
    said = "; ".join(f"{name} from {each.min():.2f} to {each.max():.2f}" for name, each in accuracy.items())
    return Picture(
        figure,
        f"Maps of {maps[0][0].size} squares for each of {len(titles)} time steps, one encoder per row: {said}.",
        f"How often a linear probe that reads only this token gets the direction right: {said}; chance is {chance:.3f}.",
    )


def token_arrows(frames: np.ndarray, answers: Mapping[str, np.ndarray], truth: int) -> Picture:
    """What single tokens answer about one clip.  frames [t, H, W, 3]: 0..1, one per time step.  answers: encoder -> directions int [t, h, w]."""
    titles = [f"time step {number}" for number in range(len(frames))]
    figure, axes = strip([0.8 * frames] * len(answers), titles, 1.9, 2.1 * len(answers) + 0.2, [*answers])
    for ax, given in zip(axes, (each for rows in answers.values() for each in rows)):
        down, right = ((np.indices(given.shape) + 0.5) / given.shape[0]).reshape(2, -1)
        angle = given.reshape(-1) * (2 * np.pi / len(HEADINGS))  # clockwise on the screen
        color = np.where(given.reshape(-1) == truth, COLORS[5], COLORS[4])
        ax.quiver(right, down, np.cos(angle), np.sin(angle), color=color, angles="xy", pivot="mid", scale=6, width=0.02)
    said = ", ".join(f"{name} {(given == truth).sum()} of {given.size}" for name, given in answers.items())
    return Picture(
        figure,
        f"Frames of a clip with an arrow on each token, one encoder per row. The digit moves {HEADINGS[truth]}; correct arrows: {said}.",
        f"The digit moves {HEADINGS[truth]}. Each arrow is what a probe reads from that token alone, blue where it's right: {said}.",
    )
