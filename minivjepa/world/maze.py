"""A maze with new walls in every episode: exactly one path joins any two cells.

Read in lesson 12.  A quarter of all layouts are held out: no model trains on them.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from minivjepa.world.base_world import MEAN, STD, World
from minivjepa.world.maze_layouts import CELL, DOORS, SIDE, SIDEWAYS, doors, layouts
from minivjepa.world.rooms import BACKGROUND, EDGE, ROBOT, SUBSTEPS, WALL

SEEDS = 2**24  # of layouts: float32 holds every whole number up to this


@dataclass(frozen=True)
class Maze(World):
    """The world.  A state is [y, x, layout]; maze_layouts.py says what a layout is."""

    speed: float = 0.06  # Longest move of a step along each axis, in sides of the world.
    robot: float = 0.05  # Radius of the robot, in sides of the world.
    wall: float = 0.0625  # Thickness of a wall, in sides of the world: two of 32 pixels.
    shortest: int = 20  # Fewest steps from a pair's start to its goal.
    longest: int = 60  # Most steps.
    kept_back: bool = False  # True: only layouts that no model trains on.  False: only the others.

    numbers = 3

    @property
    def unseen(self) -> World:
        """The maze with the held-out layouts."""
        return replace(self, kept_back=True)

    @property
    def slack(self) -> float:
        """How far the robot's center can be from the middle of a corridor."""
        return (CELL - self.wall) / 2 - self.robot

    def draw(self, u: Tensor) -> Tensor:
        """Uniform numbers [..., 3] -> states [..., 3]: any layout, with the robot anywhere."""
        layout = layouts((u[..., 0] * SEEDS).long().flatten(), self.kept_back).view(*u.shape[:-1], 1)
        return torch.cat([self.place(u[..., 1:]), layout.float()], dim=-1)

    def goal(self, state: Tensor, u: Tensor) -> Tensor:
        """The same maze, with the robot anywhere."""
        return torch.cat([self.place(u), state[..., 2:]], dim=-1)

    def place(self, u: Tensor) -> Tensor:
        """Uniform numbers [..., 2] -> positions [..., 2] in a cell, not in a door."""
        cell = (u * SIDE).floor()
        return (cell + 0.5) * CELL + self.slack * (2 * (u * SIDE - cell) - 1)

    def move(self, state: Tensor, action: Tensor) -> Tensor:
        """states [..., 3], actions [..., 2] -> the states after one step.  Robots slide along walls, as in the rooms."""
        y, x, layout = state.unbind(-1)
        dy, dx = (action.clamp(-1, 1) * (self.speed / SUBSTEPS)).unbind(-1)
        for _ in range(SUBSTEPS):
            x = self.slide(x, dx, y, layout.long(), down=False)
            y = self.slide(y, dy, x, layout.long(), down=True)
        return torch.stack([y, x, layout], dim=-1)

    def slide(self, here: Tensor, by: Tensor, across: Tensor, layout: Tensor, down: bool) -> Tensor:
        """The new coordinate along one axis, at `across` on the other: the robot can pass an open door in its middle."""
        cell, lane = (cell_of(part) for part in (here, across))
        in_lane = (across - (lane + 0.5) * CELL).abs() <= self.slack + EDGE
        before, after = (is_open(layout, cell + step, lane, down) & in_lane for step in (-1, 0))
        middle = (cell + 0.5) * CELL
        to = torch.maximum(here + by, middle - self.slack - CELL * before)
        return torch.minimum(to, middle + self.slack + CELL * after)

    def fits(self, index: Tensor, start: Tensor, goal: Tensor) -> Tensor:
        """Paths of the right length that lead around something."""
        steps = self.walking_distance(start, goal) / self.speed
        return self.through(start, goal) & (steps >= self.shortest) & (steps <= self.longest)

    def walking_distance(self, a: Tensor, b: Tensor) -> Tensor:
        """states of one maze, [..., 3] x [..., 3] -> [...]: the length of the path through the middle of each door between them.

        A robot can walk it; a path that hugs every corner is a little shorter.
        """
        table = doors(a.device)
        opened = (b[..., 2, None].long() >> torch.arange(DOORS, device=b.device)) & 1 == 1
        cell_a, cell_b = (cell_of(state[..., 0]) * SIDE + cell_of(state[..., 1]) for state in (a, b))
        its = (table.ends == cell_b[..., None, None]).any(dim=-1) & opened  # the doors of b's cell
        far = self.leg(b[..., None, :2], table.middles).masked_fill(~its, torch.inf)  # from b to each door
        hop = self.leg(table.middles[:, None], table.middles[table.next])  # [DOORS, 6]
        for _ in range(SIDE**2 - 2):  # and to the doors of cells farther and farther away
            onward = (far[..., table.next] + hop).amin(dim=-1)
            far = torch.minimum(far, onward.masked_fill(~opened, torch.inf))
        around = table.around[torch.broadcast_tensors(cell_a, cell_b)[0]]  # [..., 4]: the doors of a's cell
        rest = far.expand(*around.shape[:-1], DOORS).gather(-1, around)
        ways = (self.leg(a[..., None, :2], table.middles[around]) + rest).amin(dim=-1)
        return torch.where(cell_a == cell_b, self.leg(a[..., :2], b[..., :2]), ways)

    def leg(self, p: Tensor, q: Tensor) -> Tensor:
        """The shortest path [...] within a cell between positions [..., 2]: straight, or around the corner between two doors."""
        middle = (cell_of((p + q) / 2) + 0.5) * CELL
        p, q = (end - middle for end in torch.broadcast_tensors(p, q))
        (p_down, p_side), (q_down, q_side) = ((end.abs() > self.slack + EDGE).unbind(-1) for end in (p, q))
        first, last = torch.where(p_down[..., None], p, q), torch.where(p_down[..., None], q, p)
        y = first[..., 0].clamp(-self.slack, self.slack)  # where the path from an upper or lower door enters the cell
        share = (y - first[..., 0]) / (last - first)[..., 0]
        x = (first[..., 1] + share * (last - first)[..., 1]).clamp(-self.slack, self.slack)
        corner = torch.stack([y, x], dim=-1)
        around = (first - corner).norm(dim=-1) + (corner - last).norm(dim=-1)
        return torch.where((p_down & q_side) | (p_side & q_down), around, (p - q).norm(dim=-1))

    def render(self, state: Tensor, height: int, width: int) -> Tensor:
        """states [..., 3] -> normalized frames [..., 3, H, W]: walls, and the robot as in the rooms."""
        y, x = ((torch.arange(side, device=state.device) + 0.5) / side for side in (height, width))
        y, x, layout = y[:, None].expand(height, width), x.expand(height, width), state[..., 2, None, None].long()
        walls, lines = [], []
        for here, across, down in ((x, y, False), (y, x, True)):
            line = (here * SIDE).round().long()  # the nearest line between cells; 0 and SIDE are the outer walls
            lines.append((here - line * CELL).abs() < self.wall / 2)
            walls.append(lines[-1] & ~is_open(layout, line - 1, cell_of(across), down))
        solid = (walls[0] | walls[1] | (lines[0] & lines[1]))[..., None, :, :]  # with a post at every crossing
        background, wall, robot = state.new_tensor([BACKGROUND, WALL, ROBOT])[..., None, None]
        far = (y - state[..., 0, None, None]).hypot(x - state[..., 1, None, None])
        disc = torch.sigmoid((self.robot - far) * 2 * height)[..., None, :, :]
        under = torch.where(solid, wall, background)
        return (under + disc * (robot - under) - MEAN) / STD


def cell_of(part: Tensor) -> Tensor:
    """The row or column [...] that a coordinate [...] is in."""
    return (part * SIDE).long().clamp(0, SIDE - 1)


def is_open(layout: Tensor, cell: Tensor, lane: Tensor, down: bool) -> Tensor:
    """Whether the door after a cell is open, along one axis; no doors lead out of the maze.  Bool, broadcast."""
    door = len(SIDEWAYS) + cell * SIDE + lane if down else lane * (SIDE - 1) + cell
    inside = (cell >= 0) & (cell < SIDE - 1)
    return ((layout >> door.clamp(0, DOORS - 1)) & 1).bool() & inside
