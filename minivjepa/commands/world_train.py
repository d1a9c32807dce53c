"""`minivjepa world train`: train a world model."""

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import torch
import tyro

from minivjepa.commands.options import early, parse
from minivjepa.encoder import Encoder
from minivjepa.training.devices import pick_device
from minivjepa.training.progress_bar import RunBar
from minivjepa.training.runs import Run
from minivjepa.training.trainer import Trainer
from minivjepa.world.world_clips import WorldClips
from minivjepa.world.world_recipe import MODELS, PRESETS, PRETRAINED, WorldConfig, pretraining, unused
from minivjepa.world.world_trainer import WorldTrainer, build_world, open_clips

PATIENCE = 50  # steps without a warning: a projector's latents start close together and need time to spread


@dataclass(frozen=True)
class WorldTrainOptions:
    """Train one world model.  Leaves config.json, metrics.jsonl and checkpoint.pt in --out.

    For vjepa, the folder `encoder` inside holds the run of its V-JEPA encoder.
    """

    out: Path  # Folder of the run; new or empty, unless --resume is given.
    preset: str = "lewm"
    """Where the options below start: the name of a model (by default that of --model), or lewm-official (LeWorldModel's published sizes, for a GPU)."""
    device: str = "auto"  # auto (cuda if there is one, else cpu), cpu or cuda.
    resume: bool = False  # Go on with the run in --out, from its last checkpoint to the same final weights.
    config: Annotated[WorldConfig, tyro.conf.arg(name="")] = field(default_factory=WorldConfig)


def world_train(argv: list[str]) -> int:
    """The command."""
    preset = early(argv, "preset", PRESETS, early(argv, "model", MODELS, "lewm"))
    options = parse(
        WorldTrainOptions, argv, "world train", WorldTrainOptions(tyro.MISSING, preset, config=PRESETS[preset])
    )
    config, run = options.config, Run(options.out, WorldConfig)
    if given := unused(config, PRESETS[preset]):
        raise ValueError(f"--{given[0]} means nothing to the model {config.model}; leave it out")
    device = pick_device(options.device)
    with run.open(config, "rooms", options.resume):
        encoder = train_encoder(config, Run(options.out / "encoder"), device) if config.model in PRETRAINED else None
        trainer = WorldTrainer(config, build_world(config, encoder), open_clips(config, device), run, device)
        RunBar(config.model, config.steps, trainer.step, patience=PATIENCE).follow(trainer)
    print(f"next: minivjepa world plan {shlex.quote(str(options.out))} --out runs/plan")
    return 0


def train_encoder(world: WorldConfig, run: Run, device: torch.device) -> Encoder:
    """Train V-JEPA on the world's clips, or go on with it, and return its encoder."""
    config = pretraining(world)
    with run.open(config, "rooms", run.config_file.exists()):
        trainer = Trainer(config, WorldClips(config.grid, config.seed, str(device), world.scene), run, device)
        RunBar("encoder", config.steps, trainer.step).follow(trainer)
    return trainer.model.encoder
