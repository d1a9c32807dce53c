"""PushT: an agent pushes a T-shaped block until both are where a picture of the goal shows them.

Read in lesson 12.  gym-pusht's starts and physics, our camera: it draws small pictures of many states at once, and leaves out gym-pusht's
fixed goal.  Goals and success follow DINO-WM (arXiv 2411.04983) and LeWorldModel (arXiv 2603.19312): the goal is where a recorded
episode was some steps later, so the recorded actions reach it.  PushT isn't a `World`: success takes more than the agent's position,
and how far one would walk says little.  Needs gym-pusht: pip install 'minivjepa[pusht]'.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from minivjepa import randomness
from minivjepa.training.config import SEEDS, check_numbers
from minivjepa.tubelets import Grid
from minivjepa.world.base_world import ACTIONS, MEAN, STD
from minivjepa.world.goal_reaching import Policy
from minivjepa.world.rooms import BACKGROUND, ROBOT, WALL
from minivjepa.world.world_clips import Journey

SIDE = 512.0  # of gym-pusht's square, in its pixels
REACH = 100.0  # an action of 1 aims this many of its pixels ahead, as in DINO-WM
RADIUS = 15.0  # of the agent, in its pixels
BARS = (0.0, 15.0, 60.0, 15.0), (0.0, 75.0, 15.0, 45.0)  # of the T: middle (x, y), half its width, half its height
MIDDLE = 45.0  # the block's center of mass lies this far down its stem
REAIM = 6  # steps after which the pusher aims elsewhere
AT_ONCE = 64  # episodes recorded together in the search for pairs
MOST = 100  # episodes recorded for each pair, before the search gives up


@dataclass(frozen=True)
class PushTask:
    """Pairs of start and goal, and what counts as success.  Lengths are in gym-pusht's pixels, angles in degrees.

    Raises ValueError for a task that is empty, or that is solved from the start.
    """

    pairs: int = 100  # Start-goal pairs.
    ahead: int = 25  # The goal lies this many steps later in a recorded episode.
    steps: int = 50  # Steps that the agent may take.
    near: float = 20.0  # Success asks that agent and block, as one point in four dimensions, are nearer to the goal's.
    turned: float = 20.0  # It also asks that the block's angle differs by less than this.
    moved: float = 40.0  # How far the block is from its place at the goal when a pair starts, at least.
    first: int = 31_000_000  # gym-pusht's seed of the first episode, far from those of training.

    def __post_init__(self) -> None:
        check_numbers(self, ("pairs", "ahead", "steps", "near", "turned"), "a number above 0", lambda value: value > 0)
        check_numbers(
            self, ("steps",), f"ahead ({self.ahead}) or more, as the recording took", lambda value: value >= self.ahead
        )
        check_numbers(
            self, ("moved",), f"more than near ({self.near}), or some starts are goals", lambda value: value > self.near
        )
        check_numbers(self, ("first",), SEEDS, lambda value: 0 <= value < 2**32)

    def reached(self, state: Tensor, goal: Tensor) -> Tensor:
        """states [..., S] x [..., S] -> bool [...]."""
        far = SIDE * (state - goal)[..., :4].norm(dim=-1)
        turn = (state - goal)[..., 4].remainder(2 * math.pi)
        return (far < self.near) & (torch.minimum(turn, 2 * math.pi - turn) < math.radians(self.turned))

    def draw(self) -> "Episodes":
        """The first recorded episodes in which the block moves far enough, `ahead` steps long: the last state is the goal.

        Raises ValueError if they are too rare.
        """
        parts: list[Episodes] = []
        for start in range(0, MOST * self.pairs, AT_ONCE):
            found = record(range(self.first + start, self.first + start + AT_ONCE), self.ahead)
            way = SIDE * (found.states[:, -1] - found.states[:, 0])[:, 2:4].norm(dim=-1)
            parts.append(found.take(way >= self.moved))
            if sum(len(part.seeds) for part in parts) >= self.pairs:
                seeds, actions, states = (torch.cat(some)[: self.pairs] for some in zip(*parts))
                return Episodes(seeds, actions, states)
        raise ValueError(
            f"fewer than {self.pairs} of {MOST * self.pairs} episodes move the block by {self.moved}; reduce moved"
        )


class Episodes(NamedTuple):
    """n recorded episodes.  seeds: gym-pusht's, int64 [n].  actions: float32 [n, T, 2].  states: float32 [n, T + 1, S].

    A state is [agent y, x, block y, x, block's angle, agent's velocity y, x], in sides of the square, radians, and sides per second.
    The block has no velocity: gym-pusht stops it before each piece of a step.
    """

    seeds: Tensor
    actions: Tensor
    states: Tensor

    def take(self, which: Tensor) -> "Episodes":
        """Those that a mask [n] or indices pick."""
        return Episodes(*(values[which] for values in self))


class Table:
    """gym-pusht's square with its agent and block, from the start that a seed decides.

    Raises ValueError with the command to run if gym-pusht isn't installed.
    """

    def __init__(self, seed: int):
        try:
            from gym_pusht.envs.pusht import PushTEnv
        except ImportError as error:
            raise ValueError(f"PushT needs gym-pusht ({error}); run: pip install 'minivjepa[pusht]'") from None
        self.game: Any = PushTEnv()
        self.game.reset(seed=seed)

    def state(self) -> list[float]:
        """A row of numbers, as Episodes holds them."""
        agent, block = self.game.agent, self.game.block
        (x, y), (block_x, block_y), (speed_x, speed_y) = agent.position, block.position, agent.velocity
        places = [value / SIDE for value in (y, x, block_y, block_x)]
        return [*places, block.angle, speed_y / SIDE, speed_x / SIDE]

    def step(self, action: Sequence[float]) -> list[float]:
        """Aim ahead by an action (down, right), each from -1 to 1, and return the state a tenth of a second later."""
        x, y = self.game.agent.position
        self.game.step(np.clip([x + REACH * action[1], y + REACH * action[0]], 0, SIDE))
        return self.state()


def pusher(seed: int, steps: int) -> tuple[Tensor, Tensor]:
    """An episode's random numbers: uniform [steps, 3] for where to aim, normal [steps, 2] for the jitter."""
    key = torch.tensor([seed])
    aims = randomness.uniform(randomness.keys("aims", 0, 0, key), steps * 3).view(steps, 3)
    return aims, randomness.normal(randomness.keys("jitter", 0, 0, key), steps * ACTIONS).view(steps, ACTIONS)


