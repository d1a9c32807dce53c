"""The encoder: pixels of the kept tubelets in, one vector per kept tubelet out.

Built in lesson 4.  V-JEPA's E_theta: a ViT that runs on visible tokens only (section 3.1 of the paper).
"""

from torch import Tensor, nn

from minivjepa.transformer import EPS, Block, block_flops, linear_flops
from minivjepa.tubelets import Grid, TubeletEmbedding


class Encoder(nn.Module):
    """A vision transformer over tubelets, final LayerNorm included.

    grid: clip and tubelet size.  dim: D.  depth: number of blocks.  heads: attention heads, dividing D.
    """

    def __init__(self, grid: Grid, dim: int, depth: int, heads: int):
        super().__init__()
        self.grid, self.dim, self.depth = grid, dim, depth
        self.embed = TubeletEmbedding(grid, dim)
        self.blocks = nn.ModuleList(Block(dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim, eps=EPS)

    def forward(self, clip: Tensor, ids: Tensor | None = None) -> Tensor:
        """clip [B, C, T, H, W] -> [B, N, D]; with ids [B, K] of the tubelets to see -> [B, K, D]."""
        x = self.embed(clip, ids)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)

    def flops(self, n: int) -> int:
        """FLOPs of one clip's forward pass on n of its tubelets."""
        blocks = self.depth * sum(block_flops(n, self.dim).values())
        return blocks + linear_flops(n, self.grid.values, self.dim)
