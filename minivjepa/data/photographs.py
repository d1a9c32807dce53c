"""Clips of real pixels with known motion: a window slides over a photograph.

The photographs are the two that scikit-learn ships (china.jpg and flower.jpg, 427 x 640).  Training,
validation and test windows lie in stripes that do not overlap.  Where a window starts does not depend on where it goes.
"""

import math
from functools import cache

import torch
from sklearn.datasets import load_sample_image
from torch import Tensor

from minivjepa import randomness
from minivjepa.data.digits import ClipRules, Factors, check_clips, travelled
from minivjepa.data.protocol import DIRECTIONS
from minivjepa.tubelets import Grid

SCENES = ("china.jpg", "flower.jpg")
PHOTOGRAPHS = ClipRules(shows="photographs")
STRIPES = {"train": (0.0, 0.6), "validation": (0.6, 0.8), "test": (0.8, 1.0)}  # of the width, as shares


@cache
def photographs() -> Tensor:
    """Both photographs, float32 [2, 3, 427, 640] in 0..1."""
    return torch.stack([torch.from_numpy(load_sample_image(name).copy()).permute(2, 0, 1) / 255 for name in SCENES])


class PhotoClips:
    """An endless source of clips.  In its factors, identity is the scene, color the mean color of the first frame.

    Arguments as for DigitClips.  Raises ValueError for what check_clips refuses, and for clips too large or too long for a stripe.
    """

    def __init__(
        self, grid: Grid, split: str = "train", seed: int = 0, device: str = "cpu", rules: ClipRules = PHOTOGRAPHS
    ):
        check_clips(grid, split)
        self.grid, self.seed, self.rules, self.device = grid, seed, rules, torch.device(device)
        whole = photographs().to(self.device)
        left, right = (round(share * whole.shape[-1]) for share in STRIPES[split])
        self.stripe = whole[..., left:right]
        # a window may move this far in any direction, in pixels of the photograph; one of its pixels is one of the clip's
        self.reach = math.ceil(rules.fastest * (grid.height / 32) * (grid.frames - 1))
        sides = torch.tensor(self.stripe.shape[-2:], device=self.device)
        self.room = sides - torch.tensor([grid.height, grid.width], device=self.device) - 2 * self.reach  # for starts
        if self.room.min() < 1:
            windows = f"windows of {grid.height} x {grid.width} pixels move up to {self.reach} pixels"
            stripe = f"a stripe of {sides[0]} x {sides[1]}"
            raise ValueError(f"{windows}, which does not fit into {stripe}; use smaller or shorter clips")

    def batch(self, step: int, index: Tensor) -> tuple[Tensor, Factors]:
        """Clips [B, C, T, H, W] and their factors, for the global sample indices int64 [B] at this step."""
        u = randomness.uniform(randomness.keys("window", self.seed, step, index.to(self.device)), 5)
        scene = (u[:, 0] * len(SCENES)).long()
        direction = (u[:, 1] * DIRECTIONS).long()
        position, speed = u[:, 2:4], self.rules.speed(u[:, 4])
        clip = self.slide(scene, direction, position, speed)
        color = clip[:, :, 0].mean(dim=(2, 3))
        return clip, Factors(scene, direction, position, color, speed, image=scene)

    def slide(self, scene: Tensor, direction: Tensor, position: Tensor, speed: Tensor) -> Tensor:
        """Cut windows out of the stripe, at places between pixels too (bilinear): [B, C, T, H, W].

        What is seen moves in `direction`, so the window moves the other way.
        """
        moved = travelled(self.grid, direction * (2 * math.pi / DIRECTIONS), speed).transpose(1, 2)  # [B, T, 2]
        corner = (self.reach + position * self.room)[:, None] - moved  # [B, T, 2]
        whole = corner.floor()
        y = whole[..., 0, None].long() + torch.arange(self.grid.height + 1, device=self.device)  # [B, T, H + 1]
        x = whole[..., 1, None].long() + torch.arange(self.grid.width + 1, device=self.device)
        seen = self.stripe[scene[:, None, None, None], :, y[..., None], x[:, :, None]]  # [B, T, H + 1, W + 1, C]
        down, right = (corner - whole)[..., None, None, None].unbind(dim=2)  # what is left of a pixel, in 0..1
        seen = torch.lerp(seen[:, :, :-1], seen[:, :, 1:], down)
        seen = torch.lerp(seen[:, :, :, :-1], seen[:, :, :, 1:], right)  # [B, T, H, W, C]
        mean, std = self.rules.pixel_scale
        return (seen.permute(0, 4, 1, 2, 3).contiguous() - mean) / std
