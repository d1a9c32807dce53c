"""Worlds as gymnasium environments, and clips from any gymnasium environment that shows pictures.

Read in lesson 12.  Needs gymnasium: pip install 'minivjepa[world]'.
"""

import math
from typing import Any

import gymnasium
import numpy as np
import torch
import torch.nn.functional as F
from gymnasium.wrappers import RescaleAction
from torch import Tensor

from minivjepa import randomness
from minivjepa.tubelets import Grid
from minivjepa.world.base_world import ACTIONS, MEAN, STD, World, displayable
from minivjepa.world.goal_reaching import CANDIDATES, Task
from minivjepa.world.world_clips import Journey
from minivjepa.world.worlds import TASKS, WORLDS

ATTEMPTS = 1000  # draws of an episode before giving up


class WorldEnv(gymnasium.Env[np.ndarray, np.ndarray]):
    """One robot in a world, on its way to a goal.

    world: its name, or the world itself; task: that world's by default.  Observations are pictures, uint8 [size, size, 3]; an
    action is two numbers from -1 to 1.  An episode ends within the task's radius of the goal, with reward 1, or after the task's
    steps.  info holds "position" and "goal" (y, x) and "goal_picture".  Episodes are those that models train on; for a maze's
    held-out layouts, give WORLDS["maze"].unseen and TASKS["maze"].  Raises ValueError for an unknown name.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 5}  # noqa: RUF012 (as gymnasium declares it)

    def __init__(
        self, world: str | World = "rooms", task: Task | None = None, size: int = 32, render_mode: str = "rgb_array"
    ):
        if isinstance(world, str) and world not in WORLDS:
            raise ValueError(f"unknown world {world!r}; choose from {', '.join(WORLDS)}")
        self.world = WORLDS[world] if isinstance(world, str) else world
        self.task = task or (TASKS[world] if isinstance(world, str) else Task())
        self.size, self.render_mode, self.moves = size, render_mode, 0
        self.observation_space = gymnasium.spaces.Box(0, 255, (size, size, 3), np.uint8)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (ACTIONS,), np.float32)
        self.state = self.goal = torch.zeros(0)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        """A new start and goal, as the task draws them.  Raises ValueError for any options: there are none."""
        super().reset(seed=seed)
        if options:
            raise ValueError(f"worlds know no options, given {sorted(options)}; choose world and task in WorldEnv()")
        index = torch.tensor([int(self.np_random.integers(2))])
        numbers = (self.world.numbers + self.world.more) * CANDIDATES
        u = torch.from_numpy(self.np_random.random((1, numbers), dtype=np.float32))
        (self.state,), (self.goal,) = self.task.pick(self.world, index, u)
        self.moves = 0
        return self.render(), self.info()

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """One move: (picture, reward, reached, out of steps, info).  Raises ValueError for an action that is not two finite numbers."""
        if np.shape(action) != (ACTIONS,) or not np.isfinite(action).all():
            raise ValueError(f"the action is {action}, expected two numbers from -1 to 1")
        self.state = self.world.move(self.state, torch.as_tensor(action, dtype=torch.float32))
        self.moves += 1
        reached = bool(self.world.line(self.state, self.goal) <= self.task.radius)
        return self.render(), float(reached), reached, not reached and self.moves >= self.task.steps, self.info()

    def render(self) -> np.ndarray:
        """A picture of the world as it is, uint8 [size, size, 3]."""
        return self.picture(self.state)

    def info(self) -> dict[str, Any]:
        """The positions, which a planner must not see, and the goal's picture, which it may."""
        position, goal = (state[:2].clone().numpy() for state in (self.state, self.goal))
        return {"position": position, "goal": goal, "goal_picture": self.picture(self.goal)}

    def picture(self, state: Tensor) -> np.ndarray:
        """State [S] -> uint8 [size, size, 3]."""
        frame = displayable(self.world.render(state, self.size, self.size))
        return (frame * 255).round().byte().permute(1, 2, 0).numpy()


for name in WORLDS:  # gymnasium.make("minivjepa.world.gym_worlds:minivjepa/maze-v0")
    gymnasium.register(f"minivjepa/{name}-v0", f"{__name__}:WorldEnv", kwargs={"world": name})


class EnvironmentClips:
    """Clips of any gymnasium environment under random actions, like WorldClips for our own worlds.

    Observations must be pictures, uint8 [H, W, 3], and are scaled to the grid; actions must be a Box with finite bounds, and
    are mapped to -1 .. 1.  If an episode ends within a clip, another is drawn.  Raises ValueError for other observations or
    actions, or if no episode is long enough.
    """

    def __init__(self, environment: gymnasium.Env, grid: Grid, seed: int = 0):
        space = environment.action_space
        if not isinstance(space, gymnasium.spaces.Box) or not space.is_bounded():
            raise ValueError(f"the actions are {space}, expected a Box with finite bounds; wrap the environment")
        self.environment = RescaleAction(environment, np.float32(-1), np.float32(1))
        self.grid, self.seed, self.shape = grid, seed, space.shape

    def batch(self, step: int, index: Tensor) -> tuple[Tensor, Journey]:
        """Clips [B, C, T, H, W] and their actions [B, T - 1, A]; positions are unknown, [B, T, 0]."""
        clips, actions = zip(*(self.record(step, i) for i in index.split(1)))
        return torch.stack(clips), Journey(torch.stack(actions), torch.zeros(len(index), self.grid.frames, 0))

    def record(self, step: int, index: Tensor) -> tuple[Tensor, Tensor]:
        """One episode's clip [C, T, H, W] and actions [T - 1, A] in -1 .. 1; both depend only on (seed, step, index [1])."""
        moves, size = self.grid.frames - 1, math.prod(self.shape)
        for attempt in range(ATTEMPTS):
            key = randomness.keys(f"episode {attempt}", self.seed, step, index)
            u = randomness.uniform(key, 1 + moves * size)[0]
            actions = 2 * u[1:].view(moves, size) - 1
            observation, _ = self.environment.reset(seed=int(u[0] * 2**24))
            frames = [self.frame(observation)]
            for action in actions.view(moves, *self.shape).numpy():
                observation, _, reached, cut, _ = self.environment.step(action)
                frames.append(self.frame(observation))
                if reached or cut:
                    break
            if len(frames) == self.grid.frames:
                return torch.stack(frames, dim=1), actions
        raise ValueError(f"{ATTEMPTS} episodes ended within {self.grid.frames} frames; choose a shorter clip")

    def frame(self, observation: np.ndarray) -> Tensor:
        """One observation -> a normalized frame [C, H, W] of the grid's size."""
        picture = np.asarray(observation)
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
            seen = f"{picture.dtype} {picture.shape}"
            raise ValueError(f"an observation is {seen}, expected a picture, uint8 (H, W, 3); wrap the environment")
        frame = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 255
        scaled = F.interpolate(frame, (self.grid.height, self.grid.width), mode="bilinear", antialias=True)
        return (scaled[0] - MEAN) / STD
