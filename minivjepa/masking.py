"""Which tubelets the encoder sees, and which the predictor must predict.

Built in lesson 2.  V-JEPA section 3.2 and appendix; the block rule follows the released code.
A mask is a pair of id tensors in time-major order: the tubelets to see, int64 [B, K], and the tubelets to predict,
int64 [B, M].  A run may use several masks at once, as V-JEPA does with short and long blocks.  Each is a mask group:
encoder and predictor run once per group, and the losses are averaged.  All masks except OfficialBlocks
keep K constant for a whole run, and depend only on (seed, step, sample index).
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from minivjepa import randomness
from minivjepa.tubelets import Grid

MaskPair = tuple[Tensor, Tensor]  # context ids [B, K], target ids [B, M]
ASPECT = (0.75, 1.5)  # range of block height / width, as in the released code
GROUP = 2**32  # the seeds of a run's mask groups differ by this
RETRIES = 1000  # how often a clip's blocks are redrawn before an empty context becomes an error


def split_by_score(score: Tensor, keep: int) -> MaskPair:
    """score [B, n] -> ids of the `keep` lowest scores, and ids of all others, both in ascending order."""
    order = score.argsort(dim=1, stable=True)
    return order[:, :keep].sort(dim=1).values, order[:, keep:].sort(dim=1).values


def along_time(places: Tensor, grid: Grid) -> Tensor:
    """Ids of patches [B, k] in the first tubelet slice -> ids of the same patches in all t slices, [B, t * k]."""
    t, h, w = grid.shape
    slices = torch.arange(t, device=places.device) * (h * w)
    return (slices[None, :, None] + places[:, None, :]).flatten(1)


def count_kept(total: int, hide: float, what: str) -> int:
    """How many of `total` stay visible when a share `hide` is hidden.  Raises ValueError if that's none or all."""
    if total < 2:
        raise ValueError(
            f"a mask needs at least 2 {what} to hide some and show some, given {total}; use a larger clip or smaller tubelets"
        )
    if not 0 <= hide <= 1:  # also refuses NaN
        raise ValueError(f"mask ratio is {hide:g}, expected a number from 0 to 1")
    keep = total - round(total * hide)
    if not 0 < keep < total:
        missing = "context" if keep == 0 else "target"
        low, high = math.ceil(100 / total), math.floor(100 * (total - 1) / total)
        raise ValueError(
            f"mask ratio {hide:g} leaves no {missing} among {total} {what}; choose one from {low / 100} to {high / 100}"
        )
    return keep


@dataclass(frozen=True)
class RandomMask:
    """Hide a share of the tubelets, chosen at random."""

    hide: float = 0.75

    def sample(self, grid: Grid, seed: int, step: int, index: Tensor) -> MaskPair:
        """Masks of the samples in `index` [B]."""
        keep = count_kept(grid.tokens, self.hide, "tubelets")
        return split_by_score(randomness.uniform(randomness.keys("mask", seed, step, index), grid.tokens), keep)


@dataclass(frozen=True)
class TubeMask:
    """Hide a share of the patches, the same ones in every frame: tubes through time."""

    hide: float = 0.75

    def sample(self, grid: Grid, seed: int, step: int, index: Tensor) -> MaskPair:
        """Masks of the samples in `index` [B]."""
        area = grid.shape[1] * grid.shape[2]
        keep = count_kept(area, self.hide, "patches")
        score = randomness.uniform(randomness.keys("mask", seed, step, index), area)
        context, target = split_by_score(score, keep)
        return along_time(context, grid), along_time(target, grid)


@dataclass(frozen=True)
class FutureMask:
    """Hide the last share of the clip's time steps: see the past, predict the future."""

    hide: float = 0.5

    def sample(self, grid: Grid, seed: int, step: int, index: Tensor) -> MaskPair:
        """The same mask for every sample in `index` [B]."""
        t, h, w = grid.shape
        keep = count_kept(t, self.hide, "time steps") * h * w
        ids = torch.arange(grid.tokens, device=index.device).expand(len(index), -1)
        return ids[:, :keep], ids[:, keep:]


def block_size(grid: Grid, scale: float, seed: int, step: int, device: torch.device) -> tuple[int, int]:
    """(height, width) in patches of this step's blocks: a share `scale` of the frame, one aspect ratio per seed and step.

    Raises ValueError if a block of that scale can cover the whole frame.
    """
    _, h, w = grid.shape
    area = int(h * w * scale)

    def at(aspect: float) -> tuple[int, int]:
        return min(h, max(1, round(math.sqrt(area * aspect)))), min(w, max(1, round(math.sqrt(area / aspect))))

    if any(at(ASPECT[0] + (ASPECT[1] - ASPECT[0]) * i / 100) == (h, w) for i in range(101)):
        raise ValueError(
            f"blocks of scale {scale:g} can cover the whole {h} x {w} frame, which leaves no context; choose a smaller scale"
        )
    key = randomness.keys("block size", seed, step, torch.zeros(1, dtype=torch.int64, device=device))
    return at(ASPECT[0] + (ASPECT[1] - ASPECT[0]) * float(randomness.uniform(key, 1)))


