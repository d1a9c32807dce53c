"""Arms by name: the switches of collapse prevention, and variants that change one thing elsewhere in the config.

Read in lesson 7.  An arm of vjepa.ARMS sets only the prevention; a variant sets the fields named here.
"""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from minivjepa.training.config import Config
from minivjepa.transformer import linear_flops
from minivjepa.tubelets import Grid
from minivjepa.vjepa import ARMS, CollapsePrevention

VARIANTS: dict[str, dict[str, Any]] = {
    "momentum-.9": {"prevention": CollapsePrevention(momentum=0.9)},
    "momentum-.99": {"prevention": CollapsePrevention(momentum=0.99)},
    "momentum-.996": {"prevention": CollapsePrevention(momentum=0.996)},
    "momentum-.999": {"prevention": CollapsePrevention(momentum=0.999)},
    "raw-targets": {"prevention": CollapsePrevention(normalise=False)},
    "no-ema-fast-predictor": {"prevention": ARMS["no-ema"], "predictor_lr": 10.0},
    "no-ema-more-decay": {"prevention": ARMS["no-ema"], "weight_decay": 0.4, "final_weight_decay": 0.4},
    "official-init": {"init": "official"},
    "linear-predictor": {"predictor_depth": 0},
    "squared-error": {"loss": "l2"},
    "mask-random": {"masks": ("random",)},
    "mask-tube": {"masks": ("tube",)},
    "mask-blocks": {"masks": ("short", "long")},
    "mask-official": {"masks": ("official-short", "official-long")},
    "mask-mixed": {"masks": ("future", "tube")},
    "pixels": {"prevention": CollapsePrevention(target="pixels")},
    "generation-2": {"prevention": ARMS["frozen"], "teacher": "frozen"},
    "generation-3": {"prevention": ARMS["frozen"], "teacher": "generation-2"},
}
ARM_NAMES = ", ".join([*ARMS, *VARIANTS])


def with_arm(config: Config, name: str) -> Config:
    """The config with the switches of an arm or variant.  Raises ValueError for an unknown name."""
    fields = {arm: {"prevention": value} for arm, value in ARMS.items()} | VARIANTS
    if name not in fields:
        raise ValueError(f"unknown arm {name!r}; choose from {', '.join(fields)}")
    return replace(config, **fields[name])


def unused(config: Config, base: Config) -> dict[str, str]:
    """Fields that differ from those of `base` but change nothing, each with a message."""
    found = {}
    if config.prevention.target != "ema" or config.prevention.momentum is not None:
        for name in ("momentum", "final_momentum"):
            if (value := getattr(config, name)) != getattr(base, name):
                found[name] = f"{name} is {value}, but this arm has no EMA with a schedule; leave it out"
    if config.share_mask_token and (config.predictor_depth == 0 or len(config.masks) == 1):
        found["share_mask_token"] = (
            "share_mask_token changes nothing for one mask, or with predictor_depth 0; leave it out"
        )
    return found


class LinearPredictor(nn.Module):
    """The simplest predictor that can use the context: every prediction is a linear function of it.

    A learned table says how much tubelet k contributes to tubelet j, a matrix maps features, and each position adds a
    vector.  Theories of learning without negatives (DirectPred, arXiv 2102.06810) are about such predictors.
    """

    def __init__(self, grid: Grid, dim: int):
        super().__init__()
        self.dim = dim
        self.mixing = nn.Parameter(torch.full((grid.tokens, grid.tokens), 1 / grid.tokens))
        self.features = nn.Linear(dim, dim)
        self.offset = nn.Parameter(torch.zeros(grid.tokens, dim))

    def forward(self, context: Tensor, context_ids: Tensor, target_ids: Tensor, group: int = 0) -> Tensor:
        """context [B, K, D], its ids [B, K], ids to predict [B, M] -> predictions [B, M, D].  All mask groups share the table."""
        share = self.mixing[target_ids[:, :, None], context_ids[:, None, :]]  # [B, M, K]
        return share @ self.features(context) + self.offset[target_ids]

    def flops(self, k: int, m: int) -> int:
        """FLOPs of one clip's forward pass with k context and m target tokens."""
        return linear_flops(k, self.dim, self.dim) + 2 * m * k * self.dim
