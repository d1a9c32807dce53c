"""Training clips: a robot that wanders about, with its actions and positions.

Built in lesson 11.  A trajectory depends only on (seed, step, sample index).
"""

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor

from minivjepa import randomness
from minivjepa.tubelets import Grid
from minivjepa.world.rooms import Rooms

PERSISTENCE = 0.6  # share of its velocity that the wandering robot keeps from step to step


@dataclass(frozen=True)
class Journey:
    """What happened in each of B clips.  actions: float32 [B, T - 1, 2].  positions: float32 [B, T, 2], (y, x)."""

    actions: Tensor
    positions: Tensor


class RoomClips:
    """An endless source of clips.

    grid: size of a clip; its tubelets do not matter here.  seed: of every draw.  device: where clips are rendered.
    Raises ValueError unless the grid has 3 channels and at least 2 frames.
    """

    def __init__(self, grid: Grid, seed: int = 0, device: str = "cpu", rooms: Rooms | None = None):
        if grid.channels != 3:
            raise ValueError(f"the rooms are in color: the grid has {grid.channels} channels, expected 3")
        if grid.frames < 2:
            raise ValueError("a clip of 1 frame shows no action, expected 2 frames or more")
        self.grid, self.seed, self.rooms, self.device = grid, seed, rooms or Rooms(), torch.device(device)

    def batch(self, step: int, index: Tensor) -> tuple[Tensor, Journey]:
        """Clips [B, C, T, H, W] and what happened in them, for global sample indices int64 [B] at this step."""
        journey = self.journey(step, index)
        frames = self.rooms.render(journey.positions, self.grid.height, self.grid.width)
        return rearrange(frames, "B T C H W -> B C T H W"), journey

    def journey(self, step: int, index: Tensor) -> Journey:
        """Start anywhere and wander: the velocity is an autoregressive process clipped to -1 .. 1."""
        index, moves = index.to(self.device), self.grid.frames - 1
        start = self.rooms.place(randomness.uniform(randomness.keys("start", self.seed, step, index), 2))
        pushes = randomness.normal(randomness.keys("wander", self.seed, step, index), 2 * moves).view(-1, moves, 2)
        actions, action = [], pushes[:, 0]
        for push in pushes.unbind(1):
            action = (PERSISTENCE * action + 0.7 * push).clamp(-1, 1)
            actions.append(action)
        chosen = torch.stack(actions, dim=1)
        return Journey(chosen, self.rooms.walk(start, chosen))
