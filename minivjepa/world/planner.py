"""Planning by the cross-entropy method, with any model that can imagine.

Built in lesson 12.  Draw action sequences around a mean, keep those whose imagined outcome costs least, move mean and spread to
theirs, and repeat (Rubinstein and Kroese 2004; used in PlaNet, V-JEPA 2-AC and LeWorldModel).  The goal is a picture: a plan
costs the squared distance from the goal's latent to the nearest latent that the plan imagines (other costs: docs/fidelity.md).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from einops import einsum
from torch import Tensor

from minivjepa.training.config import check_numbers

PLANS_AT_ONCE = 2048  # action sequences imagined together: few enough for the processor's cache
Cost = Callable[[Tensor], Tensor]  # action sequences [B, S, H, A] -> what each costs [B, S]
Noise = Callable[[int], Tensor]  # the 0-based round -> standard normal numbers [B, S, H, A]


def persistent(noise: Tensor, persistence: float) -> Tensor:
    """Independent normal numbers [B, S, H, A] -> the same, correlated in time, with variance 1 at every step.

    The idea is iCEM's (arXiv 2008.06389), whose noise has a power-law spectrum.
    """
    when = torch.arange(noise.shape[2], device=noise.device, dtype=noise.dtype)
    memory = torch.linalg.cholesky(persistence ** (when[:, None] - when).abs())  # [H, H]
    return einsum(memory, noise, "step past, B S past A -> B S step A")


class WorldModel(Protocol):
    """What the planner needs; LeWorldModel and FrozenWorldModel provide it."""

    def embed(self, clip: Tensor) -> Tensor:
        """clip [B, C, T, H, W] -> latents [B, T, Z]."""
        ...

    def imagine(self, z: Tensor, actions: Tensor) -> Tensor:
        """latents [n, Z], actions [n, H, A] -> the latents that follow [n, H, Z]."""
        ...


@dataclass(frozen=True)
class CEM:
    """The planner and its budget.  Raises ValueError for settings that it can't plan with."""

    horizon: int = 10  # Steps that a plan looks ahead.
    samples: int = 64  # Action sequences imagined per round.
    elites: int = 8  # Action sequences kept per round.
    rounds: int = 4  # Rounds before every action.
    spread: float = 0.8  # Standard deviation of the first round's actions, which are clipped to -1 .. 1.
    persistence: float = 0.7
    """Correlation of successive actions in the first round: 0 jitters on the spot, 0.99 hardly turns."""

    def __post_init__(self) -> None:
        check_numbers(self, ("horizon", "rounds", "spread"), "a number above 0", lambda value: value > 0)
        check_numbers(self, ("persistence",), "a number from 0 to 0.99", lambda value: 0 <= value <= 0.99)
        if not 2 <= self.elites <= self.samples:
            raise ValueError(f"{self.elites} elites of {self.samples} samples: expected from 2 to all of the samples")

    @torch.no_grad()
    def plan(self, cost: Cost, mean: Tensor, noise: Noise) -> Tensor:
        """mean [B, H, A], where the search starts -> plans [B, H, A] with every action within -1 .. 1."""
        spread = torch.full_like(mean, self.spread)
        for number in range(self.rounds):
            drawn = noise(number)
            if number == 0:  # look far first; later rounds refine each step independently
                drawn = persistent(drawn, self.persistence)
            plans = (mean[:, None] + spread[:, None] * drawn).clamp(-1, 1)  # [B, S, H, A]
            plans[:, 0] = mean  # the best guess so far competes too
            best = cost(plans).topk(self.elites, dim=1, largest=False).indices  # [B, elites]
            kept = plans.gather(1, best[..., None, None].expand(-1, -1, *mean.shape[1:]))  # [B, elites, H, A]
            mean, spread = kept.mean(dim=1), kept.std(dim=1)
        return mean


def latent_cost(model: WorldModel, now: Tensor, goal: Tensor) -> Cost:
    """now and goal: latents [B, Z] -> the cost of plans: squared distance to the goal's latent at the plan's nearest step.

    The nearest step counts, not the last or the mean: the path through a door leads away from the goal at first, and what a
    plan does after arriving doesn't matter.
    """

    def cost(plans: Tensor) -> Tensor:
        B, S, H, A = plans.shape
        starts, goals = (z.repeat_interleave(S, dim=0) for z in (now, goal))  # [B * S, Z]
        parts = zip(*(x.split(PLANS_AT_ONCE) for x in (starts, goals, plans.reshape(B * S, H, A))))
        far = [(model.imagine(z, a) - wanted[:, None]).square().mean(dim=2).amin(dim=1) for z, wanted, a in parts]
        return torch.cat(far).view(B, S)

    return cost
