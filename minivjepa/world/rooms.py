"""Two rooms joined by a door: how a robot moves there, and what it looks like.

Built in lesson 11.  Lengths are shares of the world's side, positions are (y, x) from the top left corner, and a step's
action is a velocity with two components from -1 to 1.  The state is just the position, so one frame shows all of it.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from minivjepa.training.config import check_numbers
from minivjepa.world.base_world import MEAN, STD, World

EDGE = 1e-5  # a center this near the strip around the wall is still outside it: coordinates are rounded
SUBSTEPS = 4  # pieces of a move, so that a diagonal move slides along a wall instead of cutting a corner
BACKGROUND = (0.1, 0.1, 0.15)  # red, green, blue
WALL = (0.35, 0.6, 0.85)
ROBOT = (1.0, 0.45, 0.1)


@dataclass(frozen=True)
class Rooms(World):
    """The world.  Frozen: derive another with dataclasses.replace.  Raises ValueError for rooms that no robot could cross."""

    speed: float = 0.15  # Longest move of a step along each axis, in sides of the world.
    robot: float = 0.06  # Radius of the robot, in sides of the world.
    wall: float = 0.08  # Thickness of the wall in the middle, in sides of the world.
    door: float = 0.28  # Width of the door, in sides of the world.
    door_at: float = 0.5  # Middle of the door, from the top, in sides of the world.

    def __post_init__(self) -> None:
        lengths = ("speed", "robot", "wall", "door")
        check_numbers(self, lengths, "a number above 0 and below 0.5", lambda value: 0 < value < 0.5)
        if self.door <= 2 * self.robot:
            raise ValueError(f"a door of {self.door} lets no robot of radius {self.robot} pass; widen --rooms.door")
        if self.robot >= 0.5 - self.strip:
            raise ValueError(f"a robot of radius {self.robot} and a wall of {self.wall} leave no rooms; shrink one")
        if not self.robot + self.gap <= self.door_at <= 1 - self.robot - self.gap:
            raise ValueError(f"a door of {self.door} at {self.door_at} leaves the world; move --rooms.door-at to 0.5")

    @property
    def strip(self) -> float:
        """Half the width of the strip around the wall; the robot's center may enter it only in the doorway."""
        return self.wall / 2 + self.robot

    @property
    def gap(self) -> float:
        """Half the height of the doorway for the robot's center."""
        return self.door / 2 - self.robot

    def in_strip(self, x: Tensor) -> Tensor:
        """Whether a center at x is between the rooms; bool, the shape of x."""
        return (x - 0.5).abs() < self.strip - EDGE

    def door_of(self, state: Tensor) -> Any:
        """The middle of the door: the states' third number [...] if they have it, else a float, door_at."""
        return self.door_at if state.shape[-1] == 2 else state[..., 2]

    def in_doorway(self, y: Tensor, door_at: float | Tensor | None = None) -> Tensor:
        """Whether a center at height y fits through the door; bool, the shape of y."""
        return (y - (self.door_at if door_at is None else door_at)).abs() <= self.gap + EDGE

    def draw(self, u: Tensor) -> Tensor:
        """Uniform numbers [..., 2] -> positions [..., 2]."""
        return self.place(u)

    def goal(self, state: Tensor, u: Tensor) -> Tensor:
        """Another place [..., 2]; nothing else changes."""
        return self.place(u)

    def through(self, start: Tensor, goal: Tensor) -> Tensor:
        """Whether start and goal are in different rooms."""
        return (start[..., 1] < 0.5) != (goal[..., 1] < 0.5)

    def fits(self, index: Tensor, start: Tensor, goal: Tensor) -> Tensor:
        """Different rooms if the index is even, the same room if it is odd."""
        return self.through(start, goal) == (index % 2 == 0)

    def place(self, u: Tensor, door_at: float | Tensor | None = None) -> Tensor:
        """Uniform numbers [..., 2] -> positions [..., 2] wherever the robot can be, the doorway included."""
        door_at = self.door_at if door_at is None else door_at
        free = self.robot + (1 - 2 * self.robot) * u
        doorway = door_at + self.gap * (2 * u[..., 0] - 1)
        return torch.stack([torch.where(self.in_strip(free[..., 1]), doorway, free[..., 0]), free[..., 1]], dim=-1)

    def move(self, state: Tensor, action: Tensor) -> Tensor:
        """states [..., 2 or 3], actions [..., 2] -> the states after one step.  Robots slide along walls.

        Each substep moves along x, then along y, and stops at the first obstacle: no robot is fast enough to jump a wall.
        """
        y, x, door_at = state[..., 0], state[..., 1], self.door_of(state)
        dy, dx = (action.clamp(-1, 1) * (self.speed / SUBSTEPS)).unbind(-1)
        low, high, left, right = self.robot, 1 - self.robot, 0.5 - self.strip, 0.5 + self.strip
        for _ in range(SUBSTEPS):
            to = (x + dx).clamp(low, high)
            blocked = ~self.in_doorway(y, door_at) & ~self.in_strip(x)
            x = torch.where(blocked, torch.where(x < 0.5, to.clamp_max(left), to.clamp_min(right)), to)
            to = (y + dy).clamp(low, high)
            y = torch.where(self.in_strip(x), to.clamp(door_at - self.gap, door_at + self.gap), to)
        return torch.cat([torch.stack([y, x], dim=-1), state[..., 2:]], dim=-1)

    def walking_distance(self, a: Tensor, b: Tensor) -> Tensor:
        """[..., 2 or 3] x same -> [...]: the shortest path of a robot's center, straight or around the doorway's corners.

        A path between the rooms crosses both ends of the doorway.  The shortest one is straight, or it bends at a corner
        of one end and crosses the other end where that costs least.  All five candidates can be walked; the shortest counts.
        """
        swap, door_at = a[..., 1:2] > b[..., 1:2], self.door_of(a)
        left_end, right_end = torch.where(swap, b, a), torch.where(swap, a, b)
        (ya, xa), (yb, xb) = (end[..., :2].unbind(-1) for end in (left_end, right_end))
        low, high, left, right = door_at - self.gap, door_at + self.gap, 0.5 - self.strip, 0.5 + self.strip
        x1, x2 = torch.minimum(xa.clamp_min(left), xb), torch.maximum(xb.clamp_max(right), xa)  # ends still ahead

        def crossing(y: Tensor, x: Tensor, to_y: Tensor, to_x: Tensor, end: Tensor) -> Tensor:
            """Where the line from (y, x) to (to_y, to_x) crosses an end of the doorway, or the nearest corner."""
            return (y + (to_y - y) * (end - x) / (to_x - x).clamp_min(1e-9)).clamp(low, high)

        crossings = [(crossing(ya, xa, yb, xb, x1), crossing(ya, xa, yb, xb, x2))]
        for corner in (torch.zeros_like(xa) + low, torch.zeros_like(xa) + high):
            crossings += [(corner, crossing(corner, x1, yb, xb, x2)), (crossing(ya, xa, corner, x2, x1), corner)]
        legs = [(y1 - ya).hypot(x1 - xa) + (y2 - y1).hypot(x2 - x1) + (yb - y2).hypot(xb - x2) for y1, y2 in crossings]
        one_room = (xb <= left + EDGE) | (xa >= right - EDGE)
        return torch.where(one_room, self.line(a, b), torch.stack(legs).amin(dim=0))

    def render(self, state: Tensor, height: int, width: int) -> Tensor:
        """positions [..., 2] -> normalized frames [..., 3, H, W], all in one pass: the robot is a disc with a soft edge."""
        y = (torch.arange(height, device=state.device) + 0.5) / height
        x = (torch.arange(width, device=state.device) + 0.5) / width
        solid = ((x - 0.5).abs() < self.wall / 2) & ((y[:, None] - self.door_at).abs() > self.door / 2)  # [H, W]
        colors = torch.tensor([BACKGROUND, WALL, ROBOT], device=state.device)[..., None, None]  # [3, C, 1, 1]
        empty = torch.where(solid, colors[1], colors[0])  # [C, H, W]
        dy, dx = y - state[..., 0, None], x - state[..., 1, None]  # [..., H], [..., W]
        distance = (dy.square()[..., :, None] + dx.square()[..., None, :]).sqrt()  # [..., H, W]
        disc = torch.sigmoid((self.robot - distance) * 2 * height)[..., None, :, :]  # edge about two pixels wide
        return (empty + disc * (colors[2] - empty) - MEAN) / STD
