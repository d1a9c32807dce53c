"""Lesson 06: the cases of its exercises, and the mistakes that people make."""

import torch
from assignment import Exercise
from torch import Tensor


def swinging(places: Tensor, swing: Tensor) -> Tensor:
    """Features [4, N, D] of four clips around one vector per place: two above it by `swing`, two below."""
    signs = torch.tensor([1.0, -1.0, -1.0, 1.0])
    return places + signs[:, None, None] * swing


PLACES = torch.tensor([[0.0, 3.0], [1.0, -2.0]])  # two places of two numbers
ALONE = torch.tensor([0.0, 0.0, 0.0, 4.0])[:, None, None]  # one clip of four is elsewhere


def spread(expression: str) -> str:
    """Code of an answer: the expression that it returns."""
    return f"def feature_std(h):\n    return float({expression})"


FEATURE_STD = Exercise(
    "feature_std",
    ("minivjepa.collapse.feature_std", "minivjepa.collapse.position_std", "minivjepa.collapse.token_metrics"),
    (
        {"h": swinging(PLACES, torch.tensor([[0.5, 2.0], [-1.0, -0.25]]))},
        {"h": swinging(PLACES, torch.zeros(2, 2))},  # places differ, clips don't
        {"h": swinging(torch.zeros(1, 2), torch.tensor([[0.5, 0.5], [-1.5, 0.5], [0.0, -3.0]]))},
        {"h": PLACES + ALONE * torch.tensor([[1.0, 0.5], [-0.25, 2.0]])},
    ),
    lambda rng: [],
    (
        (
            "this is the spread over the tokens inside each clip, and it stays high when all clips are the same: "
            "go across the clips, which are axis 0",
            spread("h.std(dim=1, correction=0).mean()"),
        ),
        (
            "this is the spread over the numbers of each vector, and it doesn't compare clips: they are axis 0",
            spread("h.std(dim=2, correction=0).mean()"),
        ),
        (
            "this divides by n - 1, as torch does unless told otherwise: divide by n, with correction=0",
            spread("h.std(dim=0).mean()"),
        ),
        (
            "this is the variance, which is in squared units: take the root, at every place and number",
            spread("h.var(dim=0, correction=0).mean()"),
        ),
        (
            "the root comes too late: take the root of each variance first, then the mean of these",
            spread("h.var(dim=0, correction=0).mean().sqrt()"),
        ),
        (
            "this lumps all values together, so places that differ look like clips that differ: "
            "take one standard deviation for each place and number, then their mean",
            spread("h.std(correction=0)"),
        ),
        (
            "clips and places are pooled, so places that differ look like clips that differ: go across the clips only, dim=0",
            spread("h.std(dim=(0, 1), correction=0).mean()"),
        ),
        (
            "clips and places are pooled, and it divides by n - 1: go across the clips only, dim=0, with correction=0",
            spread("h.std(dim=(0, 1)).mean()"),
        ),
        (
            "the tokens are averaged too early, and differences at single places cancel: keep the places apart, and take the mean of the spreads",
            spread("h.mean(dim=1).std(dim=0, correction=0).mean()"),
        ),
        (
            "this is the mean distance from the mean: a standard deviation squares the distances, and takes the root of their mean",
            spread("(h - h.mean(dim=0)).abs().mean()"),
        ),
        (
            "this is half the range, which only two of the clips decide: a standard deviation counts all of them",
            spread("((h.amax(dim=0) - h.amin(dim=0)) / 2).mean()"),
        ),
    ),
    (),
)


CROSS = torch.tensor([[1.0, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]])  # any two rows are orthogonal


def crossed(*lengths: float) -> Tensor:
    """Features [40, 4]: clips spread by four lengths along the rows of CROSS, around a mean of 2.  Exact for sums of powers of 2."""
    signs = torch.cat([CROSS, -CROSS], dim=1)  # of eight clips along each direction; their means are 0
    return (signs.T @ (torch.tensor(lengths)[:, None] * CROSS) + 2).repeat(5, 1)


