"""Two rooms in which most of what a picture shows does not matter.

Read in lesson 12.  The floor has a pattern and lamps that flicker, two strangers look like the robot but for a mark and move on
their own, and colors, door and wall change between episodes.  Lamps cannot be predicted, but they depend only on an episode's
seed and its clock, so a picture can be rendered again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from einops import rearrange
from torch import Tensor

from minivjepa import randomness
from minivjepa.world.rooms import Rooms
from minivjepa.world.world import MEAN, STD, World

STRANGERS = 2  # one in each room
LAMPS = 8  # in a row, and in a column
GLARE = 0.6  # how bright a lamp can be
SPEED = 0.12  # fastest stranger, in sides of the world a step and axis
MARK = 0.55  # radius of a stranger's mark, as a share of its radius
LATEST = 64  # steps from the start of an episode to the latest picture of a goal
SEEDS = 2**24  # of episodes: whole numbers that float32 holds exactly
FLOOR, DARK = (0.12, 0.12, 0.14), (0.05, 0.05, 0.08)  # red, green, blue
ROBOTS = (1.0, 0.5, 0.0), (1.0, 0.15, 0.5)  # the two ends of a scale of colors
WALLS = (0.3, 0.45, 0.95), (0.2, 0.8, 0.6)


@dataclass(frozen=True)
class RoomsBusy(World):
    """The world.  A state is [y, x, clock, seed, turned, door, robot's color, wall's color, 4 numbers for each stranger].

    turned: 1 if the wall lies across, else 0.  A stranger's numbers: where it was at clock 0, (y, x), and its velocity.
    """

    rooms: Rooms = field(default_factory=lambda: Rooms(robot=0.075, door=0.3))  # how a robot moves there

    lamps_only: bool = False  # No strangers, and the same colors, wall and door in every episode.

    numbers = 7 + 4 * STRANGERS
    more = 3

    @property
    def speed(self) -> float:  # type: ignore[override]
        """Longest move of a step along each axis."""
        return self.rooms.speed

    def draw(self, u: Tensor) -> Tensor:
        """Uniform numbers [..., numbers] -> states at clock 0: the robot anywhere, each stranger anywhere in its room."""
        if self.lamps_only:
            same = u.new_tensor([0.5, 0.0, 0.5, 0.5]).expand(*u.shape[:-1], 4)  # the door is in a corner
            u = torch.cat([u[..., :3], same, u[..., 7:]], dim=-1)
        place, seed, turned, door, colors, strangers = u.split([2, 1, 1, 1, 2, 4 * STRANGERS], dim=-1)
        edge = self.rooms.robot + self.rooms.gap
        door, turned, seed = edge + (1 - 2 * edge) * door, (turned < 0.5).float(), (seed * SEEDS).floor()
        strangers = rearrange(strangers, "... (n four) -> ... n four", n=STRANGERS)
        velocities = SPEED * (2 * strangers[..., 2:] - 1)
        strangers = torch.cat([strangers[..., :2], velocities], dim=-1).flatten(-2)
        place = self.turn(self.rooms.place(place, door[..., 0]), turned)
        return torch.cat([place, torch.zeros_like(seed), seed, turned, door, colors, strangers], dim=-1)

    def goal(self, state: Tensor, u: Tensor) -> Tensor:
        """The same episode 1 to LATEST steps later, the robot anywhere."""
        place = self.turn(self.rooms.place(u[..., :2], state[..., 5]), state[..., 4:5])
        later = state[..., 2:3] + 1 + (u[..., 2:] * LATEST).floor()
        return torch.cat([place, later, state[..., 3:]], dim=-1)

    def turn(self, place: Tensor, turned: Tensor) -> Tensor:
        """Positions [..., 2] as they are if the wall stands upright <-> as they are, turned [..., 1]."""
        return torch.where(turned > 0.5, place.flip(-1), place)

    def upright(self, state: Tensor) -> Tensor:
        """[..., S] -> [..., 3]: position and door in rooms whose wall stands upright, as Rooms expects them."""
        return torch.cat([self.turn(state[..., :2], state[..., 4:5]), state[..., 5:6]], dim=-1)

    def move(self, state: Tensor, action: Tensor) -> Tensor:
        """The robot as in Rooms; the clock goes on, and with it lamps and strangers."""
        turned = state[..., 4:5]
        moved = self.rooms.move(self.upright(state), self.turn(action, turned))
        return torch.cat([self.turn(moved[..., :2], turned), state[..., 2:3] + 1, state[..., 3:]], dim=-1)

    def walking_distance(self, a: Tensor, b: Tensor) -> Tensor:
        """As in Rooms."""
        return self.rooms.walking_distance(self.upright(a), self.upright(b))

    def strangers(self, state: Tensor) -> Tensor:
        """[..., S] -> where the strangers are, [..., STRANGERS, 2]: each goes to and fro between the walls of its room."""
        low, high, room = self.rooms.robot, 1 - self.rooms.robot, 0.5 - self.rooms.strip - self.rooms.robot
        numbers = rearrange(state[..., 8:], "... (n four) -> ... n four", n=STRANGERS)
        size = state.new_tensor([high - low, room])
        far = numbers[..., :2] * size + numbers[..., 2:] * state[..., 2:3, None]  # as if there were no walls
        inside = low + size - (far.remainder(2 * size) - size).abs()
        right = state.new_tensor([[0.0, (high - room - low) * (number % 2)] for number in range(STRANGERS)])
        return self.turn(inside + right, state[..., 4:5, None])

    def lamps(self, state: Tensor) -> Tensor:
        """[..., S] -> how bright each lamp is now, [..., LAMPS, LAMPS]."""
        moment = state[..., 3].long() * 2**20 + state[..., 2].long()
        bright = randomness.uniform(randomness.keys("lamps", 0, 0, moment.flatten()), LAMPS**2)
        return GLARE * bright.view(*moment.shape, LAMPS, LAMPS)

    def render(self, state: Tensor, height: int, width: int) -> Tensor:
        """states [..., S] -> normalised frames [..., 3, H, W]: floor, lamps, wall, strangers, robot, one above the other."""
        y, x = ((torch.arange(side, device=state.device) + 0.5) / side for side in (height, width))
        y, x = y[:, None], x[None, :]
        rows, columns = (y * LAMPS).long(), (x * LAMPS).long()
        pattern = 0.08 * torch.sin(23 * y + 9 * x) * torch.sin(29 * x - 7 * y)  # [H, W]
        light = (pattern + self.lamps(state)[..., rows, columns])[..., None, :, :]  # [..., 1, H, W]
        turned, door, color, wall_color = (state[..., number, None, None] for number in (4, 5, 6, 7))
        across, along = torch.where(turned > 0.5, y, x), torch.where(turned > 0.5, x, y)  # [..., H, W]
        solid = ((across - 0.5).abs() < self.rooms.wall / 2) & ((along - door).abs() > self.rooms.door / 2)

        def disc(place: Tensor, radius: float) -> Tensor:
            """How much of each pixel a disc covers, [..., H, W]: its edge is about two pixels wide."""
            far = ((y - place[..., 0, None, None]).square() + (x - place[..., 1, None, None]).square()).sqrt()
            return torch.sigmoid((radius - far) * 2 * height)

        size = self.rooms.robot
        ground, body = torch.ones_like(across), torch.zeros_like(across)  # shares of a pixel; the rest is dark, a mark
        for stranger in () if self.lamps_only else self.strangers(state).unbind(-2):
            outside, ring = 1 - disc(stranger, size), 1 - disc(stranger, MARK * size)
            ground, body = ground * outside * ring, (body * outside + 1 - outside) * ring
        outside = 1 - disc(state[..., :2], size)
        ground, body = (ground * outside)[..., None, :, :], (body * outside + 1 - outside)[..., None, :, :]
        under = torch.where(solid[..., None, :, :], blend(WALLS, wall_color), color_of(FLOOR, state) + light)
        dark = color_of(DARK, state)
        return (dark + ground * (under - dark) + body * (blend(ROBOTS, color) - dark) - MEAN) / STD


def color_of(color: Sequence[float], like: Tensor) -> Tensor:
    """A color [3, 1, 1]."""
    return like.new_tensor(color)[:, None, None]


def blend(ends: Sequence[Sequence[float]], share: Tensor) -> Tensor:
    """Colors [..., 3, 1, 1] between two, by shares [..., 1, 1]."""
    first, last = (color_of(color, share) for color in ends)
    return first + share[..., None, :, :] * (last - first)
