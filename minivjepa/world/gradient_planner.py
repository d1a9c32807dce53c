"""Planning by gradients: the model is differentiable, so the cost's gradient says how to change each action.

Read in lesson 12.  The same cost as the cross-entropy method, lowered by Adam instead of by sampling.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from minivjepa.training.config import check_numbers
from minivjepa.world.planner import CEM, Cost, Noise, persistent


@dataclass(frozen=True)
class Gradient:
    """The planner and its budget.  Raises ValueError for settings that it can't plan with."""

    horizon: int = 10  # Steps that a plan looks ahead.
    samples: int = 4  # Action sequences improved side by side: some get stuck at a wall.
    rounds: int = 10  # Steps of Adam before every action.
    lr: float = 0.2  # Its learning rate.
    spread: float = 0.8  # Standard deviation of the actions that the search starts from.
    persistence: float = 0.7  # Correlation of their successive actions, as in CEM.

    def __post_init__(self) -> None:
        positive = ("horizon", "samples", "rounds", "lr", "spread")
        check_numbers(self, positive, "a number above 0", lambda value: value > 0)
        check_numbers(self, ("persistence",), "a number from 0 to 0.99", lambda value: 0 <= value <= 0.99)

    def plan(self, cost: Cost, mean: Tensor, noise: Noise) -> Tensor:
        """mean [B, H, A], where the search starts -> plans [B, H, A] with every action within -1 .. 1."""
        plans = (mean[:, None] + self.spread * persistent(noise(0), self.persistence)).clamp(-1, 1)  # [B, S, H, A]
        plans[:, 0] = mean  # the best guess so far is improved too
        plans.requires_grad_()
        optimiser = torch.optim.Adam([plans], lr=self.lr)
        for _ in range(self.rounds):
            (plans.grad,) = torch.autograd.grad(cost(plans).sum(), plans)  # plans don't share actions
            optimiser.step()
            plans.data.clamp_(-1, 1)
        with torch.no_grad():
            best = cost(plans).argmin(dim=1)
        return plans.detach()[torch.arange(len(mean), device=mean.device), best]


Planner = CEM | Gradient
