"""Moving pictures: lesson 1 opens with clips that play."""

from dataclasses import dataclass

import numpy as np
import torch

from minivjepa.course.figures.feature_colors import gif, imagination_film
from minivjepa.course.figures.film_strips import HEADINGS, displayed
from minivjepa.data.digits import DigitClips
from minivjepa.tubelets import Grid


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
