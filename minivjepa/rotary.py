"""Rotary positions: rotate each token's query and key instead of adding a vector to the token.

Read in lesson 10.  RoPE (arXiv 2104.09864) along three axes; V-JEPA 2 (arXiv 2506.09985) uses a variant, see below.
Each pair of neighboring numbers in a head is rotated by position x frequency.  So positions enter q . k only as the
offset between two tokens along each axis.
"""

import torch
from torch import Tensor

from minivjepa.tubelets import Grid

SCHEMES = ("sincos", "rotary", "rotary-tiled")  # of positions; the released V-JEPA 2 weights need the last


def check_scheme(scheme: str, head_dim: int) -> None:
    """Raise ValueError for an unknown scheme, or for heads too narrow to rotate one pair per axis."""
    if scheme not in SCHEMES:
        raise ValueError(f"unknown positions {scheme!r}; choose from {', '.join(SCHEMES)}")
    if scheme != "sincos" and head_dim < 6:
        raise ValueError(
            f"positions {scheme!r} need heads at least 6 wide, not {head_dim}; use fewer heads or more width"
        )


def rotary_angles(grid: Grid, ids: Tensor, head_dim: int, scheme: str, dtype: torch.dtype) -> Tensor | None:
    """int64 ids [B, n] -> angles [B, n, r] for the first r = 6 * (head_dim // 6) numbers of a head; None for "sincos".

    Time, height and width, in that order, each get a third of them, at frequencies 10000 ** -(i / (r / 6)).  "rotary"
    gives both numbers of a pair the same angle: f0 f0 f1 f1 ...  V-JEPA 2 was trained with f0 f1 ... f0 f1 ..., where
    the two numbers of a pair get different angles.  Its released weights need that quirk, so choose "rotary-tiled".
    """
    if scheme == "sincos":
        return None
    pairs = head_dim // 6
    dtype = torch.promote_types(dtype, torch.float32)  # angles in bfloat16 would be too coarse
    frequency = 10000.0 ** -(torch.arange(pairs, dtype=dtype, device=ids.device) / pairs)
    frequency = frequency.repeat(2) if scheme == "rotary-tiled" else frequency.repeat_interleave(2)
    _, h, w = grid.shape
    axes = (ids // (h * w), ids // w % h, ids % w)
    return torch.cat([where[..., None].to(dtype) * frequency for where in axes], dim=-1)


def rotate(x: Tensor, angles: Tensor) -> Tensor:
    """Rotate pairs (x0, x1), (x2, x3) ... of queries or keys [B, heads, n, d] by angles [B, n, r]; leave the rest."""
    angles = angles.unsqueeze(1)  # [B, 1, n, r]: the same for all heads
    turned, still = x.tensor_split([angles.shape[-1]], dim=-1)
    quarter = torch.stack((-turned[..., 1::2], turned[..., ::2]), dim=-1).flatten(-2)  # (x0, x1) -> (-x1, x0)
    return torch.cat([turned * angles.cos() + quarter * angles.sin(), still], dim=-1).to(x.dtype)
