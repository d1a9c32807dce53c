"""The objective: an L1 distance in latent space, and the regularizers that other methods use to prevent collapse.

Built in lessons 5 and 11.  Equation 1 of V-JEPA (arXiv 2404.08471); VICReg (arXiv 2105.04906);
SIGReg of LeJEPA (arXiv 2511.08544).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from minivjepa import randomness


def normalise_targets(h: Tensor) -> Tensor:
    """[B, N, D] -> [B, N, D]: LayerNorm over features without affine, so shrinking features doesn't lower the loss.

    Below a std of about .01 it does: eps is 1e-5, as in the released code.
    """
    return F.layer_norm(h, h.shape[-1:])


def latent_distance(predictions: Sequence[Tensor], targets: Sequence[Tensor], kind: str = "l1") -> Tensor:
    """Mean distance between predicted and target vectors, averaged over mask groups.

    predictions, targets: one [B, M, D] tensor per group.  kind: "l1" (V-JEPA) or "l2" (squared error).
    Raises ValueError for any other kind.
    """
    if kind not in ("l1", "l2"):
        raise ValueError(f"unknown loss {kind!r}; choose from l1, l2")
    distance = F.l1_loss if kind == "l1" else F.mse_loss
    return torch.stack([distance(z, h) for z, h in zip(predictions, targets, strict=True)]).mean()


def vicreg_terms(z: Tensor) -> tuple[Tensor, Tensor]:
    """[B, N, D] -> (variance term, covariance term), computed across clips at each position, then averaged.

    Variance: hinge at 1 on the std (VICReg equation 1).  Covariance: squared off-diagonal entries, summed and divided
    by D (equation 4).  Both need at least 2 clips.
    """
    clips, _, dim = z.shape
    centred = (z - z.mean(dim=0)).transpose(0, 1)  # [N, B, D]
    variance = F.relu(1.0 - (centred.square().sum(dim=1) / (clips - 1) + 1e-4).sqrt()).mean()
    covariance = centred.transpose(1, 2) @ centred / (clips - 1)  # [N, D, D]
    off_diagonal = covariance.square().sum(dim=(1, 2)) - covariance.diagonal(dim1=1, dim2=2).square().sum(dim=1)
    return variance, (off_diagonal / dim).mean()


def sigreg(z: Tensor, directions: Tensor, points: int = 17, reach: float = 3.0) -> Tensor:
    """How far n samples z [n, D] are from a standard normal, tested along A random directions.

    directions: [D, A] with unit columns, redrawn each step.  Along each direction this is the Epps-Pulley statistic
    n * integral over [-reach, reach] of w(t) |phi(t) - exp(-t^2/2)|^2, by the trapezoid rule, where w(t) = exp(-t^2/2)
    and phi is the samples' characteristic function.  The result is the mean over directions.  LeJEPA and LeWorldModel
    have the factor n too; because of it, the expectation on N(0, I) is 1.05 for every n, not 0.  For z [..., n, D], the
    result is also averaged over the leading axes.
    """
    t = torch.linspace(0.0, reach, points, device=z.device, dtype=z.dtype)  # half the range, as the integrand is even
    trapezoid = torch.full_like(t, 2 * reach / (points - 1))  # twice the spacing, for both halves
    trapezoid[:: points - 1] /= 2  # the two end points count half
    normal = torch.exp(-t.square() / 2)  # the characteristic function of N(0, 1), and w(t) too
    angle = (z @ directions)[..., None] * t  # [..., n, A, points]
    gap = (angle.cos().mean(dim=-3) - normal).square() + angle.sin().mean(dim=-3).square()  # [..., A, points]
    return z.shape[-2] * (gap @ (trapezoid * normal)).mean()


def unit_directions(dim: int, count: int, seed: int, step: int, device: torch.device) -> Tensor:
    """float32 [D, A]: A = `count` random unit columns, different at every step."""
    key = randomness.keys("directions", seed, step, torch.arange(count, device=device))
    return F.normalize(randomness.normal(key, dim), dim=1).T


@dataclass(frozen=True)
class VICReg:
    """The weighted sum of VICReg's variance and covariance terms, as a regularizer for CollapsePrevention."""

    variance: float = 1.0  # Weight of the variance term.
    covariance: float = 0.04  # Weight of the covariance term.

    def __call__(self, h: Tensor, seed: int, step: int) -> Tensor:
        """Tokens [B, N, D] before normalization -> a scalar.  Nothing here is random: seed and step are unused."""
        variance, covariance = vicreg_terms(h)
        return self.variance * variance + self.covariance * covariance


@dataclass(frozen=True)
class SIGReg:
    """SIGReg times a weight, across the clips of a batch at each position, as a regularizer for CollapsePrevention."""

    weight: float = 0.1  # Lambda, for the statistic with the factor n.
    directions: int = 256  # Random directions per step.

    def __post_init__(self) -> None:
        if self.directions < 1:
            raise ValueError(f"directions is {self.directions}, expected 1 or more")

    def __call__(self, h: Tensor, seed: int, step: int) -> Tensor:
        """Tokens [B, N, D] before normalization -> a scalar, along the directions of this seed and step."""
        directions = unit_directions(h.shape[-1], self.directions, seed, step, h.device).to(h.dtype)
        return self.weight * sigreg(h.transpose(0, 1), directions)  # [N, B, D]: the samples are the clips


class AllClips(torch.autograd.Function):
    """Tokens [B, N, D] of this process -> [world * B, N, D] of all; backward, the sum of all processes' gradients."""

    @staticmethod
    def forward(ctx: Any, h: Tensor) -> Tensor:
        """Gather, in the order of the processes."""
        parts = [torch.empty_like(h, memory_format=torch.contiguous_format) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, h.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Sum over processes, then take this process's part."""
        summed = gradient.contiguous().clone()
        dist.all_reduce(summed)
        return summed.chunk(dist.get_world_size())[dist.get_rank()]


def all_clips(h: Tensor) -> Tensor:
    """[B, N, D] of this process -> [world * B, N, D] of all processes, with gradients; h itself in a single process.

    A batch's statistic is not the mean of its parts' statistics, so regularizers need all clips.
    """
    return AllClips.apply(h) if dist.is_available() and dist.is_initialized() else h
