"""Training clips: a robot that wanders about, with its actions and states.

Built in lesson 11.  A trajectory depends only on (seed, step, sample index).
"""

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor

from minivjepa import randomness
from minivjepa.tubelets import Grid
from minivjepa.world.base_world import ACTIONS, World
from minivjepa.world.rooms import Rooms

PERSISTENCE = 0.6  # share of its velocity that the wandering robot keeps from step to step


@dataclass(frozen=True)
class Journey:
    """What happened in each of B clips.  actions: float32 [B, T - 1, 2].  states: float32 [B, T, S], the position (y, x) first."""

    actions: Tensor
    states: Tensor

    @property
    def positions(self) -> Tensor:
        """[B, T, 2]: the robot's, (y, x)."""
        return self.states[..., :2]


class WorldClips:
    """An endless source of clips.

    grid: size of a clip; its tubelets don't matter here.  seed: of every draw.  device: where clips are rendered.  world: the
    two rooms by default.
    Raises ValueError unless the grid has 3 channels and at least 2 frames.
    """

    def __init__(self, grid: Grid, seed: int = 0, device: str = "cpu", world: World | None = None):
        if grid.channels != 3:
            raise ValueError(f"worlds are in color: the grid has {grid.channels} channels, expected 3")
        if grid.frames < 2:
            raise ValueError("a clip of 1 frame shows no action, expected 2 frames or more")
        self.grid, self.seed, self.world, self.device = grid, seed, world or Rooms(), torch.device(device)

    def batch(self, step: int, index: Tensor) -> tuple[Tensor, Journey]:
        """Clips [B, C, T, H, W] and what happened in them, for global sample indices int64 [B] at this step."""
        journey = self.journey(step, index)
        frames = self.world.render(journey.states, self.grid.height, self.grid.width)
        return rearrange(frames, "B T C H W -> B C T H W"), journey

    def journey(self, step: int, index: Tensor) -> Journey:
        """Start anywhere and wander: the velocity is an autoregressive process clipped to -1 .. 1."""
        index, moves = index.to(self.device), self.grid.frames - 1
        key = randomness.keys("start", self.seed, step, index)
        start = self.world.draw(randomness.uniform(key, self.world.numbers))
        pushes = randomness.normal(randomness.keys("wander", self.seed, step, index), moves * ACTIONS)
        actions, action = [], pushes[:, :ACTIONS]
        for push in pushes.view(-1, moves, ACTIONS).unbind(1):
            action = (PERSISTENCE * action + 0.7 * push).clamp(-1, 1)
            actions.append(action)
        chosen = torch.stack(actions, dim=1)
        return Journey(chosen, self.world.walk(start, chosen))
