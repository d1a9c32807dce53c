"""Encoders and floors in PushT.  Makes pusht.json: `python results/pusht.py`; if stopped, it goes on where it was.

Read in lesson 12.  Seeds 10 to 12.  Recipes are those of results/worlds.py, which were chosen for rooms-lamps; docs/worlds.md says what was tried on
seed 100 and other pairs.  All models share one pool of recorded episodes, and all get the same pairs from episodes outside it.
"""

import sys
from collections.abc import Iterator
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import torch
from rows import Job, Metrics, begin, fit, run_missing
from scored import Timed
from torch import Tensor
from worlds_recipes import ENCODERS, LAMPS_ONLY, config_of

from minivjepa import randomness
from minivjepa.evaluation.probes import linear_r2
from minivjepa.training.files import write_atomically
from minivjepa.training.runs import Run
from minivjepa.training.trainer import Trainer
from minivjepa.tubelets import Grid
from minivjepa.world.goal_reaching import Policy, planning_policy, random_policy
from minivjepa.world.inverse_dynamics import Inverse, train_inverse
from minivjepa.world.planner import CEM, Cost, latent_cost
from minivjepa.world.push_t import (
    SIDE,
    Episodes,
    PushClips,
    PushTask,
    push,
    record,
    render,
    replay_policy,
    straight_policy,
)
from minivjepa.world.world_recipe import EXAMPLES, WorldConfig, build_frozen, build_lewm, pretraining
from minivjepa.world.world_trainer import CPU, WorldTrainer

FILE = Path(__file__).with_suffix(".json")
RUNS = Path("runs") / "pusht"
SEEDS = (10, 11, 12)
POOL, LENGTH = range(4000), 40  # gym-pusht's seeds of the episodes for training, and their steps
# the published steps, and an easier task
TASKS = {"pusht": PushTask(), "pusht, 10 steps": PushTask(ahead=10, steps=20)}
INVERSE = Inverse(clips=3000, frames=26, steps=4000)
SIZE = 32
NAMES = ("state", "untrained", "raw", "raw, 128", "lewm")  # state: no picture, the true state
SLOW = ("vjepa",)  # what is trained last


@cache
def pool() -> Episodes:
    """The episodes that all models train on, recorded once."""
    file = RUNS / "pool.pt"
    if not file.exists():
        RUNS.mkdir(parents=True, exist_ok=True)
        found = tuple(record(POOL, LENGTH))
        write_atomically(file, lambda out: torch.save(found, out))
    return Episodes(*torch.load(file, weights_only=True))


@cache
def pairs(world: str) -> Episodes:
    """The held-out episodes of a task: each one's first state is a start and its last a goal."""
    return TASKS[world].draw()


def facts(states: Tensor) -> Tensor:
    """States [..., S] -> [..., 6]: where agent and block are, and the cosine and sine of the block's angle."""
    return torch.cat([4 * states[..., :4] - 2, states[..., 4:5].cos(), states[..., 4:5].sin()], dim=-1)


class State:
    """In place of an encoder, the ceiling of inverse dynamics: its latents are the true state, and so are its clips."""

    def embed(self, clip: Tensor) -> Tensor:
        """States [B, T, S] -> [B, T, 6]."""
        return facts(clip)


class StateClips(PushClips):
    """Clips of states without pictures."""

    def see(self, states: Tensor) -> Tensor:
        """The states themselves."""
        return states


def frozen(config: WorldConfig, name: str) -> Any:
    """A frozen encoder with main directions of PushT's pictures.  name: of the recipe it learns by; "": it learns nothing."""
    encoder = None
    if name:
        recipe, run = pretraining(config), Run(RUNS / f"{name}-{config.seed}-encoder")
        encoder = fit(Trainer(recipe, PushClips(recipe.grid, config.seed, pool()), run, CPU), "pusht").encoder
    model, states = build_frozen(config, encoder), pool().states.flatten(0, 1)
    u = randomness.uniform(randomness.keys("examples", config.seed, 0, torch.arange(EXAMPLES)), 1)[:, 0]
    model.directions.fit(model.features(render(states[(u * len(states)).long()], SIZE, SIZE)[:, :, None])[:, 0])
    return model


@cache
def model_of(encoder: str, seed: int) -> Any:
    """A model that embeds pictures."""
    if encoder == "state":
        return State()
    config = config_of("rooms", encoder, seed)  # of the world, only the recipe is used
    if config.model == "lewm":
        run, clips = Run(RUNS / f"{encoder}-{seed}", WorldConfig), PushClips(config.clips, seed, pool())
        model = fit(WorldTrainer(config, build_lewm(config), clips, run, CPU), "pusht")
    else:
        model = frozen(config, (ENCODERS | LAMPS_ONLY)[encoder][0])
    return model.eval().requires_grad_(False)


