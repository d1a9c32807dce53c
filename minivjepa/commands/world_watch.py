"""`minivjepa world watch`: a film of robots on their way to a goal."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
import tyro

from minivjepa.commands.options import check_new_file, parse
from minivjepa.commands.world_plan import chosen
from minivjepa.figures import require_matplotlib
from minivjepa.training.files import write_bytes
from minivjepa.world.base_world import World, displayable
from minivjepa.world.goal_reaching import Outcome, controls, pursue
from minivjepa.world.gradient_planner import Gradient
from minivjepa.world.inverse_dynamics import Inverse, policy_of
from minivjepa.world.planner import CEM
from minivjepa.world.world_trainer import CPU, load_world
from minivjepa.world.worlds import TASKS, WORLDS

CONTROLS = ("random", "straight", "oracle")
PIXELS = 128  # side of a picture in the film
LINE = 0.01  # width of the ring around a goal, in sides of the world


@dataclass(frozen=True)
class WorldWatchOptions:
    """Film robots on their way to their goals.  Each row shows what happens, and beside it the goal's picture.

    There's a ring around the goal.  A robot succeeds inside the ring, which then turns green.
    """

    who: tyro.conf.Positional[str]  # Who steers: random, straight, oracle, or the folder of a trained world model.
    out: Path  # The film to write, a new .gif.
    world: str = ""  # rooms, rooms-lamps, rooms-busy or maze; leave it out for a trained model, which has its own.
    seed: int = 0  # Seed of starts, goals, random actions and plans.
    robots: int = 3  # Rows of the film.
    planner: CEM = field(default_factory=CEM)  # The planner's budget, for the oracle or a model.
    by: str = "cem"  # How a model chooses actions: cem (--planner.*), gradient, or inverse (dynamics; it learns first, in seconds).


def world_watch(argv: list[str]) -> int:
    """The command."""
    options = parse(WorldWatchOptions, argv, "world watch")
    require_matplotlib()
    check_new_file(options.out, (".gif",), "--out")
    if options.world not in ("", *WORLDS):
        raise ValueError(f"unknown world {options.world!r}; choose from {', '.join(WORLDS)}")
    if not 1 <= options.robots <= 10:
        raise ValueError(f"--robots is {options.robots}, expected 1 to 10")
    name, world = options.world or "rooms", WORLDS[options.world or "rooms"]
    by = chosen(options.by, Gradient(), Inverse())
    if options.who in CONTROLS:
        if by:
            raise ValueError(f"--by is for trained models, and {options.who} isn't one; leave it out")
        if options.who != "oracle" and options.planner != CEM():
            raise ValueError(
                f"--planner.* is for the oracle and trained models, and {options.who} doesn't plan; leave it out"
            )
        policy = controls(world, options.planner, options.seed)[options.who]
    else:
        config, model = load_world(Path(options.who))
        if options.world not in ("", config.world):
            raise ValueError(f"{options.who} was trained in {config.world}, not in {name}; leave --world out")
        name, world = config.world, config.scene
        if by and options.planner != CEM():
            raise ValueError(f"--planner.* is about --by cem, and --by is {options.by}; leave it out")
        policy = policy_of(model.requires_grad_(False), config, by or options.planner, options.seed, CPU)
    task = replace(TASKS[name], pairs=options.robots, seed=options.seed)
    outcome = pursue(world, task, policy, CPU, options.who)
    write_bytes(options.out, film(world, outcome, task.radius))
    hits = int(outcome.reached.sum())
    print(f"{options.out}: {options.who} reached {hits} of {options.robots} goals of {name} in {task.steps} steps")
    return 0


def film(world: World, outcome: Outcome, radius: float) -> bytes:
    """The bytes of a GIF."""
    from minivjepa.figures.feature_colors import gif, imagination_film

    moving = (outcome.path[:, 1:] != outcome.path[:, :-1]).any(dim=2).any(dim=0)  # [steps]
    length = len(moving) + 1 - int(moving.flip(0).int().argmax()) if moving.any() else 1  # up to the last move
    path, goal = outcome.path[:, :length], outcome.goal
    there = (world.line(path, goal[:, None]) <= radius)[..., None, None, None]  # [n, T, 1, 1, 1]
    middle = (torch.arange(PIXELS) + 0.5) / PIXELS
    far = (middle[:, None] - goal[:, 0, None, None]).hypot(middle - goal[:, 1, None, None])  # [n, H, W]
    ring = ((far - radius).abs() < LINE / 2)[:, None, None]
    color = torch.where(there, torch.tensor([0.1, 1.0, 0.3]).view(3, 1, 1), torch.ones(3, 1, 1))
    shown = torch.where(ring, color, displayable(world.render(path, PIXELS, PIXELS)))  # [n, T, C, H, W]
    wanted = displayable(world.render(goal, PIXELS, PIXELS))[:, None].expand_as(shown)
    columns = {title: clip.movedim(2, -1).numpy() for title, clip in (("what happens", shown), ("the goal", wanted))}
    return gif(imagination_film(columns, [[f"step {step}", ""] for step in range(length)], 1.8))
