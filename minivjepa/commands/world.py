"""`minivjepa world train | plan`: world models of two rooms, and how often they reach a goal."""

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from minivjepa.commands.options import early, fail, parse, plain_errors
from minivjepa.training.devices import pick_device
from minivjepa.training.files import check_new
from minivjepa.training.progress_bar import RunBar
from minivjepa.training.runs import Run
from minivjepa.training.trainer import Trainer
from minivjepa.world.comparison import compare, summary
from minivjepa.world.goal_reaching import Task
from minivjepa.world.planner import CEM
from minivjepa.world.room_clips import RoomClips
from minivjepa.world.world_recipe import PRESETS, WorldConfig, pretraining
from minivjepa.world.world_trainer import WorldTrainer, build_world, encoder_run, open_clips

PATIENCE = 50  # steps: a projector begins with latents that are close together, and needs some to spread them
USAGE = """usage: minivjepa world train --model lewm|vjepa|untrained --out FOLDER [options]
           train a world model of two rooms
       minivjepa world plan RUN... --out FOLDER [options]
           let trained ones reach goals, beside an oracle and random actions

`minivjepa world train --help` and `minivjepa world plan --help` show the options, with units and defaults."""


@dataclass(frozen=True)
class WorldTrainOptions:
    """Train one world model of the two rooms.  Leaves config.json, metrics.jsonl and checkpoint.pt in --out.

    For vjepa, the run of its V-JEPA encoder is in the folder `encoder` inside.
    """

    out: Path
    """Folder of the run; new or empty, unless --resume is given."""
    device: str = "auto"
    """auto (cuda if there is one, else cpu), cpu or cuda."""
    resume: bool = False
    """Go on with the run in --out, from its last checkpoint to the same final weights."""
    config: Annotated[WorldConfig, tyro.conf.arg(name="")] = field(default_factory=WorldConfig)


@dataclass(frozen=True)
class WorldPlanOptions:
    """Let world models reach goals that are given as pictures, beside an oracle and random actions.

    Leaves results.json in --out: for each the share of start-goal pairs that it reached, with 95 % intervals.
    """

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Folders that `minivjepa world train` left."""
    out: Path
    """Folder of the results; new or empty, unless --resume is given."""
    device: str = "auto"
    """auto (cuda if there is one, else cpu), cpu or cuda."""
    resume: bool = False
    """Go on with the comparison in --out: finished models are kept."""
    task: Task = field(default_factory=Task)
    """What counts as success."""
    planner: CEM = field(default_factory=CEM)
    """The planner's budget, the same for all."""


def world(argv: list[str]) -> int:
    """The world command."""
    if not argv or argv[0] in ("-h", "--help"):
        print(USAGE)
        return 0 if argv else 2
    parts = {"train": train, "plan": plan}
    if argv[0] not in parts:
        fail(f"unknown command 'world {argv[0]}'; choose from world train, world plan")
    return parts[argv[0]](argv[1:])


def train(argv: list[str]) -> int:
    """`minivjepa world train`."""
    model = early(argv, "model", "lewm")
    if model not in PRESETS:
        fail(f"unknown model {model!r}; choose from {', '.join(PRESETS)}")
    options = parse(WorldTrainOptions, argv, "world train", WorldTrainOptions(tyro.MISSING, config=PRESETS[model]))
    config, run = options.config, Run(options.out, WorldConfig)
    with plain_errors():
        device = pick_device(options.device)
        run.check_same(config, "rooms") if options.resume else check_new(options.out)
        if not options.resume:
            run.create(config, "rooms")
        if config.model == "vjepa":
            train_encoder(options)
        trainer = WorldTrainer(config, build_world(config, options.out), open_clips(config, device), run, device)
        bar = RunBar(config.model, config.steps, trainer.step, patience=PATIENCE)
        with bar.bar:
            trainer.fit(bar.show)
    last = run.history()[-1]
    print(f"trained to step {last['step']}: loss {last['loss']:.3f}, feature std {last['feature_std']:.4f}")
    print(f"next: minivjepa world plan {options.out} --out runs/plan")
    return 0


def train_encoder(options: WorldTrainOptions) -> None:
    """Train V-JEPA on the rooms' clips, or go on with it."""
    config, run, device = pretraining(options.config), encoder_run(options.out), pick_device(options.device)
    if run.config_file.exists():
        run.check_same(config, "rooms")
    else:
        run.create(config, "rooms")
    source = RoomClips(config.grid, config.seed, str(device), options.config.rooms)
    trainer = Trainer(config, source, run, device)
    bar = RunBar("encoder", config.steps, trainer.step)
    with bar.bar:
        trainer.fit(bar.show)


def plan(argv: list[str]) -> int:
    """`minivjepa world plan`."""
    options = parse(WorldPlanOptions, argv, "world plan")
    command = shlex.join(["minivjepa", "world", "plan", *(word for word in argv if word != "--resume")])
    with plain_errors():
        device = pick_device(options.device)
        results = compare(options.runs, options.out, options.task, options.planner, device, options.resume, command)
    print("\n".join(summary(results)))
    return 0
