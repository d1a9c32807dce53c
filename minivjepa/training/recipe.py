"""What a Config means: the model it builds, its parameter groups, schedules and masks.

Read in lesson 8.  Schedules and parameter groups follow V-JEPA's released code.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from minivjepa import randomness
from minivjepa.ema import momentum_at
from minivjepa.encoder import Encoder
from minivjepa.masking import MaskPair, parse_mask
from minivjepa.predictor import LinearPredictor, Predictor
from minivjepa.training.config import Config
from minivjepa.transformer import init_linear
from minivjepa.vjepa import VJEPA


def build_model(config: Config) -> VJEPA:
    """A model on the CPU with weights that depend on the config's seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        encoder = Encoder(config.grid, config.dim, config.depth, config.heads, config.positions)
        predictor = build_predictor(config)
        init_linear(encoder, config.init)
        init_linear(predictor, config.init)
    return VJEPA(encoder, predictor, config.prevention, config.loss)


def build_predictor(config: Config) -> Predictor | LinearPredictor:
    """A transformer, or for predictor_depth 0 the linear one."""
    if config.predictor_depth == 0:
        return LinearPredictor(config.grid, config.dim)
    return Predictor(
        config.grid, config.dim, config.predictor_dim, config.predictor_depth, config.predictor_heads, len(config.masks),
        config.positions,
    )  # fmt: skip


def parameter_groups(model: VJEPA, config: Config) -> list[dict[str, Any]]:
    """AdamW groups: no weight decay on 1-D parameters; `scale` multiplies the learning rate."""
    parts: list[tuple[nn.Module, float]] = [(model.encoder, 1.0), (model.predictor, config.predictor_lr)]
    if model.target_encoder is not None:
        parts.append((model.target_encoder, 1.0))  # trainable in the no-stopgrad arm only
    groups = []
    for part, scale in parts:
        trained = [p for p in part.parameters() if p.requires_grad]
        matrices, others = [p for p in trained if p.ndim > 1], [p for p in trained if p.ndim <= 1]
        if trained:
            groups.append({"params": matrices, "scale": scale, "decays": True})
            groups.append({"params": others, "scale": scale, "decays": False})
    return groups


def cosine(start: float, end: float, share: float) -> float:
    """Half a cosine from start (share 0) to end (share 1)."""
    return end + (start - end) * 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


def schedule(config: Config, step: int) -> tuple[float, float, float]:
    """(learning rate, weight decay, momentum) of the 0-based step.

    Learning rate: linear warm-up, then cosine.  Weight decay: cosine.  Momentum: linear, unless the arm fixes it.
    All three horizons are steps * stretch.  As in the released code, the first two are taken one step ahead.
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


def sample_masks(config: Config, step: int, index: Tensor) -> list[MaskPair]:
    """One (context ids, target ids) pair per mask group, of the global sample indices int64 [B]."""
    return [
        parse_mask(text).sample(config.grid, config.seed + 2**32 * group, step, index)  # each group draws its own
        for group, text in enumerate(config.masks)
    ]


def random_directions(config: Config, step: int, device: torch.device) -> Tensor | None:
    """float32 [D, A], unit columns, new each step: for the sigreg arm; None for all others."""
    if config.prevention.regulariser != "sigreg":
        return None
    key = randomness.keys("directions", config.seed, step, torch.arange(config.sigreg_directions, device=device))
    return nn.functional.normalize(randomness.normal(key, config.dim), dim=1).T
