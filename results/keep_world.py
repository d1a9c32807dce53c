"""Keep what lesson 12 loads of finished world models: python results/keep_world.py VJEPA-RUN LEWM-RUN

Writes results/world.pt: the frozen V-JEPA encoder of the first run, without predictor and optimiser, and all of the second's
LeWorldModel, each with its config.  Which runs: those behind world.json, whatever their numbers.  A test compares file and record.
"""

import sys
from pathlib import Path

import torch

from minivjepa.training.config import to_dict
from minivjepa.world.world_trainer import load_world


def main(vjepa: Path, lewm: Path) -> None:
    """Write the file beside this one."""
    (encoder_config, frozen), (config, model) = load_world(vjepa), load_world(lewm)
    kept = {
        "vjepa": {"config": to_dict(encoder_config), "encoder": frozen.encoder.state_dict()},
        "lewm": {"config": to_dict(config), "model": model.state_dict()},
    }
    torch.save(kept, Path(__file__).with_name("world.pt"))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
