"""`minivjepa world plan`: how often do world models reach their goals?"""

import shlex
from dataclasses import dataclass, field, replace
from pathlib import Path

import tyro

from minivjepa.commands.options import parse
from minivjepa.training.devices import pick_device
from minivjepa.training.runs import Run
from minivjepa.world.comparison import compare, summary
from minivjepa.world.goal_reaching import Task
from minivjepa.world.gradient_planner import Gradient
from minivjepa.world.inverse_dynamics import Inverse
from minivjepa.world.planner import CEM
from minivjepa.world.world_recipe import WorldConfig
from minivjepa.world.worlds import TASKS


@dataclass(frozen=True)
class WorldPlanOptions:
    """Measure how often world models reach goals shown as pictures, beside an oracle and random actions.

    Leaves results.json in --out: the share of goals that each reached, with 95 % intervals.
    """

    runs: tyro.conf.Positional[tuple[Path, ...]]  # Folders that `minivjepa world train` left.
    out: Path  # Folder of the results; new or empty, unless --resume is given.
    device: str = "auto"  # auto (cuda if there is one, else cpu), cpu or cuda.
    resume: bool = False  # Go on with the comparison in --out: finished models are kept.
    task: Task = field(default_factory=Task)  # What counts as success; other worlds have other defaults.
    planner: CEM = field(default_factory=CEM)  # The planner's budget, the same for all models and the oracle.
    by: str = "cem"  # How models choose actions: cem (--planner.*), gradient, or inverse (dynamics; it doesn't plan).
    gradient: Gradient = field(default_factory=Gradient)  # Planning by gradients, with --by gradient.
    inverse: Inverse = field(default_factory=Inverse)  # How inverse dynamics is trained, with --by inverse.


def world_plan(argv: list[str]) -> int:
    """The command."""
    options = parse(WorldPlanOptions, argv, "world plan")
    by = chosen(options.by, options.gradient, options.inverse)
    if options.runs:  # the defaults of --task.* depend on the world
        config, _ = Run(options.runs[0], WorldConfig).config()
        start = replace(options, resume=False, task=TASKS[config.world])
        options = parse(WorldPlanOptions, argv, "world plan", start)
    command = shlex.join(["minivjepa", "world", "plan", *(word for word in argv if word != "--resume")])
    device = pick_device(options.device)
    results = compare(options.runs, options.out, options.task, options.planner, by, device, options.resume, command)
    print("\n".join(summary(results)))
    return 0


def chosen(by: str, gradient: Gradient, inverse: Inverse) -> Gradient | Inverse | None:
    """What --by names; None for the oracle's planner.  Raises ValueError for another word, and for settings that would be ignored."""
    ways = {"cem": None, "gradient": gradient, "inverse": inverse}
    if by not in ways:
        raise ValueError(f"unknown --by {by!r}; choose from {', '.join(ways)}")
    for name, given in (("gradient", gradient), ("inverse", inverse)):
        if given != type(given)() and by != name:
            raise ValueError(f"--{name}.* is about --by {name}, and --by is {by}; leave it out")
    return ways[by]
