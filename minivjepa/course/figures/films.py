"""Moving pictures: lesson 1 opens with clips that play, lesson 2 with masks over one."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.colors import to_rgb

from minivjepa.course.figures import COLORS
from minivjepa.course.figures.feature_colors import gif, imagination_film
from minivjepa.course.figures.film_strips import HEADINGS, digit_frames, displayed
from minivjepa.data.digits import DigitClips
from minivjepa.masking import MaskPair
from minivjepa.tubelets import Grid

COVER = to_rgb(COLORS[0])  # blue, as in the pictures of masks: a frame is nearly black where nothing is


@dataclass(frozen=True)
class Film:
    """Frames uint8 [T, H, W, 3] with what they show: `alt` for people who cannot see them, `caption` for all."""

    frames: np.ndarray
    alt: str
    caption: str

    def gif(self) -> bytes:
        """The film as a GIF file that repeats forever."""
        return gif(self.frames)


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
        f"{count} clips of {grid.frames} frames, {grid.height} x {grid.width} pixels each: real handwriting at constant speed.",
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
    words = f"One clip of {grid.frames} frames, playing side by side, hidden tubelets in blue: {said}."
    return Film(imagination_film(columns, inches=inches), words, words)
