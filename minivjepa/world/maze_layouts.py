"""Which doors of a maze are open: random spanning trees, as whole numbers.

Read in lesson 12.  Bit k of a layout says whether door k is open.  There are 24 doors, so float32 holds a layout exactly.
"""

from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from minivjepa import randomness

SIDE = 4  # cells in a row, and in a column
CELL = 1 / SIDE
SIDEWAYS = [(row, column) for row in range(SIDE) for column in range(SIDE - 1)]  # a cell with a door to its right
DOWNWARD = [(row, column) for row in range(SIDE - 1) for column in range(SIDE)]  # a cell with a door below it
DOORS = len(SIDEWAYS) + len(DOWNWARD)
KEPT_BACK = 4  # one layout in this many is held out of training


class Doors(NamedTuple):
    """Tables of all doors, open or not.  Shorter rows are padded with their own entries."""

    ends: Tensor  # [DOORS, 2]: the two cells that a door joins
    middles: Tensor  # [DOORS, 2]: its middle, (y, x)
    around: Tensor  # [cells, 4]: the doors of a cell
    next: Tensor  # [DOORS, 6]: the doors that share a cell with it


@cache
def doors(device: torch.device) -> Doors:
    """The tables, once for each device."""
    ends = [(r * SIDE + c, r * SIDE + c + 1) for r, c in SIDEWAYS]
    ends += [(r * SIDE + c, (r + 1) * SIDE + c) for r, c in DOWNWARD]
    middles = [((r + 0.5) * CELL, (c + 1) * CELL) for r, c in SIDEWAYS]
    middles += [((r + 1) * CELL, (c + 0.5) * CELL) for r, c in DOWNWARD]
    around = [[door for door, pair in enumerate(ends) if cell in pair] for cell in range(SIDE**2)]
    beside = [[other for cell in pair for other in around[cell] if other != door] for door, pair in enumerate(ends)]
    full = [[(row * width)[:width] for row in rows] for rows, width in ((around, 4), (beside, 6))]
    return Doors(*(torch.tensor(table, device=device) for table in (ends, middles, *full)))


def spanning_trees(weights: Tensor) -> Tensor:
    """Random weights [B, DOORS] -> layouts int64 [B] that join all cells without a cycle (Prim's algorithm)."""
    every, ends = torch.arange(len(weights), device=weights.device), doors(weights.device).ends
    joined = torch.zeros(len(weights), SIDE**2, dtype=torch.bool, device=weights.device)
    joined[:, 0] = True
    layout = torch.zeros_like(every)
    for _ in range(SIDE**2 - 1):
        leads_out = joined[:, ends[:, 0]] != joined[:, ends[:, 1]]
        door = weights.masked_fill(~leads_out, torch.inf).argmin(dim=1)
        joined[every[:, None], ends[door]] = True
        layout |= 1 << door
    return layout


def is_kept_back(layout: Tensor) -> Tensor:
    """Whether a layout is held out of training: decided by a hash, so the two sets never overlap."""
    return randomness.random_bits(layout, 1)[:, 0] % KEPT_BACK == 0


def layouts(seeds: Tensor, kept_back: bool) -> Tensor:
    """int64 [B] seeds -> layouts int64 [B]: of each seed's trees, the first that's held out, or the first that isn't."""
    found, open_ = torch.zeros_like(seeds), torch.arange(len(seeds), device=seeds.device)
    attempt = 0
    while len(open_):  # those that still need a layout
        key = randomness.keys("walls", 0, attempt, seeds[open_])
        found[open_] = spanning_trees(randomness.uniform(key, DOORS))
        open_ = open_[is_kept_back(found[open_]) != kept_back]
        attempt += 1
    return found
