"""The small training run of the lessons, seconds long.

Read in lesson 5, after lesson 0 wrote it out.  The trainer of lesson 8 adds schedules, checkpoints, metrics.
"""

from collections.abc import Callable, Iterator

import torch

from minivjepa.data.digits import DigitClips
from minivjepa.training.config import Config
from minivjepa.training.recipe import build_model, parameter_groups, sample_masks
from minivjepa.vjepa import VJEPA

LR, MOMENTUM = 2e-3, 0.99


def train_tiny(
    config: Config, steps: int, momentum: float = MOMENTUM, follow: Callable[[VJEPA, float], None] = VJEPA.update_target
) -> Iterator[tuple[int, float, VJEPA]]:
    """Train on moving handwriting; at each step give (step, loss, model), the weights still those that made the loss.

    follow: moves the target encoder after each step.  When the loop over this ends, the model has taken all its steps.
    """
    model, source, index = build_model(config), DigitClips(config.grid), torch.arange(config.batch)
    optimizer = torch.optim.AdamW(parameter_groups(model, config), lr=LR)
    for step in range(steps):
        clip, _ = source.batch(step, index)
        loss = model(clip, sample_masks(config, step, index))
        optimizer.zero_grad()
        loss.backward()
        yield step, loss.item(), model
        optimizer.step()
        follow(model, momentum)
