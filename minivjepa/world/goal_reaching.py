"""Reaching goals: the task, the policies that choose actions, and the loop that follows a policy.

Built in lesson 12.  A robot succeeds if it comes within a radius of the goal within a budget of steps.  Everything depends only on
the seed and the index of a pair, so all models get the same pairs and no pair depends on another.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from tqdm import tqdm

from minivjepa import randomness
from minivjepa.training.config import SEEDS, check_numbers
from minivjepa.world.base_world import ACTIONS, World
from minivjepa.world.gradient_planner import Planner
from minivjepa.world.planner import CEM, Cost, WorldModel, latent_cost

CANDIDATES = 64  # start-goal pairs drawn for each pair that is used
Costs = Callable[[Tensor, Tensor], Cost]  # states and goals [n, S] -> what plans cost
# step, indices of pairs [n], their states and goals [n, S] -> actions [n, 2]
Policy = Callable[[int, Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Task:
    """What counts as success.  Raises ValueError for a task that is empty or impossible."""

    pairs: int = 200  # Start-goal pairs; each world has its own rule for them.
    radius: float = 0.08  # How close to the goal the robot must come, in sides of the world.
    steps: int = 25  # Steps the robot may take.
    apart: float = 0.3  # Smallest straight-line distance from start to goal, in sides of the world.
    seed: int = 31_000_000  # Seed of pairs and plans, far from any training seed.

    def __post_init__(self) -> None:
        check_numbers(self, ("pairs", "steps", "radius", "apart"), "a number above 0", lambda value: value > 0)
        check_numbers(self, ("pairs",), "at most 10000: all are planned at once", lambda value: value <= 10_000)
        check_numbers(self, ("apart",), "at most 0.6: worlds are no larger", lambda value: value <= 0.6)
        check_numbers(self, ("seed",), SEEDS, lambda value: 0 <= value < 2**32)

    def draw(self, world: World, device: torch.device) -> tuple[Tensor, Tensor]:
        """Starts and goals, [pairs, S] each, of unseen episodes; each pair fits its index, by the world's rule.

        Raises ValueError for a task that is solved from the start, and for worlds where such pairs are hard to find.
        """
        index = torch.arange(self.pairs, device=device)
        key = randomness.keys("pairs", self.seed, 0, index)
        return self.pick(world.unseen, index, randomness.uniform(key, (world.numbers + world.more) * CANDIDATES))

    def pick(self, world: World, index: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        """Of CANDIDATES pairs from uniform numbers [n, CANDIDATES * numbers], the first that fits each index [n]."""
        less = f"less than apart ({self.apart}), or no robot has to move"
        check_numbers(self, ("radius",), less, lambda value: value < self.apart)
        u = u.view(len(index), CANDIDATES, -1)
        start = world.draw(u[..., : world.numbers])  # [n, candidates, S]
        goal = world.goal(start, u[..., world.numbers :])
        fits = world.fits(index[:, None], start, goal) & (world.line(start, goal) >= self.apart)
        if not bool(fits.any(dim=1).all()):
            raise ValueError(f"no pair {self.apart} apart was found in {CANDIDATES} draws; reduce --task.apart")
        first, pairs = fits.int().argmax(dim=1), torch.arange(len(index), device=u.device)
        return start[pairs, first], goal[pairs, first]


def random_policy(seed: int) -> Policy:
    """The floor: random actions."""
    return lambda step, pairs, state, goal: (
        2 * randomness.uniform(randomness.keys("floor", seed, step, pairs), ACTIONS) - 1
    )


def straight_policy(world: World) -> Policy:
    """Straight toward the goal: it knows both positions, but not the walls."""
    return lambda step, pairs, state, goal: world.straight(state, goal)


def planning_policy(planner: Planner, costs: Costs, seed: int) -> Policy:
    """Model-predictive control: plan, take the first action, and start the next search from the rest of the plan."""
    plans = torch.empty(0)

    def act(step: int, pairs: Tensor, state: Tensor, goal: Tensor) -> Tensor:
        nonlocal plans
        if step == 0:  # every pair is under way
            plans = state.new_zeros(len(pairs), planner.horizon, ACTIONS)
        found = replan(planner, costs(state, goal), plans[pairs], seed, step, pairs)
        plans[pairs] = torch.cat([found[:, 1:], torch.zeros_like(found[:, :1])], dim=1)
        return found[:, 0]

    return act


def replan(planner: Planner, cost: Cost, mean: Tensor, seed: int, step: int, pairs: Tensor) -> Tensor:
    """planner.plan from mean [n, H, A], with noise that depends only on the seed, the step, the round and the pair."""
    _, H, A = mean.shape

    def noise(number: int) -> Tensor:
        key = randomness.keys("plan", seed, step * planner.rounds + number, pairs)
        return randomness.normal(key, planner.samples * H * A).view(len(pairs), planner.samples, H, A)

    return planner.plan(cost, mean, noise)


def oracle_costs(world: World) -> Costs:
    """The ceiling knows positions and walls: a plan costs the walking distance to the goal from its nearest point."""

    def costs(state: Tensor, goal: Tensor) -> Cost:
        def cost(plans: Tensor) -> Tensor:
            path = world.walk(state[:, None].expand(*plans.shape[:2], -1), plans)[:, :, 1:]  # [n, plans, H, S]
            return world.walking_distance(path, goal[:, None, None]).amin(dim=-1)

        return cost

    return costs


@torch.no_grad()
def here_and_there(
    model: WorldModel, world: World, state: Tensor, goal: Tensor, height: int, width: int
) -> tuple[Tensor, Tensor]:
    """Latents [n, Z] of a picture of each state and of each goal: all that a world model sees."""
    pictures = world.render(torch.stack([state, goal], dim=1), height, width)  # [n, 2, C, H, W]
    now, wanted = model.embed(pictures.transpose(1, 2)).unbind(dim=1)  # as two frames of a clip
    return now, wanted


def picture_costs(model: WorldModel, world: World, height: int, width: int) -> Costs:
    """A world model sees two pictures and nothing else: the robot where it is, and the robot at the goal."""

    def costs(state: Tensor, goal: Tensor) -> Cost:
        return latent_cost(model, *here_and_there(model, world, state, goal, height, width))

    return costs


def controls(world: World, planner: CEM, seed: int) -> dict[str, Policy]:
    """What trained models are compared with: the floor, a walk that does not plan, and the ceiling."""
    oracle = planning_policy(planner, oracle_costs(world), seed)
    return {"random": random_policy(seed), "straight": straight_policy(world), "oracle": oracle}


@dataclass(frozen=True)
class Outcome:
    """What happened to each pair.  path: states, float32 [pairs, steps + 1, S]; it stays put once the robot succeeds.

    goal: states [pairs, S].  reached: bool [pairs].  through: bool [pairs], whether the path leads through a door or around a wall.
    """

    path: Tensor
    goal: Tensor
    reached: Tensor
    through: Tensor


def pursue(world: World, task: Task, policy: Policy, device: torch.device, title: str = "") -> Outcome:
    """Let one robot for each pair follow a policy until it reaches its goal or runs out of steps.

    title: of a progress bar; "" shows none.
    """
    state, goal = task.draw(world, device)
    through = world.through(state, goal)
    path, reached = [state], torch.zeros_like(through)
    for step in tqdm(range(task.steps), title, unit="step", disable=not title):
        pairs = torch.where(~reached)[0]  # those under way
        if len(pairs):
            action = policy(step, pairs, state[pairs], goal[pairs])
            state = state.index_copy(0, pairs, world.move(state[pairs], action))
            reached = reached | (world.line(state, goal) <= task.radius)
        path.append(state)
    return Outcome(torch.stack(path, dim=1), goal, reached, through)
