"""Attention written out, for training in bfloat16 on a CPU.

The backward pass of torch's fused attention is slow there.  Written out, it gives the same numbers up to rounding and takes
less time, which docs/speed.md shows, but it keeps the scores [B, head, n, n] in memory.
"""

import torch.nn.functional as F
from torch import Tensor, nn

from minivjepa.transformer import Attention


def written_out(q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None) -> Tensor:
    """softmax(q k^T / sqrt d) v, head by head: q, k, v [B, head, n, d] -> [B, head, n, d].

    Without a gradient, or with a mask, torch's own is used.
    """
    if attn_mask is not None or not q.requires_grad:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=attn_mask)
    share = (q * q.shape[-1] ** -0.5 @ k.transpose(-1, -2)).softmax(dim=-1)  # [B, head, n, n]
    return share @ v


def write_out_attention(model: nn.Module) -> None:
    """Use it in every Attention inside `model`."""
    for part in model.modules():
        if isinstance(part, Attention):
            part.attend = written_out
