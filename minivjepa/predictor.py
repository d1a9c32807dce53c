"""The predictor: context vectors and positions in, predicted vectors of the hidden tubelets out.

Built in lesson 4.  V-JEPA's P_phi: a narrow transformer that never sees a pixel (section 3.1 of the paper).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from minivjepa.masking import MaskPair
from minivjepa.rotary import check_scheme, rotary_angles
from minivjepa.transformer import EPS, Block, Blocks, block_flops, linear_flops
from minivjepa.tubelets import Grid, added_positions, gather_tokens


class Predictor(nn.Module):
    """Fills in the hidden tubelets, in latent space.

    grid: clip and tubelet size.  dim: D, the encoder's width.  inner: P, the predictor's own width.
    groups: mask groups; each has a mask token of its own, as in V-JEPA 1, starting at zero.
    positions, hidden: as the encoder's.
    """

    table: Tensor

    def __init__(
        self, grid: Grid, dim: int, inner: int, depth: int, heads: int, groups: int = 1, positions: str = "sincos",
        hidden: int | None = None,
    ):  # fmt: skip
        super().__init__()
        check_scheme(positions, inner // heads)
        self.grid, self.dim, self.inner, self.depth = grid, dim, inner, depth
        self.head, self.positions, self.hidden = inner // heads, positions, hidden
        self.enter = nn.Linear(dim, inner)
        self.mask_tokens = nn.Parameter(torch.zeros(groups, inner))
        self.blocks = Blocks(Block(inner, heads, hidden) for _ in range(depth))
        self.norm = nn.LayerNorm(inner, eps=EPS)
        self.leave = nn.Linear(inner, dim)
        self.register_buffer("table", added_positions(grid, inner, positions), persistent=False)

    def tokens(self, context: Tensor, context_ids: Tensor, target_ids: Tensor, group: int) -> Tensor:
        """What the blocks see of one mask group, [B, K + M, P]: the context, then what is asked for.

        The hidden tubelets enter as one learned mask token plus their position: where to look, not what is there.
        """
        table = self.table.expand(len(context), -1, -1)  # [B, N, P]
        seen = self.enter(context) + gather_tokens(table, context_ids)  # [B, K, P]
        asked = self.mask_tokens[group] + gather_tokens(table, target_ids)  # [B, M, P]
        return torch.cat([seen, asked], dim=1)  # full attention, so the order does not matter

    def angles(self, ids: Sequence[Tensor], dtype: torch.dtype) -> Tensor | None:
        """Rotary positions of tokens that stand side by side, as Attention takes them."""
        return rotary_angles(self.grid, torch.cat(list(ids), dim=1), self.head, self.positions, dtype)

    def forward(self, context: Tensor, context_ids: Tensor, target_ids: Tensor, group: int = 0) -> Tensor:
        """context [B, K, D], its ids [B, K], ids to predict [B, M] -> predictions [B, M, D]."""
        x = self.tokens(context, context_ids, target_ids, group)
        x = self.blocks(x, self.angles([context_ids, target_ids], x.dtype))
        return self.leave(self.norm(x[:, context.shape[1] :]))

    def all_groups(self, contexts: Sequence[Tensor], masks: Sequence[MaskPair]) -> Sequence[Tensor]:
        """The same for all mask groups in one pass: one context [B, K, D] and one prediction [B, M, D] a group.

        Their tokens stand side by side, so that every linear layer is one large product; attention stays within a group.
        """
        parts = [self.tokens(z, *pair, group) for group, (z, pair) in enumerate(zip(contexts, masks, strict=True))]
        sizes = [part.shape[1] for part in parts]
        x = torch.cat(parts, dim=1)  # [B, sum of all K + M, P]
        x = self.blocks(x, self.angles([ids for pair in masks for ids in pair], x.dtype), sizes)
        asked = [part[:, z.shape[1] :] for part, z in zip(x.split(sizes, dim=1), contexts)]
        return self.leave(self.norm(torch.cat(asked, dim=1))).split([part.shape[1] for part in asked], dim=1)

    def flops(self, k: int, m: int) -> int:
        """FLOPs of one clip's forward pass with k context and m target tokens, projections included."""
        blocks = self.depth * sum(block_flops(k + m, self.inner, self.hidden).values())
        return blocks + linear_flops(k, self.dim, self.inner) + linear_flops(m, self.inner, self.dim)


class LinearPredictor(nn.Module):
    """The plainest predictor that can use the context: every prediction is a linear function of it.

    A learned table says how much tubelet k contributes to tubelet j, one matrix maps features, one vector per
    position is added.  Theories of learning without negatives (DirectPred, arXiv 2102.06810) are about such predictors.
    """

    def __init__(self, grid: Grid, dim: int):
        super().__init__()
        self.dim = dim
        self.mixing = nn.Parameter(torch.full((grid.tokens, grid.tokens), 1 / grid.tokens))
        self.features = nn.Linear(dim, dim)
        self.offset = nn.Parameter(torch.zeros(grid.tokens, dim))

    def forward(self, context: Tensor, context_ids: Tensor, target_ids: Tensor, group: int = 0) -> Tensor:
        """context [B, K, D], its ids [B, K], ids to predict [B, M] -> predictions [B, M, D]; all groups share one table."""
        share = self.mixing[target_ids[:, :, None], context_ids[:, None, :]]  # [B, M, K]
        return share @ self.features(context) + self.offset[target_ids]

    def all_groups(self, contexts: Sequence[Tensor], masks: Sequence[MaskPair]) -> Sequence[Tensor]:
        """One context and one prediction a group."""
        return [self(z, context_ids, target_ids) for z, (context_ids, target_ids) in zip(contexts, masks, strict=True)]

    def flops(self, k: int, m: int) -> int:
        """FLOPs of one clip's forward pass with k context and m target tokens."""
        return linear_flops(k, self.dim, self.dim) + 2 * m * k * self.dim
