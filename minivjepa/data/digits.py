"""Clips of real handwriting in motion, with known factors.

Built in lesson 1.  One handwritten digit moves at constant velocity in one of 8 directions over a dark noisy
frame and wraps around at the edges.  Its start is uniform and independent of the direction; otherwise the
first frame would give the direction away.  A background can be added as a nuisance.  A clip depends only on
(seed, step, sample index).
"""

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from minivjepa import randomness
from minivjepa.data.protocol import CHANCE, DIRECTIONS, SPLITS, digit_split
from minivjepa.tubelets import Grid

SHOWN = ("digits", "photographs")
BACKGROUNDS = ("none", "new", "still", "drifting")
LIMITS = {
    "digit": (1, 32),
    "slowest": (0, 32),
    "fastest": (0, 32),
    "darkest": (0, 1),
    "noise": (0, 10),
    "mean": (0, 1),
    "std": (0.01, 10),
}
CELLS = 8  # per side: of a handwritten image, and of a background


@dataclass(frozen=True)
class ClipRules:
    """What clips show, and how.  Lengths are in pixels of a frame of height 32 and scale with the frame."""

    shows: str = "digits"
    """What moves: digits, or photographs under a window (data/photographs.py), for which only the two speeds matter."""
    digit: float = 20.0  # side of the enlarged 8 x 8 image
    slowest: float = 0.7  # speed of the slowest digit, in pixels per frame
    fastest: float = 1.5  # speed of the fastest
    darkest: float = 0.3  # smallest value of a color channel; the largest is 1
    noise: float = 0.2  # standard deviation of the pixel noise
    background: str = "none"
    """A smooth random background that says nothing about the digit: none, new (in every frame), still, or drifting."""
    strength: float = 0.0  # Standard deviation of the background, as a multiple of `std`.
    mean: float = 0.15  # of pixels
    std: float = 0.3  # of pixels without a background

    def __post_init__(self) -> None:
        if self.shows not in SHOWN:
            raise ValueError(f"unknown clips {self.shows!r}; choose from {', '.join(SHOWN)}")
        changed = [f.name for f in fields(self) if getattr(self, f.name) != f.default]
        if self.shows == "photographs" and (idle := sorted({*changed} - {"shows", "slowest", "fastest"})):
            raise ValueError(f"{', '.join(idle)} would change nothing in clips of photographs; leave them out")
        if self.background not in BACKGROUNDS:
            raise ValueError(f"unknown background {self.background!r}; choose from {', '.join(BACKGROUNDS)}")
        for name, (low, high) in LIMITS.items():
            if not low <= (value := getattr(self, name)) <= high:
                raise ValueError(f"clips.{name} is {value}, expected {low:g} to {high:g}")
        if self.slowest > self.fastest:
            raise ValueError(f"clips.slowest is {self.slowest}, expected at most clips.fastest, {self.fastest}")
        if not (math.isfinite(self.strength) and self.strength >= 0):
            raise ValueError(f"strength is {self.strength}, expected 0 or more")
        if (self.background == "none") != (self.strength == 0):
            given = f"background is {self.background} and strength {self.strength}"
            raise ValueError(f"{given}; a background needs a strength above 0, and none needs 0")

    @property
    def pixel_scale(self) -> tuple[float, float]:
        """The mean and the standard deviation by which pixels are normalised."""
        return (0.4, 0.28) if self.shows == "photographs" else (self.mean, self.std * math.hypot(1, self.strength))

    @property
    def chance(self) -> dict[str, float]:
        """What guessing the direction, and which digit or photograph it is, would score."""
        return CHANCE | ({"identity": 1 / 2} if self.shows == "photographs" else {})

    def speed(self, share: Tensor) -> Tensor:
        """From the slowest (0) to the fastest (1), in pixels per frame."""
        return self.slowest + (self.fastest - self.slowest) * share


CLIPS = ClipRules()


@dataclass(frozen=True)
class Factors:
    """What is in each of B clips.

    identity: int64 [B], 0..9.  direction: int64 [B], 0..7, multiples of 45 degrees from rightwards, clockwise
    on the screen.  position: float32 [B, 2], (y, x) of the digit's top left corner in the first frame, in shares of the
    frame (of a window over a photograph: in shares of where it can be).  color: float32 [B, 3].  speed: float32 [B], pixels per frame at height 32.
    image: int64 [B], the index of the handwritten image in its split.
    """

    identity: Tensor
    direction: Tensor
    position: Tensor
    color: Tensor
    speed: Tensor
    image: Tensor


def check_clips(grid: Grid, split: str) -> None:
    """Raise ValueError for an unknown split, or if the grid does not have 3 channels."""
    if split not in SPLITS:
        raise ValueError(f"unknown split {split!r}; choose from {', '.join(SPLITS)}")
    if grid.channels != 3:
        raise ValueError(f"the clips are in color: --grid.channels is {grid.channels}, expected 3")


