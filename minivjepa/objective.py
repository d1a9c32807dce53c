"""The objective: an L1 distance in latent space, and the terms that others use against collapse.

Built in lessons 5 and 11.  Equation 1 of V-JEPA (arXiv 2404.08471); VICReg (arXiv 2105.04906);
SIGReg of LeJEPA (arXiv 2511.08544).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def normalise_targets(h: Tensor) -> Tensor:
    """[B, N, D] -> [B, N, D]: LayerNorm over features without affine, so the encoder cannot shrink the task away."""
    return F.layer_norm(h, h.shape[-1:])


def latent_distance(predictions: Sequence[Tensor], targets: Sequence[Tensor], kind: str = "l1") -> Tensor:
    """Mean distance between predicted and target vectors, averaged over mask groups.

    predictions, targets: one [B, M, D] tensor per group.  kind: "l1" (V-JEPA) or "l2" (squared error).
    """
    distance = {"l1": F.l1_loss, "l2": F.mse_loss}[kind]
    return torch.stack([distance(z, h) for z, h in zip(predictions, targets, strict=True)]).mean()


def vicreg_terms(z: Tensor) -> tuple[Tensor, Tensor]:
    """[B, N, D] -> (variance term, covariance term), across clips at fixed positions, mean over positions.

    Variance: hinge of the std at 1 (VICReg equation 1).  Covariance: squared off-diagonal entries over D
    (equation 3).  Both need at least 2 clips.
    """
    clips, _, dim = z.shape
    centred = (z - z.mean(dim=0)).transpose(0, 1)  # [N, B, D]
    variance = F.relu(1.0 - (centred.square().sum(dim=1) / (clips - 1) + 1e-4).sqrt()).mean()
    covariance = centred.transpose(1, 2) @ centred / (clips - 1)  # [N, D, D]
    off_diagonal = covariance.square().sum(dim=(1, 2)) - covariance.diagonal(dim1=1, dim2=2).square().sum(dim=1)
    return variance, (off_diagonal / dim).mean()


def sigreg(z: Tensor, directions: Tensor, points: int = 17, reach: float = 3.0) -> Tensor:
    """How far [n, D] samples are from a standard normal, seen along random directions.

    directions: [D, A] with unit columns, redrawn each step.  Per direction this is the Epps-Pulley
    statistic n * integral w(t) |phi_empirical(t) - exp(-t^2/2)|^2 over [-reach, reach] by the trapezoid rule,
    w(t) = exp(-t^2/2); then the mean over directions.  With the factor n (as LeJEPA and LeWorldModel have it)
    its expectation on N(0, I) is 1.05 for every n, not 0.  z may also be [..., n, D]: the mean over the rest.
    """
    t = torch.linspace(0.0, reach, points, device=z.device, dtype=z.dtype)
    phi = torch.exp(-t.square() / 2)
    weight = torch.full_like(t, 2 * reach / (points - 1))  # doubled: the integrand is even
    weight[[0, -1]] /= 2
    angle = (z @ directions)[..., None] * t  # [..., n, A, points]
    gap = (angle.cos().mean(dim=-3) - phi).square() + angle.sin().mean(dim=-3).square()  # [..., A, points]
    return z.shape[-2] * (gap @ (weight * phi)).mean()