def aim_at(state: Tensor, u: Tensor) -> Tensor:
    """A state [S] and uniform numbers [3] -> where the pusher aims (y, x): most often through the block, else anywhere."""
    if u[0] > 0.75:
        return 0.1 + 0.8 * u[1:]
    angle = state[4]
    middle = state[2:4] + MIDDLE / SIDE * torch.stack([angle.cos(), -angle.sin()])
    there = middle + 0.2 * (u[1:] - 0.5)
    way = there - state[:2]
    return (there + 0.12 * way / way.norm().clamp_min(1e-3)).clamp(0.06, 0.94)


def record(seeds: Sequence[int], steps: int) -> Episodes:
    """Episodes of a pusher that aims at the block, or elsewhere, and jitters; they depend only on their seeds.

    Raises ValueError for no episodes or no steps, and without gym-pusht.
    """
    if not len(seeds) or steps < 1:
        raise ValueError(f"given {len(seeds)} episodes of {steps} steps, expected 1 or more of each")
    actions, states = torch.zeros(len(seeds), steps, ACTIONS), []
    for number, seed in enumerate(seeds):
        table, (aims, jitter) = Table(seed), pusher(seed, steps)
        path = [torch.tensor(table.state())]
        for step in range(steps):
            if step % REAIM == 0:
                aim = aim_at(path[-1], aims[step])
            ahead = SIDE / REACH * (aim - path[-1][:2])
            ahead = 0.6 * ahead / ahead.norm().clamp_min(0.6)
            actions[number, step] = (ahead + 0.15 * jitter[step]).clamp(-1, 1)
            path.append(torch.tensor(table.step(actions[number, step].tolist())))
        states.append(torch.stack(path))
    return Episodes(torch.tensor(list(seeds)), actions, torch.stack(states))


