"""The encoder: pixels of the kept tubelets in, one vector per kept tubelet out.

Built in lesson 4.  V-JEPA's E_theta: a ViT that runs on visible tokens only (section 3.3 of the paper).
"""

import torch
from torch import Tensor, nn

from minivjepa.rotary import check_scheme, rotary_angles
from minivjepa.transformer import EPS, Block, block_flops, head_width, linear_flops
from minivjepa.tubelets import Grid, TubeletEmbedding


class Encoder(nn.Module):
    """A vision transformer over tubelets, final LayerNorm included.

    grid: clip and tubelet size.  dim: D.  depth: number of blocks.  heads: attention heads, which must divide D.
    positions: sincos (V-JEPA), rotary (plain RoPE) or rotary-tiled (V-JEPA 2 as released).  hidden: width inside the
    MLPs, 4 D if None; V-JEPA 2's ViT-g differs.  Raises ValueError for unknown positions or heads that don't fit.
    """

    def __init__(
        self, grid: Grid, dim: int, depth: int, heads: int, positions: str = "sincos", hidden: int | None = None
    ):
        super().__init__()
        self.head_dim = head_width(dim, heads)
        check_scheme(positions, self.head_dim)
        self.grid, self.dim, self.depth, self.positions, self.hidden = grid, dim, depth, positions, hidden
        self.embed = TubeletEmbedding(grid, dim, positions)
        self.blocks = nn.ModuleList(Block(dim, heads, hidden) for _ in range(depth))
        self.norm = nn.LayerNorm(dim, eps=EPS)

    def forward(self, clip: Tensor, ids: Tensor | None = None) -> Tensor:
        """clip [B, C, T, H, W] -> [B, N, D]; with ids [B, K] of the tubelets to see -> [B, K, D]."""
        x = self.embed(clip, ids)
        where = torch.arange(self.grid.tokens, device=x.device)[None] if ids is None else ids
        angles = rotary_angles(self.grid, where, self.head_dim, self.positions, x.dtype)
        for block in self.blocks:
            x = block(x, angles)
        return self.norm(x)

    def flops(self, n: int) -> int:
        """FLOPs of the forward pass on n tubelets of one clip."""
        blocks = self.depth * sum(block_flops(n, self.dim, self.hidden).values())
        return blocks + linear_flops(n, self.grid.values, self.dim)