def along_axes(*lengths: float) -> Tensor:
    """Features [40, 4]: clips spread by a length of its own in each number, around means that differ too; 0: all clips agree."""
    ways = torch.eye(4)[[0, 0, 1, 2, 3]]  # twice as many clips along the first number
    signs = torch.cat([ways, -ways])
    return (signs * torch.tensor(lengths) + torch.tensor([2.0, -1.0, 0.5, 4.0])).repeat(4, 1)


def rank(p: str, result: str = "float(torch.exp(-(p * p.log()).sum()))", x: str = "pooled - pooled.mean(dim=0)") -> str:
    """Code of an answer: what it takes the singular values of, its shares p, and what it returns."""
    return (
        f"def effective_rank(pooled):\n    x = {x}\n    sigma = torch.linalg.svdvals(x.double())\n    p = {p}\n"
        f"    return {result}"
    )


SHARES = "sigma / sigma.sum() + 1e-7"

EFFECTIVE_RANK = Exercise(
    "effective_rank",
    (
        "minivjepa.collapse.effective_rank",
        "minivjepa.collapse.rankme",
        "minivjepa.collapse.entropy_rank",
        "minivjepa.collapse.singular_values",
        "minivjepa.collapse.token_metrics",
    ),
    (
        {"pooled": crossed(3.0, 1.0, 0.5, 0.25)},
        {"pooled": crossed(2.0, 0.5, 2**-10, 2**-10)},
        {"pooled": crossed(1.0, 1.0, 2.0, 1.0) / 128},
        {"pooled": along_axes(4.0, 1.0, 0.25, 0.5)},
        {"pooled": along_axes(2.0, 1.0, 0.0, 0.0)},
    ),
    lambda rng: [],
    (
        (
            "the mean is still there, and the vector that all clips share counts as a direction: "
            "subtract the mean over clips first (without that, it's RankMe)",
            rank(SHARES, x="pooled"),
        ),
        (
            "this subtracts each clip's own mean: subtract the mean over clips, one for each number, dim=0",
            rank(SHARES, x="pooled - pooled.mean(dim=1, keepdim=True)"),
        ),
        (
            "this is the entropy itself: take its exp to get a number of directions",
            rank(SHARES, "float(-(p * p.log()).sum())"),
        ),
        (
            "the entropy has the wrong sign: the log of a share is negative, so put a minus before the sum",
            rank(SHARES, "float(torch.exp((p * p.log()).sum()))"),
        ),
        (
            "these are shares of the squares, as the eigenvalues of a covariance are: take shares of the singular values themselves",
            rank("sigma**2 / (sigma**2).sum() + 1e-7"),
        ),
        (
            "log2 and exp don't go together: take the natural log, torch.log",
            rank(SHARES, "float(torch.exp(-(p * p.log2()).sum()))"),
        ),
        (
            "the singular values must become shares first: divide them by their sum",
            rank("sigma + 1e-7"),
        ),
        (
            "one mean is subtracted from everything: each of the D numbers has its own mean over clips, dim=0",
            rank(SHARES, x="pooled - pooled.mean()"),
        ),
        (
            "every number is scaled to the same spread first, which hides the directions that have little: only subtract the mean",
            rank(SHARES, x="(pooled - pooled.mean(dim=0)) / (pooled.std(dim=0) + 1e-8)"),
        ),
        (
            "every clip's vector is scaled to length 1, and how far it is from the mean is lost: only subtract the mean",
            rank(SHARES, x="torch.nn.functional.normalize(pooled - pooled.mean(dim=0), dim=1)"),
        ),
        (
            "a direction without any spread has the share 0, and 0 times its log is nan: add 1e-7 to each share",
            rank("sigma / sigma.sum()"),
        ),
        (
            "these are the spreads of the D numbers, not of directions, which may lie between them: take singular values",
            rank(SHARES).replace("torch.linalg.svdvals(x.double())", "x.double().std(dim=0)"),
        ),
        (
            "this counts every direction equally, no matter how little of the spread it has: weight them by their shares",
            "def effective_rank(pooled):\n    return float(torch.linalg.matrix_rank(pooled - pooled.mean(dim=0), rtol=1e-5))",
        ),
    ),
    (),
)

EXERCISES = [FEATURE_STD, EFFECTIVE_RANK]