def clips_of(encoder: str, seed: int) -> PushClips:
    """The clips that inverse dynamics learns from."""
    kind = StateClips if encoder == "state" else PushClips
    return kind(Grid(INVERSE.frames, SIZE, SIZE, 1, 8), seed, pool())


def score(policy: Policy, world: str) -> Metrics:
    """Goals reached, the processor time of a decision, and how near the goal a pair came: the median, in gym-pusht's pixels."""
    timed, task, goal = Timed(policy), TASKS[world], pairs(world).states[:, -1]
    path = push(task, pairs(world), timed)
    nearest = SIDE * (path - goal[:, None])[..., :4].norm(dim=-1).amin(dim=1).median()
    return {**timed.scored(task.reached(path[:, -1], goal)), "nearest": float(nearest)}


def knows(model: Any, clips: PushClips) -> Metrics:
    """What a linear probe reads from latents of episodes outside the pool: R^2 of the agent's place, the block's, and its angle."""
    (x, y), (x_new, y_new) = (
        (model.embed(clips.see(states[:, None]))[:, 0], facts(states))
        for states in (pool().states[:, ::20].flatten(0, 1), pairs("pusht").states.flatten(0, 1))
    )
    parts = {"agent": slice(0, 2), "block": slice(2, 4), "angle": slice(4, 6)}
    return {f"{name}_r2": linear_r2(x, y[:, part], x_new, y_new[:, part]) for name, part in parts.items()}


def run_floor(world: str, planner: str) -> Metrics:
    """Random actions, the agent's way straight to its place at the goal, or the recorded actions."""
    floors = {
        "random": random_policy(TASKS[world].first),
        "straight": straight_policy,
        "replay": replay_policy(pairs(world)),
    }
    return score(floors[planner], world)


@cache
def inverse_of(encoder: str, seed: int) -> tuple[Policy, Metrics]:
    """Inverse dynamics on an encoder's latents.  Its actions are used as they are: pushing asks for slow moves, too."""
    model, clips = model_of(encoder, seed), clips_of(encoder, seed)
    inverse, loss = train_inverse(model, clips, INVERSE)

    @torch.no_grad()
    def act(step: int, index: Tensor, state: Tensor, goal: Tensor) -> Tensor:
        now, wanted = model.embed(clips.see(torch.stack([state, goal], dim=1))).unbind(dim=1)
        return inverse(now, wanted).clamp(-1, 1)

    return act, {"inverse_loss": loss, **knows(model, clips)}


def run_inverse(world: str, encoder: str, seed: int) -> Metrics:
    """One network for both tasks: it learned from goals 1 to 25 steps ahead."""
    act, made = inverse_of(encoder, seed)
    return {**made, **score(act, world)}


def run_cem(world: str, encoder: str, seed: int) -> Metrics:
    """The cross-entropy method on imagined latents."""
    model, clips = model_of(encoder, seed), clips_of(encoder, seed)

    @torch.no_grad()
    def costs(state: Tensor, goal: Tensor) -> Cost:
        return latent_cost(model, *model.embed(clips.see(torch.stack([state, goal], dim=1))).unbind(dim=1))

    return score(planning_policy(CEM(), costs, TASKS[world].first), world)


def jobs() -> Iterator[Job]:
    """(list of the results file, what identifies a row, how to compute the rest of it), in order."""
    for world, planner in product(TASKS, ("random", "straight", "replay")):
        yield "floors", (key := {"world": world, "planner": planner}), partial(run_floor, **key)
    yield from inverse_jobs(NAMES)
    for seed in SEEDS:
        key = {"world": "pusht, 10 steps", "encoder": "lewm", "seed": seed}
        yield "rows", {**key, "planner": "cem"}, partial(run_cem, **key)
    yield from inverse_jobs(SLOW)


def inverse_jobs(encoders: tuple[str, ...]) -> Iterator[Job]:
    """The jobs of inverse dynamics."""
    for encoder, seed, world in product(encoders, SEEDS, TASKS):
        key = {"world": world, "encoder": encoder, "seed": seed}
        yield "rows", {**key, "planner": "inverse dynamics"}, partial(run_inverse, **key)


def main() -> None:
    """Run what the results file lacks."""
    torch.set_num_threads(1)
    recipes = {name: config_of("rooms", name, 0) for name in (*NAMES[1:], *SLOW)}
    settings = {**recipes, **TASKS, "inverse": INVERSE, "cem": CEM()}
    settings |= {"pool": {"episodes": len(POOL), "steps": LENGTH}, "seeds": SEEDS}
    begin(FILE, settings, also=f" and {RUNS}")
    run_missing(FILE, jobs())


if __name__ == "__main__":
    sys.exit(main())
