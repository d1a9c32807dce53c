"""What collapse looks like in numbers.

Built in lesson 6.  Collapse comes in three kinds: complete (every token gets the same vector, std -> 0), dimensional
(few directions remain, rank far below D) and content-free (tokens differ by position, not by clip).  No single number
shows all three; read feature_std first.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

COLLAPSED = 0.01  # below this feature std, all clips count as having the same features
WARNING = 0.1  # below this feature std, a run in progress gets a warning; runs start at about .75


def feature_std(h: Tensor) -> float:
    """Std across clips at a fixed position, mean over positions and features.  h [B, N, D], before normalization.

    0 means that all clips give the same vectors: complete or content-free collapse.
    """
    return float(h.std(dim=0, correction=0).mean())


def position_std(h: Tensor) -> float:
    """Std across positions within a clip, mean over clips and features.  h [B, N, D].

    It stays high in a content-free collapse, so read it together with feature_std.
    """
    return float(h.std(dim=1, correction=0).mean())


def singular_values(pooled: Tensor, centred: bool) -> Tensor:
    """Singular values in float64, descending, divided by sqrt(rows).

    pooled: [rows, D], one row per clip, the mean over its tokens.

    Raises ValueError for fewer than 10 D rows: with fewer, even noise looks low-rank.
    """
    rows, dim = pooled.shape
    if rows < 10 * dim:
        raise ValueError(f"rank needs at least 10 rows per feature: given {rows} rows of {dim}, expected {10 * dim}")
    x = pooled.double()
    return torch.linalg.svdvals(x - x.mean(dim=0) if centred else x) / rows**0.5


def entropy_rank(sigma: Tensor) -> float:
    """exp of the entropy of sigma / sum(sigma), plus 1e-7 as in RankMe: how many directions share the spread."""
    p = sigma / sigma.sum().clamp_min(torch.finfo(sigma.dtype).tiny) + 1e-7
    return float(torch.exp(-(p * p.log()).sum()))


def effective_rank(pooled: Tensor) -> float:
    """Effective rank (Roy and Vetterli 2007) of centered pooled features [rows, D], from 1 to D.

    It ignores scale: features that collapsed to a constant plus rounding noise have a rank near D.
    """
    return entropy_rank(singular_values(pooled, centred=True))


def rankme(pooled: Tensor) -> float:
    """RankMe (Garrido et al., arXiv 2210.02885): effective rank of features [rows, D] that are not centered."""
    return entropy_rank(singular_values(pooled, centred=False))


def margin(predictions: Tensor, targets: Tensor, others: Tensor) -> float:
    """Mean cosine of predictions with their own clip's targets, minus that with another clip's; all [B, M, D].

    A prediction with cosine .98 to its own target and .97 to any other ignores the content.
    """
    own = F.cosine_similarity(predictions, targets, dim=-1)
    other = F.cosine_similarity(predictions, others, dim=-1)
    return float((own - other).mean())


def token_metrics(h: Tensor) -> dict[str, float]:
    """All metrics of one encoder's whole-clip tokens h [B, N, D], before target normalization.

    The ranks are NaN if B is below 10 D, or if a feature isn't finite.
    """
    pooled = h.mean(dim=1)
    enough = len(pooled) >= 10 * pooled.shape[1] and bool(pooled.isfinite().all())
    return {
        "feature_std": feature_std(h),
        "position_std": position_std(h),
        "effective_rank": effective_rank(pooled) if enough else math.nan,
        "rankme": rankme(pooled) if enough else math.nan,
    }


def early_warning(row: dict[str, Any]) -> str | None:
    """A logged row -> a one-line warning if an encoder's features hardly differ between clips, else None.

    A row read from metrics.jsonl has None for NaN: turn it back first.  Only the two encoders' feature std counts:
    the loss is lowest in a collapse, and effective rank ignores scale.
    """
    for name, key in (("online", "feature_std"), ("target", "target_feature_std")):
        if row[key] < WARNING:
            return (
                f"early warning at step {row['step']}: feature std of the {name} encoder is {row[key]:.3f}, below {WARNING}; "
                "its features are becoming the same for every clip, whatever the loss says"
            )
    return None
