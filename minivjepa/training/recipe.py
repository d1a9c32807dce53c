"""What a Config means: the model it builds, its parameter groups, schedules and masks.

Read in lesson 8.  Schedules and parameter groups follow V-JEPA's released code.
"""

import math
from typing import Any, cast

import torch
from torch import Tensor, nn

from minivjepa.ema import momentum_at
from minivjepa.encoder import Encoder
from minivjepa.masking import GROUP, MaskPair, parse_mask
from minivjepa.predictor import Predictor
from minivjepa.training.arms import LinearPredictor
from minivjepa.training.config import Config
from minivjepa.transformer import init_linear
from minivjepa.vjepa import VJEPA


def build_model(config: Config) -> VJEPA:
    """A model on the CPU whose weights depend only on the config; all arms of a seed have the same first encoder."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        encoder = Encoder(config.grid, config.dim, config.depth, config.heads, config.positions)
        predictor = build_predictor(config)
        init_linear(encoder, config.init)
        init_linear(predictor, config.init)
        projector = None
        if width := config.prevention.projector:  # two layers between features and targets, of regularized methods
            projector = nn.Sequential(nn.Linear(config.dim, width), nn.GELU(), nn.Linear(width, width))
            init_linear(projector, config.init)
        if target_width(config) != config.dim:  # last, so that nothing before it draws other numbers
            predictor.leave = nn.Linear(config.predictor_dim, target_width(config))
            init_linear(predictor.leave, config.init)
    return VJEPA(encoder, predictor, config.prevention, config.loss, projector)


def target_width(config: Config) -> int:
    """Width of what is predicted for a tubelet: a feature vector, its projection, or the tubelet's pixels."""
    return config.grid.values if config.prevention.target == "pixels" else config.prevention.projector or config.dim


def build_predictor(config: Config) -> Predictor:
    """A transformer, or for predictor_depth 0 a LinearPredictor, which is called in the same way."""
    if config.predictor_depth == 0:
        return cast(Predictor, LinearPredictor(config.grid, config.dim))
    return Predictor(
        config.grid, config.dim, config.predictor_dim, config.predictor_depth, config.predictor_heads,
        1 if config.share_mask_token else len(config.masks), config.positions,
    )  # fmt: skip


def weight_groups(part: nn.Module, scale: float = 1.0) -> list[dict[str, Any]]:
    """AdamW groups of one network: matrices decay, biases and other 1-D parameters do not.  scale: of the learning rate."""
    trained = [p for p in part.parameters() if p.requires_grad]
    split = {True: [p for p in trained if p.ndim > 1], False: [p for p in trained if p.ndim <= 1]}
    return [{"params": params, "scale": scale, "decays": decays} for decays, params in split.items() if params]


def parameter_groups(model: VJEPA, config: Config) -> list[dict[str, Any]]:
    """AdamW groups of all networks; a target encoder is trained only in the no-stopgrad arm."""
    groups = weight_groups(model.encoder) + weight_groups(model.predictor, config.predictor_lr)
    groups += weight_groups(model.projector)
    return groups + (weight_groups(model.target_encoder) if model.target_encoder is not None else [])


def cosine(start: float, end: float, share: float) -> float:
    """Half a cosine from start (share 0) to end (share 1)."""
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


def schedule(config: Config, step: int) -> tuple[float, float, float]:
    """(learning rate, weight decay, momentum) of the 0-based step.

    Learning rate: linear warm-up, then cosine.  Weight decay: cosine.  Momentum: linear, unless the arm fixes it.
    All three run over steps * stretch.  As in the released code, the first two use step + 1.
    """
    horizon, done = config.steps * config.stretch, step + 1
    if done <= config.warmup:
        lr = config.lr * (config.start_lr + (1 - config.start_lr) * done / config.warmup)
    else:
        lr = cosine(config.lr, config.lr * config.final_lr, (done - config.warmup) / max(1.0, horizon - config.warmup))
    decay = cosine(config.weight_decay, config.final_weight_decay, done / horizon)
    if config.prevention.momentum is not None:
        return lr, decay, config.prevention.momentum
    return lr, decay, momentum_at(step, config.steps, config.momentum, config.final_momentum, config.stretch)


def set_rates(optimiser: torch.optim.Optimizer, lr: float, decay: float) -> None:
    """Set learning rate and weight decay in groups of weight_groups."""
    for group in optimiser.param_groups:
        group["lr"], group["weight_decay"] = lr * group["scale"], decay if group["decays"] else 0.0


def apply_schedule(optimiser: torch.optim.Optimizer, config: Config, step: int) -> float:
    """Set learning rate and weight decay of the 0-based step in groups of weight_groups; return the step's momentum."""
    lr, decay, momentum = schedule(config, step)
    set_rates(optimiser, lr, decay)
    return momentum


def sample_masks(config: Config, step: int, index: Tensor) -> list[MaskPair]:
    """One (context ids, target ids) pair per mask group, for the global sample indices int64 [B]."""
    return [
        parse_mask(text).sample(config.grid, config.seed + GROUP * group, step, index)
        for group, text in enumerate(config.masks)
    ]
