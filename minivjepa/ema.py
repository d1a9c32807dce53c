"""The target encoder: a slow copy of the online encoder.

Built in lessons 4 and 5.  V-JEPA section 3.1: target = momentum * target + (1 - momentum) * online,
after each optimizer step.
"""

import copy
import math
from typing import TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


def target_copy(online: Network, trainable: bool = False) -> Network:
    """A copy of the online encoder that shares no weights with it, and gets gradients only if `trainable`."""
    return copy.deepcopy(online).requires_grad_(trainable)


@torch.no_grad()
def ema_update(target: nn.Module, online: nn.Module, momentum: float) -> None:
    """Move every target parameter, in place, a share (1 - momentum) of the way to the online one.

    Momentum 1 leaves the target as it is, and momentum 0 makes it equal to the online encoder, both bit for bit.
    """
    for t, o in zip(target.parameters(), online.parameters(), strict=True):
        t.lerp_(o, 1.0 - momentum)


def momentum_at(step: int, steps: int, start: float, end: float, stretch: float = 1.0) -> float:
    """Momentum of the update after `step`, counted from 0: linear from `start` at step 0 to `end` at steps * stretch.

    The released code stretches the ramp over 1.25 x the run, so .998 -> 1 ends at .9996.
    """
    return start + (end - start) * min(1.0, step / (steps * stretch))


def half_life(momentum: float) -> float:
    """Steps until half of an old weight is left in the target: ln 2 / -ln m; 0 at m = 0, infinite at m = 1."""
    if momentum <= 0.0:
        return 0.0
    return math.inf if momentum >= 1.0 else math.log(2.0) / -math.log(momentum)
