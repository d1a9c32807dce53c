"""Keep what lesson 12 loads of finished world models: python results/keep_world.py FILE NAME=RUN ...

Writes results/FILE: for each name a run's config, and all of a LeWorldModel or the encoder of a frozen model, without its
predictor.  `make world` writes world.pt, and `make worlds` writes worlds.pt: the runs behind the first rows of world.json and
worlds.json, whatever their numbers.  Tests compare files and records.
"""

import sys
from pathlib import Path
from typing import Any

import torch

from minivjepa.training.config import to_dict
from minivjepa.world.frozen_model import FrozenWorldModel
from minivjepa.world.world_trainer import load_world


def part(run: Path) -> dict[str, Any]:
    """What is kept of a run."""
    config, model = load_world(run)
    if isinstance(model, FrozenWorldModel):
        return {"config": to_dict(config), "encoder": model.encoder.state_dict()}
    return {"config": to_dict(config), "model": model.state_dict()}


if __name__ == "__main__":
    file, *named = sys.argv[1:]
    runs = dict(word.split("=", 1) for word in named)
    torch.save({name: part(Path(run)) for name, run in runs.items()}, Path(__file__).with_name(file))
