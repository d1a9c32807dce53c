"""Two rooms where most of what a picture shows doesn't matter.

Read in lesson 12.  The floor has a pattern and lamps that flicker.  Two strangers look like the robot except for a mark, and move by
themselves.  The colors and the door change between episodes.  No model can predict the lamps, but they depend only on an episode's
seed and clock, so a picture can be rendered again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from einops import rearrange
from torch import Tensor

from minivjepa import randomness
from minivjepa.world.base_world import MEAN, STD, World
from minivjepa.world.rooms import Rooms

LAMPS = 8  # in a row, and in a column
SPEED = 0.12  # a stranger's top speed along each axis, in sides of the world per step
MARK = 0.55  # radius of a stranger's mark, as a share of its radius
DOORS = 3  # places of the door: at both ends of the wall, and in between
LATEST = 64  # steps from the start of an episode to the latest picture of a goal
SEEDS = 2**24  # of episodes: whole numbers that float32 holds exactly
FLOOR, DARK = (0.12, 0.12, 0.14), (0.05, 0.05, 0.08)  # red, green, blue
ROBOTS = (1.0, 0.5, 0.0), (1.0, 0.15, 0.5)  # in one half of the episodes, and in the other
WALLS = (0.3, 0.45, 0.95), (0.2, 0.8, 0.6)


@dataclass(frozen=True)
class RoomsBusy(World):
    """The world.  A state is [y, x, door, clock, seed, palette, 4 numbers for each stranger].

    palette: 0 or 1, which colors.  A stranger's numbers: where it was at clock 0, (y, x) as shares of its room, and its velocity.
    """

    rooms: Rooms = field(default_factory=lambda: Rooms(robot=0.075, door=0.3))  # How a robot moves there.
    strangers: int = 2  # How many there are; every other one is in the right-hand room.
    changing: bool = True  # Whether door and colors change between episodes.
    glare: float = 0.4  # How bright a lamp can be.

    more = 3

    @property
    def numbers(self) -> int:  # type: ignore[override]
        """Uniform numbers that draw() needs."""
        return 5 + 4 * self.strangers

    @property
    def speed(self) -> float:  # type: ignore[override]
        """Longest move of a step along each axis."""
        return self.rooms.speed

    def draw(self, u: Tensor) -> Tensor:
        """Uniform numbers [..., numbers] -> states at clock 0: the robot is anywhere, each stranger anywhere in its room."""
        place, seed, door, palette, places, velocities = u.split(
            [2, 1, 1, 1, 2 * self.strangers, 2 * self.strangers], -1
        )
        edge = self.rooms.robot + self.rooms.gap
        door, palette = (door * DOORS).floor() / (DOORS - 1) * self.changing, (2 * palette).floor() * self.changing
        door, seed = edge + (1 - 2 * edge) * door, (seed * SEEDS).floor()
        place = self.rooms.place(place, door[..., 0])
        velocities = SPEED * (2 * velocities - 1)
        return torch.cat([place, door, torch.zeros_like(seed), seed, palette, places, velocities], dim=-1)

    def goal(self, state: Tensor, u: Tensor) -> Tensor:
        """The same episode 1 to LATEST steps later, with the robot anywhere."""
        later = state[..., 3:4] + 1 + (u[..., 2:] * LATEST).floor()
        return torch.cat([self.rooms.place(u[..., :2], state[..., 2]), state[..., 2:3], later, state[..., 4:]], dim=-1)

    def move(self, state: Tensor, action: Tensor) -> Tensor:
        """The robot as in Rooms; the clock goes on, and with it lamps and strangers."""
        return torch.cat([self.rooms.move(state[..., :3], action), state[..., 3:4] + 1, state[..., 4:]], dim=-1)

    def walking_distance(self, a: Tensor, b: Tensor) -> Tensor:
        """As in Rooms."""
        return self.rooms.walking_distance(a[..., :3], b[..., :3])

    def where(self, state: Tensor) -> Tensor:
        """[..., S] -> where the strangers are, [..., strangers, 2]: each goes back and forth between the walls of its room."""
        low, right = self.rooms.robot, 0.5 + self.rooms.strip
        size = state.new_tensor([1 - 2 * low, 0.5 - self.rooms.strip - low])  # of a room, for a stranger's center
        places, velocities = rearrange(state[..., 6:], "... (kind n yx) -> kind ... n yx", kind=2, yx=2)
        far = places * size + velocities * state[..., 3:4, None]  # as if there were no walls
        inside = size - (far.remainder(2 * size) - size).abs()
        corners = [[low, (low, right)[number % 2]] for number in range(self.strangers)]
        return inside + state.new_tensor(corners).view(-1, 2)

    def lamps(self, state: Tensor) -> Tensor:
        """[..., S] -> how bright each lamp is now, [..., LAMPS, LAMPS]."""
        moment = state[..., 4].long() * 2**20 + state[..., 3].long()
        bright = randomness.uniform(randomness.keys("lamps", 0, 0, moment.flatten()), LAMPS**2)
        return self.glare * bright.view(*moment.shape, LAMPS, LAMPS)

    def render(self, state: Tensor, height: int, width: int) -> Tensor:
        """states [..., S] -> normalized frames [..., 3, H, W]: floor, lamps, wall, strangers, robot, one above the other."""
        y, x = ((torch.arange(side, device=state.device) + 0.5) / side for side in (height, width))
        y, x = y[:, None], x[None, :]
        rows, columns = (y * LAMPS).long(), (x * LAMPS).long()
        pattern = 0.08 * torch.sin(23 * y + 9 * x) * torch.sin(29 * x - 7 * y)  # [H, W]
        light = (pattern + self.lamps(state)[..., rows, columns])[..., None, :, :]  # [..., 1, H, W]
        door, palette = (state[..., number, None, None] for number in (2, 5))
        solid = ((x - 0.5).abs() < self.rooms.wall / 2) & ((y - door).abs() > self.rooms.door / 2)  # [..., H, W]

        def disc(place: Tensor, radius: float) -> Tensor:
            """How much of each pixel a disc covers, [..., H, W]: its edge is about two pixels wide."""
            far = ((y - place[..., 0, None, None]).square() + (x - place[..., 1, None, None]).square()).sqrt()
            return torch.sigmoid((radius - far) * 2 * height)

        size = self.rooms.robot
        ground = torch.ones_like(light[..., 0, :, :])  # how much of a pixel shows floor or wall
        body = torch.zeros_like(ground)  # and how much a body; the rest is dark: a mark
        for stranger in self.where(state).unbind(-2):
            outside, ring = 1 - disc(stranger, size), 1 - disc(stranger, MARK * size)
            ground, body = ground * outside * ring, (body * outside + 1 - outside) * ring
        outside = 1 - disc(state[..., :2], size)
        ground, body = (ground * outside)[..., None, :, :], (body * outside + 1 - outside)[..., None, :, :]
        under = torch.where(solid[..., None, :, :], either(WALLS, palette), color_of(FLOOR, state) + light)
        dark = color_of(DARK, state)
        return (dark + ground * (under - dark) + body * (either(ROBOTS, palette) - dark) - MEAN) / STD


def color_of(color: Sequence[float], like: Tensor) -> Tensor:
    """A color [3, 1, 1]."""
    return like.new_tensor(color)[:, None, None]


def either(colors: Sequence[Sequence[float]], palette: Tensor) -> Tensor:
    """The color [..., 3, 1, 1] of each palette [..., 1, 1]."""
    return torch.where(palette[..., None, :, :] > 0, color_of(colors[1], palette), color_of(colors[0], palette))
