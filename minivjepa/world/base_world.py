"""What every world has in common: a state, how a robot moves in it, and what a camera above it sees.

Read in lesson 12.  A state is one flat row of float32 numbers [..., S].  The first two are the robot's position (y, x) as shares
of the world's side; any others decide whatever else a picture shows.  So `move` and `render` are pure
functions, and a state can be stored, rendered again or moved on in any order.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from minivjepa.data import ROOMS

ACTIONS = 2  # numbers of an action: a velocity (down, right), each from -1 to 1
MEAN, STD = (color[0] for color in ROOMS)  # pixels are normalized as (x - MEAN) / STD
DETOUR = 1.3  # a path this many times as long as the straight line leads around something


def displayable(frames: Tensor) -> Tensor:
    """Normalized frames -> the same as colors from 0 to 1."""
    return (frames * STD + MEAN).clamp(0, 1)


class World(ABC):
    """A world seen from above, with one robot to steer.  Lengths are shares of the world's side."""

    numbers: ClassVar[int] = 2  # uniform numbers that draw() needs
    more: ClassVar[int] = 2  # uniform numbers that goal() needs
    speed: float  # longest move of a step along each axis

    @abstractmethod
    def draw(self, u: Tensor) -> Tensor:
        """Uniform numbers [..., numbers] -> states [..., S]: the start of an episode, with the robot anywhere it fits."""

    @abstractmethod
    def goal(self, state: Tensor, u: Tensor) -> Tensor:
        """states [..., S], uniform numbers [..., more] -> the same episodes later, with the robot elsewhere [..., S]."""

    @abstractmethod
    def move(self, state: Tensor, action: Tensor) -> Tensor:
        """states [..., S], actions [..., 2] -> the states one step later [..., S]."""

    @abstractmethod
    def render(self, state: Tensor, height: int, width: int) -> Tensor:
        """states [..., S] -> normalized frames [..., 3, H, W]."""

    @abstractmethod
    def walking_distance(self, a: Tensor, b: Tensor) -> Tensor:
        """states of one episode, [..., S] x [..., S] -> [...]: how far the robot has to walk from one to the other."""

    @property
    def unseen(self) -> "World":
        """The same world, with episodes that no model trains on; most worlds hold none out."""
        return self

    def walk(self, state: Tensor, actions: Tensor) -> Tensor:
        """start [..., S], actions [..., T, 2] -> every state [..., T + 1, S], the start first."""
        path = [state]
        for action in actions.unbind(-2):
            path.append(self.move(path[-1], action))
        return torch.stack(path, dim=-2)

    def straight(self, state: Tensor, goal: Tensor) -> Tensor:
        """The action [..., 2] straight toward the goal; it ignores walls."""
        return ((goal - state)[..., :2] / self.speed).clamp(-1, 1)

    def line(self, a: Tensor, b: Tensor) -> Tensor:
        """The straight-line distance [...] between two robots."""
        return (a - b)[..., :2].norm(dim=-1)

    def through(self, start: Tensor, goal: Tensor) -> Tensor:
        """Whether the path leads through a door or around a wall; bool [...]."""
        return self.walking_distance(start, goal) >= DETOUR * self.line(start, goal)

    def fits(self, index: Tensor, start: Tensor, goal: Tensor) -> Tensor:
        """Whether a start and a goal suit a pair with this index; bool, broadcast."""
        return self.through(start, goal)
