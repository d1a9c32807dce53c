"""Keep the encoder of a finished run for lesson 09: python results/keep.py RUN

Writes results/encoder.pt: the config and the online encoder's weights, without predictor, target encoder and optimiser.
Which run: the first seed of the arm vjepa in long.json, whatever its numbers.  A test probes the file and compares.
"""

import sys
from pathlib import Path

import torch

from minivjepa.training.config import to_dict
from minivjepa.training.recipe import build_model
from minivjepa.training.runs import Run


def main(folder: Path) -> None:
    """Write the file beside this one."""
    run = Run(folder)
    config, _ = run.config()
    model = build_model(config)
    if run.restore(model, config) is None:
        raise SystemExit(f"{folder} holds no checkpoint; train it first: make matrix")
    torch.save(
        {"config": to_dict(config), "encoder": model.encoder.state_dict()}, Path(__file__).with_name("encoder.pt")
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
