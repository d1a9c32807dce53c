"""Measure what the open project compares with: python teacher/hw4/baseline.py FOLDER

Trains plain V-JEPA with three seeds, a few minutes each; encoders go to FOLDER, and those that are there already are not trained again.  Measures
them, and three untrained encoders, on clips of five seeds.  Writes baseline.json: all accuracies, and the thresholds that follow from them; and
baseline.pt, the weights of seed 0.  The notebook's THRESHOLDS are those of baseline.json; a test holds them to it.
"""

import argparse
import json
import math
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

import torch

sys.path.append(str(Path(__file__).parents[1]))
from assignment import function_of, given_code

from minivjepa.encoder import Encoder
from minivjepa.training.config import PRESETS
from minivjepa.training.files import versions
from minivjepa.training.minimal import train
from minivjepa.training.recipe import build_model

SEEDS = (0, 1, 2)  # of trainings, and of untrained encoders
CLIP_SEEDS = (1, 2, 3, 4, 5)
MARGIN = 0.03  # about what an accuracy on 1,024 clips is known to
HERE = Path(__file__).parent
Accuracies = dict[str, dict[str, list[float]]]  # encoder -> direction or identity -> one for each seed of clips


def trained(folder: Path, seed: int) -> Encoder:
    """The encoder of a training, from the folder if it is there."""
    file = folder / f"vjepa-{seed}.pt"
    if not file.exists():
        torch.save(train(seed=seed).encoder.state_dict(), file)
    encoder: Encoder = function_of(given_code("hw4"), "", "encoder_from")(file.read_bytes())
    return encoder


def measured(encoders: dict[str, Encoder]) -> Accuracies:
    """What the notebook's `measure` says of each, on clips of all seeds."""
    measure = function_of(given_code("hw4"), "", "measure")
    found: Accuracies = {}
    for name, encoder in encoders.items():
        rows = [measure(encoder, seed, "test") for seed in CLIP_SEEDS]
        found[name] = {task: [round(row[task], 4) for row in rows] for task in rows[0]}
        print(name, found[name], flush=True)
    return found


def thresholds(untrained: Accuracies, vjepa: Accuracies) -> dict[str, list[float]]:
    """Half-way from untrained to trained; a margin below all that were trained; a margin above all of them."""
    found = {}
    for task in ("direction", "identity"):
        low, high = ([value for row in rows.values() for value in row[task]] for rows in (untrained, vjepa))
        half = (mean(low) + mean(high)) / 2
        found[task] = [round(half, 2), math.floor(100 * (min(high) - MARGIN)) / 100, math.ceil(100 * (max(high) + MARGIN)) / 100]  # fmt: skip
    return found


def main(words: list[str]) -> None:
    """Train, measure, write both files."""
    parser = argparse.ArgumentParser(description="Measure what the open project compares with.")
    parser.add_argument("folder", type=Path, help="of the trained encoders; made if it isn't there")
    folder: Path = parser.parse_args(words).folder
    folder.mkdir(parents=True, exist_ok=True)  # before minutes of training
    configs = {seed: replace(PRESETS["cpu"], seed=seed) for seed in SEEDS}
    untrained = {f"untrained-{seed}": build_model(config).encoder for seed, config in configs.items()}
    low, high = measured(untrained), measured({f"vjepa-{seed}": trained(folder, seed) for seed in SEEDS})
    about: dict[str, Any] = {"clip_seeds": CLIP_SEEDS, "versions": versions(), "untrained": low, "vjepa": high}
    text = json.dumps({**about, "thresholds": thresholds(low, high)}, indent=1)
    (HERE / "baseline.json").write_text(text + "\n", encoding="utf-8")
    shutil.copy(folder / "vjepa-0.pt", HERE / "baseline.pt")


if __name__ == "__main__":
    main(sys.argv[1:])
