"""V-JEPA on one screen: `python -m minivjepa.training.minimal` trains it on moving handwriting.

Read in lesson 8.  Trainer gives the same weights, bit for bit, and adds checkpoints, metrics, options and several processes.
"""

import math

import torch

from minivjepa.collapse import feature_std
from minivjepa.data.digits import DigitClips
from minivjepa.ema import momentum_at
from minivjepa.encoder import Encoder
from minivjepa.masking import FutureMask
from minivjepa.predictor import Predictor
from minivjepa.transformer import init_linear
from minivjepa.tubelets import Grid
from minivjepa.vjepa import VJEPA, CollapsePrevention


def train(steps: int = 2600, batch: int = 16, seed: int = 0) -> VJEPA:
    """Train the preset `cpu` (a minute and a half), print loss and feature std, and return the model."""
    grid = Grid(frames=8, height=32, width=32, tubelet=2, patch=8)  # 4 x 4 x 4 tubelets
    torch.manual_seed(seed)
    encoder = Encoder(grid, dim=64, depth=3, heads=2)
    predictor = Predictor(grid, dim=64, inner=48, depth=2, heads=2)
    for part in (encoder, predictor):
        init_linear(part, "xavier")
    model = VJEPA(encoder, predictor, CollapsePrevention())  # an EMA target encoder behind a stop-gradient
    clips, mask, index = DigitClips(grid, "train", seed), FutureMask(hide=0.5), torch.arange(batch)
    held_out, _ = DigitClips(grid, "validation", seed).batch(0, torch.arange(64))

    weights = [(part, p) for part in (encoder, predictor) for p in part.parameters()]
    optimiser = torch.optim.AdamW(
        [{"params": [p], "weight_decay": 0.1 if p.ndim > 1 else 0.0} for _, p in weights], fused=True
    )
    peak, last, warmup = 2.5e-3, 2.5e-3 * 0.05, 40  # the learning rate climbs for 40 steps, then falls to 5 %
    for step in range(steps):
        rate = peak * (step + 1) / warmup
        if step >= warmup:
            done = (step + 1 - warmup) / (steps - warmup)
            rate = last + (peak - last) * 0.5 * (1 + math.cos(math.pi * done))
        for (part, _), group in zip(weights, optimiser.param_groups):
            group["lr"] = rate * (2 if part is predictor else 1)  # the predictor learns twice as fast

        clip, _ = clips.batch(step, index)  # [B, C, T, H, W]
        loss = model(clip, [mask.sample(grid, seed, step, index)])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        model.update_target(momentum_at(step, steps, start=0.996, end=1.0))  # EMA
        if step % 200 == 0 or step + 1 == steps:
            with torch.no_grad():
                print(f"step {step + 1:5}  loss {loss.item():.3f}  feature std {feature_std(encoder(held_out)):.3f}")
    return model


if __name__ == "__main__":
    train()
