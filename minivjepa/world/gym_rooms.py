"""The rooms as a gymnasium environment, and clips from any gymnasium environment with pictures.

Read in lesson 12.  Needs gymnasium: pip install 'minivjepa[world]'.
"""

from typing import Any

import gymnasium
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from minivjepa import randomness
from minivjepa.tubelets import Grid
from minivjepa.world.goal_reaching import Task
from minivjepa.world.room_clips import Journey
from minivjepa.world.rooms import MEAN, STD, Rooms, displayable

ATTEMPTS = 1000  # draws of a start and goal, or of an episode, before it gives up


class RoomsEnv(gymnasium.Env[np.ndarray, np.ndarray]):
    """One robot in the rooms, on its way to a goal.

    Observations are pictures, uint8 [size, size, 3]; an action is two numbers from -1 to 1.  An episode ends within the task's
    radius of the goal, with reward 1, or after the task's steps.  info holds "position" and "goal" (y, x) and "goal_picture".
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 5}  # noqa: RUF012 (as gymnasium declares it)

    def __init__(self, rooms: Rooms | None = None, task: Task | None = None, size: int = 32):
        self.rooms, self.task, self.size = rooms or Rooms(), task or Task(), size
        self.render_mode = "rgb_array"
        self.observation_space = gymnasium.spaces.Box(0, 255, (size, size, 3), np.uint8)
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.position = self.goal = torch.zeros(2)
        self.moves = 0

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[np.ndarray, dict[str, Any]]:
        """A new start and goal, at least the task's distance apart.  Raises ValueError for any options: there are none."""
        super().reset(seed=seed)
        if options:
            raise ValueError(f"the rooms know no options, given {sorted(options)}; choose rooms and task in RoomsEnv()")
        for _ in range(ATTEMPTS):
            u = torch.from_numpy(self.np_random.random((2, 2), dtype=np.float32))
            self.position, self.goal = self.rooms.place(u).unbind(0)
            if (self.position - self.goal).norm() >= self.task.apart:
                self.moves = 0
                return self.render(), self.info()
        raise ValueError(
            f"no start and goal are {self.task.apart} apart in {ATTEMPTS} draws; choose a smaller Task.apart"
        )

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """One move: (picture, reward, reached, out of steps, info).  Raises ValueError for an action that is not two finite numbers."""
        if np.shape(action) != (2,) or not np.isfinite(action).all():
            raise ValueError(f"the action is {action}, expected two numbers from -1 to 1")
        self.position = self.rooms.move(self.position, torch.as_tensor(action, dtype=torch.float32))
        self.moves += 1
        reached = bool((self.position - self.goal).norm() <= self.task.radius)
        return self.render(), float(reached), reached, not reached and self.moves >= self.task.steps, self.info()

    def render(self) -> np.ndarray:
        """A picture of the robot where it is, uint8 [size, size, 3]."""
        return self.picture(self.position)

    def info(self) -> dict[str, Any]:
        """The positions, which a planner must not see, and the goal's picture, which it may."""
        position, goal = self.position.clone().numpy(), self.goal.clone().numpy()
        return {"position": position, "goal": goal, "goal_picture": self.picture(self.goal)}

    def picture(self, position: Tensor) -> np.ndarray:
        """Position [2] -> uint8 [size, size, 3]."""
        frame = displayable(self.rooms.render(position, self.size, self.size))
        return (frame * 255).round().byte().permute(1, 2, 0).numpy()


class EnvironmentClips:
    """Clips of any gymnasium environment under random actions, as RoomClips for the rooms.

    Observations must be pictures, uint8 [H, W, 3], or dicts that hold one under `key`; actions a Box with finite bounds,
    which are mapped to -1 .. 1.  grid: size of a clip; pictures are scaled to it.  If an episode ends within a clip, another
    one is drawn.  Raises ValueError for other observations or actions, or if no episode is long enough.
    """

    def __init__(self, environment: gymnasium.Env, grid: Grid, seed: int = 0, key: str | None = None):
        space = environment.action_space
        if grid.channels != 3:
            raise ValueError(f"pictures are in color: the grid has {grid.channels} channels, expected 3")
        if not isinstance(space, gymnasium.spaces.Box) or not space.is_bounded():
            raise ValueError(f"the actions are {space}, expected a Box with finite bounds; wrap the environment")
        self.environment, self.grid, self.seed, self.key, self.space = environment, grid, seed, key, space

    def batch(self, step: int, index: Tensor) -> tuple[Tensor, Journey]:
        """Clips [B, C, T, H, W] and their actions [B, T - 1, A]; positions are unknown, [B, T, 0]."""
        clips, actions = zip(*(self.record(step, int(i)) for i in index))
        return torch.stack(clips), Journey(torch.stack(actions), torch.zeros(len(index), self.grid.frames, 0))

    def record(self, step: int, index: int) -> tuple[Tensor, Tensor]:
        """One episode's clip [C, T, H, W] and actions [T - 1, A] in -1 .. 1; both depend only on (seed, step, index)."""
        key = randomness.keys("episode", self.seed, step, torch.tensor([index]))
        seed = int(randomness.random_bits(key, 1)[0, 0] & 0x7FFFFFFF)
        size, moves = int(np.prod(self.space.shape)), self.grid.frames - 1
        for attempt in range(ATTEMPTS):
            u = randomness.uniform(key, 1 + (attempt + 1) * moves * size)[0, 1 + attempt * moves * size :]
            actions = 2 * u.view(moves, size) - 1
            clip = self.episode(actions, seed + attempt)
            if clip is not None:
                return clip, actions
        raise ValueError(f"{ATTEMPTS} episodes ended within {self.grid.frames} frames; choose a shorter clip")

    def episode(self, actions: Tensor, seed: int) -> Tensor | None:
        """The clip [C, T, H, W] of these actions [T - 1, A], or None if the episode ended before the last of them."""
        observation, _ = self.environment.reset(seed=seed)
        frames = [self.frame(observation)]
        low, high = self.space.low, self.space.high
        for number, action in enumerate(actions, 1):
            scaled = low + (action.numpy().reshape(self.space.shape) + 1) / 2 * (high - low)
            observation, _, ended, cut, _ = self.environment.step(scaled.astype(self.space.dtype))
            frames.append(self.frame(observation))
            if (ended or cut) and number < len(actions):
                return None
        return torch.stack(frames, dim=1)

    def frame(self, observation: Any) -> Tensor:
        """One observation -> a normalised frame [C, H, W] of the grid's size."""
        if self.key is not None and (not isinstance(observation, dict) or self.key not in observation):
            raise ValueError(f"observations have no {self.key!r}: {self.environment.observation_space}")
        picture = np.asarray(observation[self.key] if self.key is not None else observation)
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
            raise ValueError(
                f"an observation is {picture.dtype} {picture.shape}, expected a picture, uint8 (H, W, 3); choose an environment "
                "that shows pictures, or the key of its observations that holds one"
            )
        frame = torch.from_numpy(picture.copy()).permute(2, 0, 1)[None].float() / 255
        scaled = F.interpolate(frame, (self.grid.height, self.grid.width), mode="bilinear", antialias=True)
        return (scaled[0] - MEAN) / STD