def travelled(grid: Grid, angle: Tensor, speed: Tensor) -> Tensor:
    """How far things have moved by each frame, at an angle [B] and a speed [B]: pixels, [B, 2 (y, x), T]."""
    heading = torch.stack([angle.sin(), angle.cos()], dim=1)  # (y, x) on the screen
    far = speed[:, None] * (grid.height / 32) * torch.arange(grid.frames, device=angle.device)  # [B, T]
    return heading[:, :, None] * far[:, None]


class DigitClips:
    """An endless source of clips.

    grid: size of a clip.  split: "train", "validation" or "test", whose handwritten images do not overlap.
    seed: decides all clips.  device: where clips are rendered.  rules: how a digit looks.  Raises ValueError for an unknown split,
    or if the grid does not have 3 channels.
    """

    def __init__(self, grid: Grid, split: str = "train", seed: int = 0, device: str = "cpu", rules: ClipRules = CLIPS):
        check_clips(grid, split)
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
        direction, position, speed = (u[:, 1] * DIRECTIONS).long(), u[:, 2:4], self.rules.speed(u[:, 7])
        color = self.rules.darkest + (1 - self.rules.darkest) * u[:, 4:7]
        return Factors(self.labels[image], direction, position, color, speed, image)

    def render(self, factors: Factors, step: int, index: Tensor) -> Tensor:
        """Factors of B clips -> pixels [B, C, T, H, W], in one vectorised pass."""
        index = index.to(self.device)
        corner = self.moving(factors.position, factors.direction * (2 * math.pi / DIRECTIONS), factors.speed)
        cell = self.rules.digit * (self.grid.height / 32) / CELLS
        ink = self.paint(self.images[factors.image][:, None], corner, (cell, cell))  # [B, T, H, W]
        clip = factors.color[:, :, None, None, None] * ink[:, None]  # [B, C, T, H, W]
        # one draw for the noise and the background: the first numbers do not depend on how many there are
        pixels, patterns = clip[0].numel(), self.grid.frames if self.rules.background == "new" else 1
        key = randomness.keys("noise", self.seed, step, index)
        numbers = randomness.normal(key, pixels + (patterns * CELLS**2 + 4 if self.rules.strength else 0))
        clip += numbers[:, :pixels].reshape(clip.shape) * self.rules.noise
        if self.rules.strength:
            clip += self.background(numbers[:, pixels:])[:, None]
        mean, std = self.rules.pixel_scale
        return (clip - mean) / std

    def moving(self, position: Tensor, angle: Tensor, speed: Tensor) -> Tensor:
        """Top left corners in pixels, [B, 2 (y, x), T]: from shares of the frame [B, 2] at an angle [B] and a speed [B]."""
        return (position * self.sides)[:, :, None] + travelled(self.grid, angle, speed)

    def background(self, numbers: Tensor) -> Tensor:
        """Standard normal numbers [B, patterns * CELLS**2 + 4] -> the nuisance, the same in all color channels: [B, T, H, W].

        A random value at CELLS x CELLS points, and linear in between.  A drifting one moves like a digit, at an angle
        and a speed of its own.
        """
        u = torch.special.ndtr(numbers[:, -4:])  # uniform on 0 .. 1
        corner = self.moving(u[:, :2], u[:, 2] * (2 * math.pi), self.rules.speed(u[:, 3]))
        if self.rules.background != "drifting":
            corner = corner[:, :, :1]
        strength = 1.5 * self.rules.std * self.rules.strength  # painting leaves 4/9 of the variance
        pattern = strength * numbers[:, :-4].reshape(len(numbers), -1, CELLS, CELLS)
        shown = self.paint(pattern, corner, (self.grid.height / CELLS, self.grid.width / CELLS))
        return shown.expand(-1, self.grid.frames, -1, -1)

    def paint(self, pattern: Tensor, corner: Tensor, sides: tuple[float, float]) -> Tensor:
        """Enlarge patterns [B, 1 or T, CELLS, CELLS] to cells of `sides` pixels at corner [B, 2, T] -> [B, T, H, W]."""
        weights = []  # of each cell in each pixel: linear interpolation between cell centres
        for axis, (side, cell) in enumerate(zip((self.grid.height, self.grid.width), sides)):
            pixel = torch.arange(side, device=corner.device)[:, None] + 0.5
            centre = (torch.arange(CELLS, device=corner.device) + 0.5) * cell
            # signed distance on a ring, since the frame's edges are joined
            gap = (pixel - centre - corner[:, axis, :, None, None] + side / 2) % side - side / 2
            weights.append((1 - gap.abs() / cell).clamp_min(0))
        rows, columns = weights  # [B, T, H, CELLS], [B, T, W, CELLS]
        return rows @ pattern @ columns.transpose(-1, -2)