def render(state: Tensor, height: int, width: int) -> Tensor:
    """states [..., S] -> normalized frames [..., 3, H, W]: the block, and the agent above it."""
    y, x = ((torch.arange(side, device=state.device) + 0.5) / side * SIDE for side in (height, width))
    agent_y, agent_x, block_y, block_x = (SIDE * state[..., :4, None, None]).unbind(-3)  # [..., 1, 1] each
    down, right = y[:, None] - block_y, x[None, :] - block_x  # [..., H, 1] and [..., 1, W]
    cos, sin = state[..., 4, None, None].cos(), state[..., 4, None, None].sin()
    along, across = right * cos + down * sin, down * cos - right * sin  # in the block's own axes, [..., H, W]

    def outside(middle_x: float, middle_y: float, half_x: float, half_y: float) -> Tensor:
        """How far each pixel lies outside a bar, below 0 inside."""
        return torch.maximum((along - middle_x).abs() - half_x, (across - middle_y).abs() - half_y)

    def covered(far: Tensor) -> Tensor:
        """How much of a pixel lies inside, [..., 1, H, W]."""
        return (0.5 - far * height / SIDE).clamp(0, 1)[..., None, :, :]

    block = covered(torch.minimum(outside(*BARS[0]), outside(*BARS[1])))
    far = ((y[:, None] - agent_y).square() + (x[None, :] - agent_x).square()).sqrt()
    background, wall, robot = (state.new_tensor(color)[:, None, None] for color in (BACKGROUND, WALL, ROBOT))
    frame = torch.lerp(background, wall, block)
    return (torch.lerp(frame, robot, covered(far - RADIUS)) - MEAN) / STD


class PushClips:
    """Clips cut from recorded episodes, in the shape of WorldClips: which depends only on (seed, step, sample index).

    Raises ValueError for clips that are longer than the episodes.
    """

    def __init__(self, grid: Grid, seed: int, episodes: Episodes):
        if grid.frames > episodes.states.shape[1]:
            raise ValueError(
                f"the episodes have {episodes.states.shape[1]} frames, expected {grid.frames} or more; record longer ones"
            )
        self.grid, self.seed, self.episodes = grid, seed, episodes

    def see(self, states: Tensor) -> Tensor:
        """states [B, T, S] -> clips [B, C, T, H, W]."""
        return rearrange(render(states, self.grid.height, self.grid.width), "B T C H W -> B C T H W")

    def batch(self, step: int, index: Tensor) -> tuple[Tensor, Journey]:
        """Clips [B, C, T, H, W] and what happened in them, for global sample indices int64 [B] at this step."""
        frames, (count, length) = self.grid.frames, self.episodes.states.shape[:2]
        u = randomness.uniform(randomness.keys("push", self.seed, step, index), 2)
        episode, start = (u[:, :1] * count).long(), (u[:, 1:] * (length - frames + 1)).long()
        when = start + torch.arange(frames)
        journey = Journey(self.episodes.actions[episode, when[:, :-1]], self.episodes.states[episode, when])
        return self.see(journey.states), journey


def straight_policy(step: int, pairs: Tensor, state: Tensor, goal: Tensor) -> Tensor:
    """A floor: the agent goes straight to where it is at the goal, whatever the block does."""
    return (SIDE / REACH * (goal - state)[:, :2]).clamp(-1, 1)


def replay_policy(episodes: Episodes) -> Policy:
    """The ceiling: the recorded actions, and then none."""
    idle = torch.zeros_like(episodes.actions[:, :1])
    actions = torch.cat([episodes.actions, idle], dim=1)
    return lambda step, pairs, state, goal: actions[pairs, min(step, actions.shape[1] - 1)]


def push(task: PushTask, episodes: Episodes, policy: Policy) -> Tensor:
    """Let a policy push from each episode's start toward its last state: states [n, steps + 1, S]; they repeat once it has succeeded."""
    tables, goal = [Table(int(seed)) for seed in episodes.seeds], episodes.states[:, -1]
    path = [torch.tensor([table.state() for table in tables])]
    for step in range(task.steps):
        state = path[-1].clone()
        pairs = torch.where(~task.reached(state, goal))[0]  # those under way
        if len(pairs):
            actions = policy(step, pairs, state[pairs], goal[pairs])
            state[pairs] = torch.tensor([tables[int(i)].step(action) for i, action in zip(pairs, actions.tolist())])
        path.append(state)
    return torch.stack(path, dim=1)
