"""Lesson 9: which clips features bring together, what probes read from them, and what each single token knows."""

from collections.abc import Mapping, Sequence

import numpy as np

from minivjepa.figures import COLORS, Picture, curves, strip
from minivjepa.figures.film_strips import HEADINGS


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
    digit, heading = labels[next(iter(found.values()))[0]]
    for ax, clip in zip(axes, (clip for ids in found.values() for clip in ids)):
        ax.set_xlabel(", ".join(map(str, labels[clip])), fontsize=10)
        if labels[clip][1] == heading:
            ax.spines[:].set(color=COLORS[4], linewidth=3)
    words = {name: ", ".join("{} {}".format(*labels[clip]) for clip in ids[1:]) for name, ids in found.items()}
    said = [f"the {name} encoder's nearest are {nearest}" for name, nearest in words.items()]
    return Picture(
        figure,
        f"Trails of clips, one encoder per row. The query is a {digit} that moves {heading}; {'; '.join(said)}.",
        "Each picture is a whole clip: its early frames are blue, its late ones orange. An orange frame marks clips that move in the query's direction.",
    )


def probe_curves(scores: Mapping[str, Mapping[str, Mapping[str, float]]], chance: Mapping[str, float]) -> Picture:
    """scores: task -> probe -> what the probe reads -> accuracy, NaN where it wasn't measured.  chance: task -> accuracy."""
    probes, names = [*next(iter(scores.values()))], [*next(iter(next(iter(scores.values())).values()))]
    rows = {name: [[row[name] for row in each.values()] for each in scores.values()] for name in names}
    columns = {name: (probes, *each) for name, each in rows.items()}
    figure, axes = curves((8.4, 3.2), [*scores], columns, "", "accuracy on test clips", "o")
    for ax, level in zip(axes, chance.values()):
        ax.axhline(level, color="gray", lw=1)
        ax.set(ylim=(0, 1.05))
    each = [
        f"{task} from {name} {np.round(row, 2).tolist()}" for name in names for task, row in zip(scores, rows[name])
    ]
    alt = f"Curves of the accuracies of {', '.join(probes)} probes (nan: not measured): {'; '.join(each)}."
    return Picture(figure, alt, "What each probe gets right, by what it reads. The gray line is chance.")


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
        f"The digit moves {HEADINGS[truth]}. Each arrow is what a probe reads from just that token, blue where it's right: {said}.",
    )
