"""What would make the moving target pay (plan.md, H6): each change, with a moving and with a frozen target: python results/search_moving.py

Today's clips, preset cpu, seeds 100 to 102, validation clips.  results/search_moving.json keeps every trial; a run that is in it is not repeated.
"""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

import torch
import torch.nn.functional as F
from page_tables import PROBES
from search import Wanted, run_missing
from torch import Tensor

from minivjepa.encoder import Encoder
from minivjepa.evaluation.metrics import METRICS
from minivjepa.evaluation.statistics import markdown
from minivjepa.training.arms import with_arm
from minivjepa.training.config import PRESETS, Config
from minivjepa.training.recipe import build_model
from minivjepa.vjepa import VJEPA

FILE = Path(__file__).with_suffix(".json")
SEEDS = (100, 101, 102)
CHANGES: dict[str, dict[str, Any]] = {
    "as it is": {},
    "6 blocks": {"depth": 6},
    "12 blocks": {"depth": 12},
    "patches of 4 pixels": {"grid": replace(PRESETS["cpu"].grid, patch=4)},
    "patches of 16 pixels": {"grid": replace(PRESETS["cpu"].grid, patch=16)},
    "predictor of 1 block": {"predictor_depth": 1},
    "predictor of 4 blocks": {"predictor_depth": 4},
    "predictor 24 wide": {"predictor_dim": 24},
    "predictor 96 wide": {"predictor_dim": 96},
    "random mask": {"masks": ("random",)},
    "tube mask": {"masks": ("tube",)},
    "block masks": {"masks": ("short", "long")},
    "future and tubes": {"masks": ("future", "tube")},
}
MOMENTA = (0.9, 0.99, 0.996, 0.999)  # of the moving target, constant
AVERAGED = "targets averaged over blocks"


class LayerAveraged(VJEPA):
    """V-JEPA with the targets of data2vec (arXiv 2202.03555): the mean over all blocks of their normalised outputs."""

    @torch.no_grad()
    def targets(self, clip: Tensor) -> Tensor:
        """clip [B, C, T, H, W] -> [B, N, D]."""
        encoder, seen = self.target_encoder, list[Tensor]()
        assert isinstance(encoder, Encoder)
        handles = [
            block.register_forward_hook(lambda _, __, out: seen.append(F.layer_norm(out, out.shape[-1:])))
            for block in encoder.blocks
        ]
        encoder(clip)
        for handle in handles:
            handle.remove()
        return torch.stack(seen).mean(dim=0)


def layer_averaged(config: Config) -> VJEPA:
    """build_model, with the targets of LayerAveraged."""
    model = build_model(config)
    model.__class__ = LayerAveraged
    return model


def trials() -> Iterator[Wanted]:
    """Every trial, one seed after the other."""
    for seed in SEEDS:
        for arm in ("vjepa", "frozen"):
            for name, fields in CHANGES.items():
                yield f"{arm}/{name}", replace(with_arm(PRESETS["cpu"], arm), **fields), seed, build_model
            yield f"{arm}/{AVERAGED}", with_arm(PRESETS["cpu"], arm), seed, layer_averaged
        for momentum in MOMENTA:
            config = with_arm(PRESETS["cpu"], "vjepa")
            config = replace(config, prevention=replace(config.prevention, momentum=momentum))
            yield f"vjepa/momentum {momentum:g}", config, seed, build_model


def moving_trials_table(found: dict[str, Any]) -> str:
    """H6: every change, with the moving and the frozen target: means over the seeds that have been run."""
    if not found:
        return "Not run yet: `python results/search_moving.py`."
    lines = []
    for name in dict.fromkeys(key.partition("/")[2] for key in found):
        for arm in ("vjepa", "frozen"):
            if runs := found.get(f"{arm}/{name}"):
                means = [f"{mean(run[metric] for run in runs):.3f}" for metric in PROBES]
                lines.append([name, arm, ", ".join(str(run["seed"]) for run in runs), *means])
    return markdown(["changed", "arm", "seeds", *(METRICS[metric].title for metric in PROBES)], lines, words=3)


if __name__ == "__main__":
    run_missing(list(trials()), FILE)
    sys.exit(0)