def draw_blocks(
    grid: Grid, count: int, scale: float, seed: int, step: int, index: Tensor, attempt: int, share_size: bool = False
) -> Tensor:
    """bool [B, h*w]: True in the union of `count` rectangles, placed uniformly at random for each sample.

    attempt: 0, or the number of the redraw.  share_size: one aspect ratio for all mask groups; group g draws with the run's seed + GROUP * g.
    """
    _, h, w = grid.shape
    high, wide = block_size(grid, scale, seed % GROUP if share_size else seed, step, index.device)
    u = randomness.uniform(randomness.keys(f"blocks {attempt}", seed, step, index), 2 * count)
    top = (u[:, :count, None] * (h - high + 1)).long()  # [B, count, 1]
    left = (u[:, count:, None] * (w - wide + 1)).long()
    rows, columns = torch.arange(h, device=index.device), torch.arange(w, device=index.device)
    inside_rows = (rows >= top) & (rows < top + high)  # [B, count, h]
    inside_columns = (columns >= left) & (columns < left + wide)  # [B, count, w]
    return (inside_rows[..., :, None] & inside_columns[..., None, :]).any(dim=1).flatten(1)


@dataclass(frozen=True)
class BlockMask:
    """V-JEPA's multi-block tubes with a constant K: the union of `count` blocks, adjusted to hide the share `hide`.

    If a clip's blocks cover too many patches, some of these are shown, chosen at random; if they cover too few, some
    others are hidden, chosen at random.  So every clip has the same K, without truncation.
    """

    count: int = 8
    scale: float = 0.15
    hide: float = 0.63

    def sample(self, grid: Grid, seed: int, step: int, index: Tensor) -> MaskPair:
        """Masks of the samples in `index` [B]."""
        keep = count_kept(grid.shape[1] * grid.shape[2], self.hide, "patches")
        covered = draw_blocks(grid, self.count, self.scale, seed, step, index, attempt=0)
        score = covered + randomness.uniform(randomness.keys("mask", seed, step, index), covered.shape[1])
        context, target = split_by_score(score, keep)
        return along_time(context, grid), along_time(target, grid)


@dataclass(frozen=True)
class OfficialBlocks:
    """The released sampler with its truncation: context and target are cut to the smallest count in the batch.

    The cut keeps the first ids in time-major order.  So late time steps are lost first, and K depends on each
    device's batch.  If a clip's blocks leave no context, they are redrawn.  In each step all mask groups share one draw
    of the aspect ratio, because the released samplers all seed their block sizes with the step.
    """

    count: int = 8
    scale: float = 0.15

    def sample(self, grid: Grid, seed: int, step: int, index: Tensor) -> MaskPair:
        """Masks of the samples in `index` [B]: one batch on one device."""
        covered = draw_blocks(grid, self.count, self.scale, seed, step, index, 0, share_size=True)
        for attempt in range(1, RETRIES + 1):
            full = covered.all(dim=1)
            if not full.any():
                return self._first(~covered, grid), self._first(covered, grid)
            covered[full] = draw_blocks(grid, self.count, self.scale, seed, step, index[full], attempt, share_size=True)
        raise ValueError(
            f"{self.count} blocks of scale {self.scale:g} covered the whole {grid.shape[1]} x {grid.shape[2]} "
            f"frame {RETRIES} times in a row; choose fewer or smaller blocks"
        )

    @staticmethod
    def _first(wanted: Tensor, grid: Grid) -> Tensor:
        """bool [B, h*w] -> ids [B, smallest count over the batch], the first ones in time-major order."""
        everywhere = wanted.repeat(1, grid.shape[0])  # [B, N]
        shortest = int(everywhere.sum(dim=1).min())
        return (~everywhere).int().argsort(dim=1, stable=True)[:, :shortest]


Mask = RandomMask | TubeMask | FutureMask | BlockMask | OfficialBlocks

MASKS: dict[str, Mask] = {
    "random": RandomMask(),
    "tube": TubeMask(),
    "future": FutureMask(),
    "short": BlockMask(8, 0.15, 0.63),
    "long": BlockMask(2, 0.7, 0.81),
    "official-short": OfficialBlocks(8, 0.15),
    "official-long": OfficialBlocks(2, 0.7),
}


def parse_mask(text: str) -> Mask:
    """A mask from its name in MASKS, optionally with a share to hide, such as "tube:0.9".

    Raises ValueError for an unknown name, or if the share is missing, not a number, or set for official blocks.
    """
    name, colon, hide = text.partition(":")
    if name not in MASKS:
        raise ValueError(f"unknown mask {name!r}; choose from {', '.join(MASKS)}")
    mask = MASKS[name]
    if not colon:
        return mask
    if "hide" not in vars(mask):
        raise ValueError(f"mask {name!r} takes no share to hide, because its blocks set it; write just {name!r}")
    try:
        share = float(hide)
    except ValueError:
        raise ValueError(f"mask {text!r} has no number after the colon; write for example {name}:0.75") from None
    return type(mask)(**{**vars(mask), "hide": share})


def coverage(ids: Tensor, grid: Grid) -> Tensor:
    """Target or context ids [B, n] -> float32 [t, h, w]: the share of clips whose ids include each tubelet."""
    counts = torch.bincount(ids.flatten(), minlength=grid.tokens)
    return (counts / len(ids)).reshape(grid.shape)
