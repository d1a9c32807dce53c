"""The predictor: context vectors and positions in, predicted vectors of the hidden tubelets out.

Built in lesson 4.  V-JEPA's P_phi: a narrow transformer that never sees a pixel (section 3.3 of the paper).
"""

import torch
from torch import Tensor, nn

from minivjepa.rotary import check_scheme, rotary_angles
from minivjepa.transformer import EPS, Block, block_flops, head_width, linear_flops
from minivjepa.tubelets import Grid, added_positions, gather_tokens


class Predictor(nn.Module):
    """Fills in the hidden tubelets, in latent space.

    grid: clip and tubelet size.  dim: D, the encoder's width.  inner: P, the predictor's own width.
    groups: how many mask tokens, one per mask group (V-JEPA 1) or one for all (V-JEPA 2's recipes).  All start at 0.
    depth, heads, positions, hidden: as for Encoder.
    """

    table: Tensor

    def __init__(
        self, grid: Grid, dim: int, inner: int, depth: int, heads: int, groups: int = 1, positions: str = "sincos",
        hidden: int | None = None,
    ):  # fmt: skip
        super().__init__()
        self.head_dim = head_width(inner, heads)
        check_scheme(positions, self.head_dim)
        self.grid, self.dim, self.inner, self.depth = grid, dim, inner, depth
        self.positions, self.hidden = positions, hidden
        self.enter = nn.Linear(dim, inner)
        self.mask_tokens = nn.Parameter(torch.zeros(groups, inner))
        self.blocks = nn.ModuleList(Block(inner, heads, hidden) for _ in range(depth))
        self.norm = nn.LayerNorm(inner, eps=EPS)
        self.leave = nn.Linear(inner, dim)
        self.register_buffer("table", added_positions(grid, inner, positions), persistent=False)

    def tokens(self, context: Tensor, context_ids: Tensor, target_ids: Tensor, group: int) -> Tensor:
        """The input to the blocks for one mask group, [B, K + M, P]: context tokens, then tokens to predict.

        Hidden tubelets enter as a learned mask token plus their position: where they are, not what they show.
        """
        table = self.table.expand(len(context), -1, -1)  # [B, N, P]
        seen = self.enter(context) + gather_tokens(table, context_ids)  # [B, K, P]
        token = self.mask_tokens[group if len(self.mask_tokens) > 1 else 0]
        asked = token + gather_tokens(table, target_ids)  # [B, M, P]
        return torch.cat([seen, asked], dim=1)  # full attention, so the order doesn't matter

    def forward(self, context: Tensor, context_ids: Tensor, target_ids: Tensor, group: int = 0) -> Tensor:
        """context [B, K, D], its ids [B, K], ids to predict [B, M] -> predictions [B, M, D]."""
        x = self.tokens(context, context_ids, target_ids, group)  # [B, K + M, P]
        ids = torch.cat([context_ids, target_ids], dim=1)
        angles = rotary_angles(self.grid, ids, self.head_dim, self.positions, x.dtype)
        for block in self.blocks:
            x = block(x, angles)
        return self.leave(self.norm(x[:, context.shape[1] :]))  # the last M tokens

    def flops(self, k: int, m: int) -> int:
        """FLOPs of one clip's forward pass with k context and m target tokens, including both projections."""
        blocks = self.depth * sum(block_flops(k + m, self.inner, self.hidden).values())
        return blocks + linear_flops(k, self.dim, self.inner) + linear_flops(m, self.inner, self.leave.out_features)
