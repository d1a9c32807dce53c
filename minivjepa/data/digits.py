"""Clips of real handwriting in motion, with known factors.

Built in lesson 1.  One handwritten digit moves at constant velocity in one of 8 directions over a dark noisy
frame and wraps around at the edges.  Its start is uniform and independent of the direction; otherwise the
first frame would give the direction away.  A clip depends only on (seed, step, sample index).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from minivjepa import randomness
from minivjepa.data.protocol import DIRECTIONS, SPLITS, digit_split
from minivjepa.tubelets import Grid


@dataclass(frozen=True)
class ClipRules:
    """How a moving digit looks.  Lengths are in pixels of a frame of height 32 and scale with the frame."""

    digit: float = 20.0  # side of the enlarged 8 x 8 image
    slowest: float = 0.7  # speed in pixels per frame
    fastest: float = 1.5
    darkest: float = 0.3  # smallest value of a color channel; the largest is 1
    noise: float = 0.2  # standard deviation of the pixel noise
    mean: float = 0.15  # pixels are normalised as (x - mean) / std
    std: float = 0.3


CLIPS = ClipRules()


@dataclass(frozen=True)
class Factors:
    """What is in each of B clips.

    identity: int64 [B], 0..9.  direction: int64 [B], 0..7, multiples of 45 degrees from rightwards, clockwise
    on the screen.  position: float32 [B, 2], (y, x) of the digit's top left corner in the first frame, in
    shares of the frame.  color: float32 [B, 3].  speed: float32 [B], pixels per frame at height 32.
    image: int64 [B], the index of the handwritten image in its split.
    """

    identity: Tensor
    direction: Tensor
    position: Tensor
    color: Tensor
    speed: Tensor
    image: Tensor


class DigitClips:
    """An endless source of clips.

    grid: size of a clip.  split: "train", "validation" or "test", whose handwritten images do not overlap.
    seed: decides all clips.  device: where clips are rendered.  rules: how a digit looks.  Raises ValueError for an unknown split,
    or if the grid does not have 3 channels.
    """

    def __init__(self, grid: Grid, split: str = "train", seed: int = 0, device: str = "cpu", rules: ClipRules = CLIPS):
        if split not in SPLITS:
            raise ValueError(f"unknown split {split!r}; choose from {', '.join(SPLITS)}")
        if grid.channels != 3:
            raise ValueError(f"the clips are in color: --grid.channels is {grid.channels}, expected 3")
        self.grid, self.seed, self.rules, self.device = grid, seed, rules, torch.device(device)
        images, labels = digit_split()[split]
        self.images = torch.from_numpy(images).to(self.device)  # [n, 8, 8]
        self.labels = torch.from_numpy(labels).to(self.device)  # [n]
        self.sides = torch.tensor([grid.height, grid.width], device=self.device)

    def batch(self, step: int, index: Tensor) -> tuple[Tensor, Factors]:
        """Clips [B, C, T, H, W] and their factors, for the global sample indices int64 [B] at this step."""
        factors = self.factors(step, index)
        return self.render(factors, step, index), factors

    def factors(self, step: int, index: Tensor) -> Factors:
        """Draw the factors of the samples in `index` [B], uniformly and independently of each other."""
        u = randomness.uniform(randomness.keys("factors", self.seed, step, index.to(self.device)), 8)
        image = (u[:, 0] * len(self.images)).long()
        return Factors(
            identity=self.labels[image],
            direction=(u[:, 1] * DIRECTIONS).long(),
            position=u[:, 2:4],
            color=self.rules.darkest + (1 - self.rules.darkest) * u[:, 4:7],
            speed=self.rules.slowest + (self.rules.fastest - self.rules.slowest) * u[:, 7],
            image=image,
        )

    def render(self, factors: Factors, step: int, index: Tensor) -> Tensor:
        """Factors of B clips -> pixels [B, C, T, H, W], in one vectorised pass: frame = rows @ digit @ columns."""
        angle = factors.direction * (2 * math.pi / DIRECTIONS)
        heading = torch.stack([angle.sin(), angle.cos()], dim=1)  # (y, x) on the screen
        frames = torch.arange(self.grid.frames, device=self.device)
        scale = self.grid.height / 32
        travelled = factors.speed[:, None] * scale * frames  # [B, T]
        corner = (factors.position * self.sides)[:, :, None] + heading[:, :, None] * travelled[:, None]  # [B, 2, T]
        cell = self.rules.digit * scale / 8
        rows = self._spread(corner[:, 0], self.grid.height, cell)  # [B, T, H, 8]
        columns = self._spread(corner[:, 1], self.grid.width, cell)  # [B, T, W, 8]
        ink = rows @ self.images[factors.image][:, None] @ columns.transpose(-1, -2)  # [B, T, H, W]
        clip = factors.color[:, :, None, None, None] * ink[:, None]  # [B, C, T, H, W]
        key = randomness.keys("noise", self.seed, step, index.to(self.device))
        clip += randomness.normal(key, clip[0].numel()).reshape(clip.shape) * self.rules.noise
        return (clip - self.rules.mean) / self.rules.std

    @staticmethod
    def _spread(corner: Tensor, side: int, cell: float) -> Tensor:
        """corner [B, T] in pixels -> how much each of 8 digit cells weighs in each pixel, [B, T, side, 8].

        Linear interpolation between cell centres, on a frame whose two ends are joined.
        """
        pixel = torch.arange(side, device=corner.device)[:, None] + 0.5
        centre = (torch.arange(8, device=corner.device) + 0.5) * cell
        # signed distance on a ring, since the frame's edges are joined
        gap = (pixel - centre - corner[..., None, None] + side / 2) % side - side / 2
        return (1 - gap.abs() / cell).clamp_min(0)
