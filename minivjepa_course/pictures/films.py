"""Moving pictures: lesson 0 opens with a covered clip, 1 with clips that play, 2 with masks over one, 6 with features that die."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from torch import Tensor

from minivjepa.data.digits import DigitClips
from minivjepa.figures import HIDDEN, frame_of, panels
from minivjepa.figures.feature_colors import gif, imagination_film
from minivjepa.figures.film_strips import HEADINGS, digit_frames, displayed
from minivjepa.masking import MaskPair, TubeMask
from minivjepa.tubelets import Grid

COVER = to_rgb(HIDDEN)  # blue, as in the pictures of masks: a frame is nearly black where nothing is
HELD = 8  # times that the last frame of a cloud's film is shown


@dataclass(frozen=True)
class Film:
    """Frames uint8 [T, H, W, 3] with what they show: `alt` for people who cannot see them, `caption` for all."""

    frames: np.ndarray
    alt: str
    caption: str

    def gif(self) -> bytes:
        """The film as a GIF file that repeats forever."""
        return gif(self.frames)


def covered_clip() -> tuple[Tensor, Tensor]:
    """A clip of moving handwriting, colors 0..1 [T, H, W, 3], and where lesson 0 covers it: bool [T, H, W]."""
    grid, index, step = Grid(12, 64, 64, 2, 8), 56, 280  # a digit that stays inside the frame, and always shows a bit
    seen, _ = TubeMask().sample(grid, 0, step, torch.tensor([index]))
    hidden = torch.ones(grid.tokens).index_fill(0, seen[0], 0).reshape(1, 1, *grid.shape)
    clip = torch.from_numpy(digit_frames(grid, index))
    return clip, torch.nn.functional.interpolate(hidden, clip.shape[:3])[0, 0] > 0


def two_halves(seen: Tensor, rest: Tensor) -> Film:
    """A clip with its cover, playing beside what the cover hides.  Each [T, H, W, 3], colors 0..1."""
    columns = {"what a network sees": seen, "what's under the cover": rest}
    words = f"One clip of {len(seen)} frames: on the left, what a network sees of it; on the right, everything else."
    return Film(
        imagination_film({title: clip[None].numpy() for title, clip in columns.items()}, inches=2.1), words, words
    )


def opening() -> Film:
    """The moving picture above lesson 0."""
    clip, hidden = covered_clip()
    return two_halves(*(torch.where(cover[..., None], 0.5, clip) for cover in (hidden, ~hidden)))


def clips_in_motion(grid: Grid, count: int) -> Film:
    """The first clips of moving handwriting, side by side, each with what is in it written above."""
    clips, factors = DigitClips(grid).batch(0, torch.arange(count))
    moves = [f"{digit} moves\n{HEADINGS[d]}" for digit, d in zip(factors.identity.tolist(), factors.direction.tolist())]
    columns = {
        f"clip {number}: {words}": clip[None] for number, (words, clip) in enumerate(zip(moves, displayed(clips)))
    }
    said = "; ".join(words.replace("\n", " ") for words in moves)
    return Film(
        imagination_film(columns),
        f"{count} clips of {grid.frames} frames, playing side by side: {said}.",
        f"{count} clips of {grid.frames} frames, {grid.height} x {grid.width} pixels each: real handwriting, moving at constant speed.",
    )


def masks_in_motion(grid: Grid, index: int, masks: Mapping[str, MaskPair], whole: bool, inches: float) -> Film:
    """A clip of moving handwriting, playing under the first row of each mask: what's hidden is blue.  whole: and without."""
    frames = digit_frames(grid, index)
    columns = {"the whole clip": frames[None]} if whole else {}
    for name, (context, _) in masks.items():
        seen = torch.zeros(grid.tokens).index_fill(0, context[0], 1).reshape(1, 1, *grid.shape)
        window = torch.nn.functional.interpolate(seen, frames.shape[:3])[0, 0, ..., None].numpy()
        columns[f"{name}\n{100 * (1 - float(seen.mean())):.3g} % hidden"] = np.where(window > 0, frames, COVER)[None]
    said = "; ".join(title.replace("\n", ", ") for title in columns)
    words = f"The same clip of {grid.frames} frames, playing side by side, with hidden tubelets in blue: {said}."
    return Film(imagination_film(columns, inches=inches), words, words)


def clouds_in_motion(runs: Mapping[str, Sequence[tuple[int, Tensor]]]) -> Film:
    """What encoders make of the same clips while they train: by name, the steps and the features [B, N, D] there.

    Each dot is a clip: its mean token, minus the mean over clips, along two directions that stay the same.
    """
    h = next(iter(runs.values()))[0][1].mean(dim=1)
    start = h - h.mean(dim=0)
    plane = torch.linalg.svd(start, full_matrices=False).Vh[:2].T  # in which the first features spread most
    clouds = {name: [_cloud(h, plane) for _, h in rows] for name, rows in runs.items()}
    wide = 1.05 * max(float(np.abs(cloud).max()) for each in clouds.values() for cloud in each)
    frames = dots_in_motion(clouds, [step for step, _ in next(iter(runs.values()))], wide)
    widths = {name: float(each[-1].std() / each[0].std()) for name, each in clouds.items()}
    said = "; ".join(f"{name} {width:.2f}" for name, width in widths.items())
    return Film(
        frames,
        f"{len(runs)} clouds of {len(h)} dots, playing side by side while {' and '.join(runs)} train. Width of each cloud at the end, as a "
        f"share of its width at the start: {said}.",
        f"{len(h)} clips, one dot each, colored by where it starts. Features are averaged over tokens and drawn along two fixed directions, "
        f"around their mean. Width at the end, as a share of the start: {said}.",
    )


def dots_in_motion(
    clouds: Mapping[str, Sequence[np.ndarray]],
    steps: Sequence[int],
    wide: float,
    said: str = "training step",
    inches: float = 3.1,
) -> np.ndarray:
    """Clouds of dots by name, each [B, 2] at these steps, moving side by side: frames uint8 [T, H, W, 3].

    wide: how far they are drawn.  said: what a step is called.  inches: side of a cloud's square.
    """
    figure, axes = panels((inches * len(clouds), inches + 0.5), len(clouds))
    dots = []
    for ax, (name, each) in zip(axes, clouds.items()):
        size, color = 7.1 * inches, each[0][:, 0]
        dots.append(ax.scatter(*each[0].T, s=size, c=color, cmap="viridis", alpha=0.8, linewidths=0))
        ax.set(xlim=(-wide, wide), ylim=(-wide, wide), aspect="equal", xticks=[], yticks=[], title=name)
    said_below = figure.supxlabel(f"{said} 0", fontsize=10)
    canvas, frames = FigureCanvasAgg(figure), []
    for _ in range(2):  # the first only finds out how large the squares are
        canvas.draw()
    figure.set_layout_engine("none")  # from now on nothing but dots moves
    for number, step in enumerate(steps):
        for dot, each in zip(dots, clouds.values()):
            dot.set_offsets(each[number])
        said_below.set_text(f"{said} {step}")
        frames.append(frame_of(canvas))
    return np.stack(frames + HELD * frames[-1:])


def _cloud(h: Tensor, plane: Tensor) -> np.ndarray:
    """Features [B, N, D] -> one point a clip [B, 2], around their mean."""
    pooled = h.mean(dim=1)
    return ((pooled - pooled.mean(dim=0)) @ plane).numpy()
