"""The transformer block that the encoder and the predictor share, and what it costs.

Built in lesson 3.  A pre-norm ViT block as in V-JEPA's code: LayerNorm with eps 1e-6, fused qkv with
bias, exact GELU, and an MLP four times as wide.
"""

import math
from collections.abc import Callable

import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from minivjepa.rotary import rotate

INITS = ("xavier", "official", "official-2")  # of init_linear
EPS = 1e-6  # of every LayerNorm, as in the released code


def head_width(dim: int, heads: int, part: str = "") -> int:
    """The width of one head, D / heads.  Raises ValueError if `heads` doesn't divide D; `part` says whose width that is."""
    if heads < 1:
        raise ValueError(f"{part}heads is {heads}, expected 1 or more")
    if dim % heads:
        raise ValueError(f"{part}width {dim} is not divisible by {heads} heads; choose a multiple of {heads}")
    return dim // heads


class Attention(nn.Module):
    """Multi-head self-attention: every token looks at every token.  Raises ValueError if `heads` doesn't divide D."""

    def __init__(self, dim: int, heads: int):
        super().__init__()
        head_width(dim, heads)
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)
        self.attend: Callable[..., Tensor] = F.scaled_dot_product_attention  # softmax(q k^T / sqrt d) v

    def forward(self, x: Tensor, angles: Tensor | None = None, allowed: Tensor | None = None) -> Tensor:
        """[B, n, D] -> [B, n, D].

        angles [B, n, r]: rotary positions.  allowed bool [n, n]: True where a token (row) may look at another (column).
        """
        q, k, v = rearrange(self.qkv(x), "B n (qkv head d) -> qkv B head n d", qkv=3, head=self.heads)
        if angles is not None:
            q, k = rotate(q, angles), rotate(k, angles)
        mixed = self.attend(q, k, v, attn_mask=allowed)  # [B, head, n, d]
        return self.proj(rearrange(mixed, "B head n d -> B n (head d)"))


class MLP(nn.Module):
    """Two linear layers with a GELU between them, per token.  hidden: the width between them, 4 D if None."""

    def __init__(self, dim: int, hidden: int | None = None):
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden or 4 * dim)
        self.fc2 = nn.Linear(hidden or 4 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        """[B, n, D] -> [B, n, D]."""
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    """x + attention(norm(x)), then x + mlp(norm(x))."""

    def __init__(self, dim: int, heads: int, hidden: int | None = None):
        super().__init__()
        self.norm1 = nn.LayerNorm(dim, eps=EPS)
        self.attention = Attention(dim, heads)
        self.norm2 = nn.LayerNorm(dim, eps=EPS)
        self.mlp = MLP(dim, hidden)

    def forward(self, x: Tensor, angles: Tensor | None = None, allowed: Tensor | None = None) -> Tensor:
        """[B, n, D] -> [B, n, D]; angles and allowed as for Attention."""
        x = x + self.attention(self.norm1(x), angles, allowed)
        return x + self.mlp(self.norm2(x))


def init_linear(module: nn.Module, scheme: str) -> None:
    """Initialize every Linear inside `module`: biases 0, weights by `scheme`.  Raises ValueError for an unknown scheme.

    "xavier": uniform, scaled to preserve variance.  "official": normal with std .02, as V-JEPA 1's
    training starts.  At width 64 that's far too small: at first, the spread of features across clips shrinks.
    "official-2": the same, but what block number n adds to its input is divided by sqrt(2 n), as in V-JEPA 2.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            if scheme == "xavier":
                nn.init.xavier_uniform_(layer.weight)
            elif scheme in ("official", "official-2"):
                nn.init.trunc_normal_(layer.weight, std=0.02)
            else:
                raise ValueError(f"unknown initialization {scheme!r}; choose from {', '.join(INITS)}")
            nn.init.zeros_(layer.bias)
    for part in module.modules() if scheme == "official-2" else ():
        for number, block in enumerate(getattr(part, "blocks", ()), 1):
            for layer in (block.attention.proj, block.mlp.fc2):
                layer.weight.data.div_(math.sqrt(2 * number))


def linear_flops(n: int, inputs: int, outputs: int) -> int:
    """FLOPs of a linear layer on n tokens: one multiplication and one addition per weight and token."""
    return 2 * n * inputs * outputs


def block_flops(n: int, dim: int, hidden: int | None = None) -> dict[str, int]:
    """FLOPs of one Block's forward pass on n tokens of width D, by part; softmax and norms aren't counted.

    Projections 8 n D^2, MLP 16 n D^2, attention 4 n^2 D: beyond n = 4 D, attention costs more than the MLP.
    """
    return {
        "projections": linear_flops(n, dim, 3 * dim) + linear_flops(n, dim, dim),
        "mlp": 2 * linear_flops(n, dim, hidden or 4 * dim),
        "attention": 4 * n * n * dim,  # q k^T and the weighted sum of v
    }
