"""Reaching goals, and counting how often: the task, the loop of look, plan, act, and four ways to choose an action.

Built in lesson 12.  Success is to come within a radius of the goal within a budget of steps.  Everything is a function of the seed
and of the index of a pair, so that all models meet the same pairs and no pair depends on another.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from minivjepa import randomness
from minivjepa.world.planner import CEM, Cost, WorldModel, latent_cost
from minivjepa.world.rooms import Rooms

MOST_PAIRS = 10_000
CANDIDATES = 64  # start-goal pairs drawn for every one that is used
Progress = Callable[[int], None]  # called with the steps done


@dataclass(frozen=True)
class Task:
    """What counts as success.  Raises ValueError for a task without pairs or steps."""

    pairs: int = 200
    """Start-goal pairs; every other one leads through the door."""
    radius: float = 0.08
    """How near the goal the robot must come, in sides of the world."""
    steps: int = 25
    """Steps that it may take."""
    apart: float = 0.3
    """Least straight-line distance of start and goal, in sides of the world."""
    seed: int = 31_000_000
    """Seed of pairs and plans, far from any training seed."""

    def __post_init__(self) -> None:
        for name in ("pairs", "steps", "radius", "apart"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}, expected a number above 0")
        if self.pairs > MOST_PAIRS:
            raise ValueError(f"pairs is {self.pairs}, expected at most {MOST_PAIRS}: they are all planned for at once")
        if self.apart > 0.6:
            raise ValueError(f"apart is {self.apart}, expected at most 0.6: rooms are not larger")
        if self.radius >= self.apart:
            raise ValueError(
                f"radius is {self.radius}, expected less than apart, {self.apart}: all would be there at once"
            )
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed is {self.seed}, expected a whole number from 0 to {2**32 - 1}")

    def draw(self, rooms: Rooms, device: torch.device) -> tuple[Tensor, Tensor]:
        """Starts and goals, [pairs, 2] each: pairs with an even index are in different rooms, the others in one.

        Raises ValueError for rooms where such pairs are hard to find.
        """
        index = torch.arange(self.pairs, device=device)
        u = randomness.uniform(randomness.keys("pairs", self.seed, 0, index), 4 * CANDIDATES).view(-1, CANDIDATES, 4)
        start, goal = rooms.place(u[..., :2]), rooms.place(u[..., 2:])  # [pairs, candidates, 2]
        through = (start[..., 1] < 0.5) != (goal[..., 1] < 0.5)
        fits = (through == (index % 2 == 0)[:, None]) & ((start - goal).norm(dim=-1) >= self.apart)
        if not bool(fits.any(dim=1).all()):
            raise ValueError(
                f"in these rooms, no pair {self.apart} apart was found in {CANDIDATES} draws; choose a smaller --task.apart"
            )
        first = fits.int().argmax(dim=1)
        return start[index, first], goal[index, first]


Costs = Callable[[Tensor, Tensor], Cost]  # positions and goals [B, 2] of the pairs under way -> what their plans cost


def oracle_costs(rooms: Rooms) -> Costs:
    """The ceiling: knows positions and walls; a plan costs the walking distance to the goal where it comes nearest."""

    def costs(position: Tensor, goal: Tensor) -> Cost:
        def cost(plans: Tensor) -> Tensor:
            path = rooms.walk(position[:, None].expand(*plans.shape[:2], 2), plans)[:, :, 1:]  # [B, S, H, 2]
            return rooms.walking_distance(path, goal[:, None, None].expand_as(path)).amin(dim=-1)

        return cost

    return costs


def picture_costs(model: WorldModel, rooms: Rooms, height: int, width: int) -> Costs:
    """A world model sees two pictures, of where the robot is and of where it should be, and nothing else."""

    @torch.no_grad()
    def costs(position: Tensor, goal: Tensor) -> Cost:
        pictures = rooms.render(torch.stack([position, goal], dim=1), height, width)  # [B, 2, C, H, W]
        now, wanted = model.embed(pictures.transpose(1, 2)).unbind(dim=1)  # two frames of one clip, each seen alone
        return latent_cost(model, now, wanted)

    return costs


@dataclass(frozen=True)
class Outcome:
    """What became of every pair.  path: float32 [pairs, steps + 1, 2], standing still after success.  reached: bool [pairs].

    through: bool [pairs], whether start and goal are in different rooms.
    """

    path: Tensor
    reached: Tensor
    through: Tensor


def pursue(
    rooms: Rooms,
    task: Task,
    cem: CEM,
    costs: Costs | None,
    device: torch.device,
    progress: Progress = lambda step: None,
    straight: bool = False,
) -> Outcome:
    """Look, plan, take the first action, look again (model-predictive control).  Each plan starts from what was left of the one before.

    costs None: nobody plans.  Actions are random, the floor; or, if `straight`, they lead straight to the goal, as of one who
    knows where both are and nothing of walls.
    """
    position, goal = task.draw(rooms, device)
    through = (position[:, 1] < 0.5) != (goal[:, 1] < 0.5)
    plans, path = torch.zeros(task.pairs, cem.horizon, 2, device=device), [position]
    reached = torch.zeros_like(through)
    for step in range(task.steps):
        under_way = torch.where(~reached)[0]
        if len(under_way):
            if costs is None and straight:
                action = ((goal - position)[under_way] / rooms.speed).clamp(-1, 1)
            elif costs is None:
                key = randomness.keys("floor", task.seed, step, under_way)
                action = 2 * randomness.uniform(key, 2) - 1
            else:
                cost = costs(position[under_way], goal[under_way])
                found = replan(cem, cost, plans[under_way], task.seed, step, under_way)
                action = found[:, 0]
                plans[under_way] = torch.cat([found[:, 1:], torch.zeros_like(found[:, :1])], dim=1)
            position = position.clone()
            position[under_way] = rooms.move(position[under_way], action)
            reached = reached | ((position - goal).norm(dim=1) <= task.radius)
        path.append(position)
        progress(step + 1)
    return Outcome(torch.stack(path, dim=1), reached, through)


def replan(cem: CEM, cost: Cost, mean: Tensor, seed: int, step: int, index: Tensor) -> Tensor:
    """CEM.plan with noise that depends on (seed, step, round, index of the pair) alone."""
    _, H, A = mean.shape

    def noise(number: int) -> Tensor:
        key = randomness.keys("plan", seed, step * cem.rounds + number, index)
        return randomness.normal(key, cem.samples * H * A).view(len(index), cem.samples, H, A)

    return cem.plan(cost, mean, noise)
