"""Homework 3: the cases of every exercise, the mistakes that people make, and right answers in other styles."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from assignment import Exercise, function_of, given_code, reference_code
from drawing import Rng, changed, tensor, until
from scipy import stats

Log = list[dict[str, Any]]  # what a run wrote down, row by row
SEEN, MORE = np.random.default_rng(0), np.random.default_rng(1)  # of the visible inputs
RIGHT = reference_code("hw3")


def slip(name: str, *changes: tuple[str, str]) -> str:
    """The right answer with parts exchanged."""
    return changed(RIGHT[name], *changes)


# --- spread_and_rank ---


def uneven(rng: Rng, clips: int, tokens: int, dim: int, offset: float = 2.0, digits: int | None = None) -> torch.Tensor:
    """Features [clips, tokens, dim] of very different scales, whose places differ in mean and in spread, with a mean far from 0."""
    scale = np.exp(rng.permutation(np.linspace(-1.2, 1.2, dim)) + rng.normal(0, 0.1, dim)) if dim > 1 else np.ones(1)
    place = rng.permuted(np.linspace(0.1, 2.0, tokens)[:, None].repeat(dim, axis=1), axis=0)
    own = rng.normal(size=(clips, 1, dim)) + rng.normal(size=(clips, tokens, dim)) * place
    return tensor(scale * (own + rng.normal(size=(tokens, dim)) + offset * rng.choice([-1.0, 1.0], dim)), digits)


def cross(rng: Rng, long: float) -> torch.Tensor:
    """Four clips of one token, two on each of two axes, one of which is much longer."""
    h = torch.tensor([[long, 0.0], [-long, 0.0], [0.0, 1.0], [0.0, -1.0]])
    return h[rng.permutation(4)][:, None, rng.permutation(2)]


def still(rng: Rng, clips: int, power: float) -> dict[str, Any]:
    """Clips (an even number) whose tokens differ in both features, and their averages in one: the other has a share of exactly 0."""
    away = rng.choice([0.5, 1.0, 2.0]) * np.array([1.0, -1.0] * (clips // 2))
    h = np.zeros((clips, 2, 2))
    h[:, :, 0] = rng.permutation(away)[:, None]
    h[:, :, 1] = 0.25 * rng.permutation(away)[:, None] * np.array([1.0, -1.0])
    return {"h": tensor(h), "power": power}


def twins(rng: Rng, clips: int) -> dict[str, Any]:
    """Every feature is there two or three times, so that many singular values should be 0."""
    h = uneven(rng, clips, int(rng.integers(2, 5)), 4)
    return {"h": h[:, :, rng.permutation([0, 1, 2, 3] * int(rng.integers(2, 4)))], "power": 1.0}


MEASURE = {  # rule -> a visible case
    "a std runs across clips, and is divided by n": {"h": torch.tensor([[[1.0, 0.0]], [[5.0, 6.0]]]), "power": 1.0},
    "the stds of a feature at its places are averaged": {"h": torch.tensor([[[0.0, 1.0], [0.0, 2.0], [1.0, 0.0]], [[2.0, 4.0], [-8.0, 1.0], [5.0, 1.0]], [[3.0, 4.0], [1.0, 0.0], [2.0, 7.0]]]), "power": 1.0},
    "the spread is the median of the features' stds": {"h": uneven(SEEN, 7, 3, 5, digits=2), "power": 1.0},
    "with an even number of features, the median is half-way between the two in the middle": {"h": uneven(SEEN, 9, 2, 4, digits=2), "power": 1.0},
    "each clip's tokens are averaged, and the mean over clips is subtracted": {"h": uneven(SEEN, 8, 3, 3, 6.0, digits=2), "power": 1.0},
    "singular values are raised to the power before they are divided by their sum": {"h": torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])[:, None] + torch.tensor([[5.0, 1.0], [1.0, 3.0]]), "power": 2.0},
    "a share of 0 adds nothing": {"h": torch.tensor([[[1.0, 2.0], [1.0, -2.0]], [[-1.0, -2.0], [-1.0, 2.0]]]), "power": 1.5},
    "there may be fewer clips than features": {"h": uneven(SEEN, 3, 2, 9, digits=2), "power": 1.0},
    "there may be one token": {"h": uneven(SEEN, 6, 1, 2, digits=2), "power": 1.25},
    "there may be one feature": {"h": uneven(SEEN, 4, 2, 1, digits=2), "power": 1.0},
}  # fmt: skip


def measured(rng: Rng) -> list[tuple[str, dict[str, Any]]]:
    """Features of every size, with powers of 1 and more."""
    n_rule, place_rule, odd_rule, even_rule, mean_rule, power_rule, zero_rule, few_rule, one_rule, single_rule = MEASURE
    powers = rng.permutation([1.25, 1.5, 2.0, 2.5, 3.0]).tolist()

    def some(low: int, high: int) -> int:
        return int(rng.integers(low, high))

    return [
        (n_rule, {"h": uneven(rng, some(2, 6), 1, 3), "power": 1.0}),
        (place_rule, {"h": uneven(rng, some(5, 9), some(4, 8), 3), "power": powers[0]}),
        (odd_rule, {"h": uneven(rng, some(13, 24), some(2, 5), int(rng.choice([5, 7]))), "power": powers[1]}),
        (even_rule, {"h": uneven(rng, some(13, 24), some(2, 5), int(rng.choice([4, 6, 8]))), "power": powers[2]}),
        (even_rule, {"h": uneven(rng, some(5, 9), 3, 2), "power": powers[3]}),
        (mean_rule, {"h": uneven(rng, some(17, 30), some(2, 6), 4, 25.0), "power": 1.0}),
        (power_rule, {"h": uneven(rng, some(32, 48), 3, 4), "power": 1.75}),
        (power_rule, {"h": 0.005 * cross(rng, 2000.0), "power": 1.0}),  # a direction that is small and real
        (zero_rule, still(rng, 2 * some(2, 5), float(rng.choice([1.0, 2.0])))),
        (few_rule, {"h": 40 * uneven(rng, some(3, 6), some(2, 4), some(16, 24)), "power": 1.0}),
        (one_rule, {"h": uneven(rng, some(6, 12), 1, 5), "power": powers[4]}),
        (single_rule, {"h": uneven(rng, some(4, 9), some(2, 4), 1), "power": 2.0}),
        (odd_rule, {"h": uneven(rng, some(28, 40), 2, 15), "power": 1.5}),
        (mean_rule, {"h": uneven(rng, 3, some(5, 8), 4) / 2 ** int(rng.choice([14, 24])), "power": 1.0}),
        (zero_rule, {"h": uneven(rng, some(4, 7), 2, 9), "power": 8.0}),  # what should be 0 is 0 when raised to it
        *(
            (mean_rule, {"h": uneven(rng, 8, 3, 3, 6.0), "power": 1.0}) for _ in range(2)
        ),  # what was kept from a call of this size is wrong
        (few_rule, twins(rng, some(4, 7))),
        (zero_rule, twins(rng, some(14, 20))),
    ]


STD, CENTERED, SHARE = "h.std(dim=0, correction=0)", "pooled - pooled.mean(dim=0)", "weight / weight.sum()"
RANK = "spread_and_rank"
SPREAD_AND_RANK = Exercise(
    RANK,
    ("minivjepa.collapse.feature_std", "minivjepa.collapse.position_std", "minivjepa.collapse.singular_values", "minivjepa.collapse.entropy_rank",
     "minivjepa.collapse.effective_rank", "minivjepa.collapse.rankme", "minivjepa.collapse.token_metrics"),
    MEASURE,
    measured,
    (
        ("the std is divided by n - 1, which torch does unless it is told otherwise; the population's is divided by n", slip(RANK, (STD, "h.std(dim=0)"))),
        ("two defaults of torch are at work: its std divides by n - 1, and its median takes the lower of the two in the middle", slip(RANK, (STD, "h.std(dim=0)"), ("np.median", "torch.median"), (".numpy()", ""))),
        ("this spread is the mean over features; return the median", slip(RANK, ("np.median", "np.mean"))),
        ("torch.median takes the lower of the two features in the middle; meet half-way between them", slip(RANK, ("np.median", "torch.median"), (".numpy()", ""))),
        ("this std runs within each clip, over its places: it stays high where all clips are the same", slip(RANK, (STD, "h.std(dim=1, correction=0)"))),
        ("clips and places are put into one std: differences between places are not differences between clips", slip(RANK, (STD + ".mean(dim=0)", "h.std(dim=(0, 1), correction=0)"))),
        ("the tokens are averaged before the std; the spread is that at fixed places, and only then averaged over them", slip(RANK, (STD + ".mean(dim=0)", "h.mean(dim=1).std(dim=0, correction=0)"))),
        ("this is the median over places and features together; average over the places first", slip(RANK, (STD + ".mean(dim=0)", STD))),
        ("the mean over clips was not subtracted: what all clips share counts as a direction of its own", slip(RANK, (CENTERED, "pooled"))),
        ("what is subtracted is the mean of each clip over its features; it has to be that of each feature over clips", slip(RANK, (CENTERED, "pooled - pooled.mean(dim=1, keepdim=True)"))),
        ("the argument power is ignored", slip(RANK, (" ** power", ""))),
        ("the power is taken after dividing by the sum, so that the shares do not add up to 1", slip(RANK, (" ** power", ""), (f"({SHARE})", f"(({SHARE}) ** power)"))),
        ("this is the sum, - p log p, itself; the rank is exp of it", slip(RANK, (".sum().exp()", ".sum()"))),
        ("the directions are those of all tokens; average each clip's tokens first", slip(RANK, ("pooled = h.mean(dim=1)", "pooled = h.flatten(0, 1)"))),
        ("log 0 is minus infinity, and 0 times that is nan: leave out shares of 0", slip(RANK, (f"torch.special.entr({SHARE})", f"(-({SHARE}) * ({SHARE}).log())"))),
        ("eigenvalues of a covariance lose half the digits in float32, and what should be 0 counts as small directions: take singular values, or float64", slip(RANK, (f"torch.linalg.svdvals({CENTERED})", f"torch.linalg.eigvalsh(({CENTERED}).T @ ({CENTERED})).abs().sqrt()"))),
    ),
    (
        "def spread_and_rank(h, power):\n    x = h.numpy().astype(np.float64)\n    std = np.sqrt(((x - x.mean(axis=0)) ** 2).mean(axis=0)).mean(axis=0)\n    p = np.sort(std)\n    d = len(p)\n    spread = (p[(d - 1) // 2] + p[d // 2]) / 2\n    c = x.mean(axis=1)\n    c = c - c.mean(axis=0)\n    s = np.linalg.svd(c, compute_uv=False) ** power\n    entropy = -sum(q * math.log(q) for q in s / s.sum() if q > 0)\n    return {'rank': math.exp(entropy), 'spread': spread}",
        "def spread_and_rank(h, power):\n    std = h.var(dim=0, unbiased=False).sqrt().mean(dim=0)\n    pooled = einops.reduce(h.double(), 'B N D -> B D', 'mean')\n    centred = pooled - einops.reduce(pooled, 'B D -> 1 D', 'mean')\n    values = torch.linalg.eigvalsh(centred.T @ centred).clamp_min(0) ** (power / 2)\n    p = values / values.sum()\n    return {'spread': std.quantile(0.5), 'rank': torch.exp(-torch.xlogy(p, p).sum())}",
        "def spread_and_rank(h, power):\n    import statistics\n    B, N, D = h.shape\n    per_feature = []\n    for d in range(D):\n        per_feature.append(sum(statistics.pstdev(h[:, n, d].tolist()) for n in range(N)) / N)\n    pooled = np.array([[np.mean(h[b, :, d].tolist()) for d in range(D)] for b in range(B)])\n    s = np.linalg.svd(pooled - pooled.mean(0), full_matrices=False)[1]\n    p = s ** power / np.sum(s ** power)\n    return {'spread': statistics.median(per_feature), 'rank': float(np.exp(stats.entropy(p)))}",
        "def spread_and_rank(h, power):\n    s = torch.linalg.svd(h.mean(1) - h.mean((0, 1)), full_matrices=False).S.pow(power)\n    p = s / s.sum()\n    p = p[p > 0]\n    return dict(spread=np.percentile(h.numpy().std(0).mean(0), 50), rank=float(torch.prod(p ** -p)))",
        "def spread_and_rank(h, power):\n    mean = torch.einsum('bnd->nd', h) / len(h)\n    std = (torch.einsum('bnd,bnd->nd', h - mean, h - mean) / len(h)) ** 0.5\n    ordered = std.mean(0).sort().values\n    d = len(ordered)\n    middle = ordered[d // 2] if d % 2 else (ordered[d // 2 - 1] + ordered[d // 2]) / 2\n    s = torch.linalg.svdvals((h - mean).mean(dim=1))\n    log_p = power * s.log() - torch.logsumexp(power * s.log(), 0)\n    p = log_p.exp()\n    return {'spread': middle.item(), 'rank': math.exp(-sum(q * l for q, l in zip(p.tolist(), log_p.tolist()) if q > 0))}",
        "def spread_and_rank(h, power):\n    std, _ = torch.std_mean(h.double(), dim=0, correction=0)\n    v = std.mean(0)\n    spread = (v.median() - (-v).median()) / 2\n    c = h.double().mean(1)\n    c = c - c.mean(0)\n    w = np.linalg.eigvalsh((c @ c.T).numpy())\n    w = np.where(w > 1e-12 * w.max(), w, 0) ** (power / 2)\n    return {'spread': spread.item(), 'rank': float(torch.distributions.Categorical(probs=torch.from_numpy(w)).entropy().exp())}",
    ),
    equivalent={
        "h.mean(dim=1) -> h.sum(dim=1)": "sums are N times the averages, and have the same shares",
        "h.std(dim=0, correction=0).mean(dim=0).numpy() -> h.std(dim=0, correction=0).mean(dim=0)": "np.median takes tensors too",
        "float(spread) -> spread": "a number of numpy is a number",
        "float(rank) -> rank": "a tensor of one number is a number",
        "pooled - pooled.mean(dim=0) -> pooled.mean(dim=0) - pooled": "singular values do not depend on the sign",
    },
)  # fmt: skip

# --- kind_of_collapse ---


def stds(h: torch.Tensor, dim: int) -> dict[str, float]:
    """Along clips (dim 0) or places (dim 1): the average std that the text asks for, and what else people take for it."""
    x = h.double().numpy()
    each, n = x.std(axis=dim), x.shape[dim]
    return {
        "mean": each.mean(), "rms": (each**2).mean() ** 0.5, "median": np.median(each), "max": each.max(), "min": each.min(),
        "sample": each.mean() * (n / (n - 1)) ** 0.5, "together": x.std(axis=(0, 1)).mean(),
        "of the average": x.mean(axis=1 - dim).std(axis=0).mean(),
    }  # fmt: skip


def held(h: torch.Tensor, directions: int, power: int = 2, centered: bool = True, of: str = "average") -> float:
    """The share of the variance that the largest directions hold, or what a wrong answer takes for it."""
    x = h.double().numpy()
    x = {"average": x.mean(axis=1), "all": x.reshape(-1, x.shape[2]), "first": x[:, 0], "last": x[:, -1], "largest": x.max(axis=1), "middle": np.median(x, axis=1)}[of]  # fmt: skip
    s = np.linalg.svd(x - x.mean(axis=0) * centered, compute_uv=False) ** power
    return float(s[:directions].sum() / s.sum())


def limit_between(low: float, high: float) -> float | None:
    """A limit between two numbers; None if they are too close, or in the other order."""
    return float((low * high) ** 0.5) if high > 1.03 * low > 0 else None


def share_between(a: float, b: float) -> float | None:
    """A share between two; None if they are too close."""
    return (a + b) / 2 if abs(a - b) > 0.03 else None


def skewed(rng: Rng, dim: int, many: float) -> np.ndarray:
    """Scales of features: one differs from all others, which are `many`."""
    return np.array(rng.permutation([1.05 - many, *[many] * (dim - 1)])) * rng.uniform(0.95, 1.05, dim)


def low_across(rng: Rng, places: float, above: tuple[str, ...], digits: int | None = None) -> dict[str, Any] | None:
    """Clips with an average std below the limit, and numbers `above` it: others, such as the median, are above too, or all below.

    places: how much places differ; 0 for clips that are the same at all places.
    """
    clips, tokens, dim = int(rng.integers(4, 9)), int(rng.integers(2, 6)), int(rng.integers(4, 7))
    scale = skewed(rng, dim, 0.97 if "median" in above else 0.1)
    own = rng.normal(size=(clips, tokens, dim)) if places else rng.normal(size=(clips, 1, dim)).repeat(tokens, axis=1)
    h = tensor(scale * own + places * rng.normal(size=(1, tokens, dim)) + rng.normal(0, 3, dim), digits)
    across, within = stds(h, 0), stds(h, 1)["mean"]
    below = max(across[one] for one in ("mean", "rms", "median", "sample") if one not in above)
    limit = limit_between(below, min(across[one] for one in above))
    if limit is None or (places and (within < 1.3 * limit or across["together"] < 1.3 * limit)):
        return None
    return {"h": h, "limit": limit, "directions": 1, "share": 0.5 * held(h, 1)}


def high_across(rng: Rng, kind: str, digits: int | None = None) -> dict[str, Any] | None:
    """Clips, healthy or dimensional, with an average std above the limit, and median, minimum and the average tokens' below it."""
    clips, tokens, dim = int(rng.integers(6, 12)), int(rng.integers(3, 6)), int(rng.integers(4, 7))
    own, place = rng.normal(size=(clips, tokens, dim)), rng.normal(0, 3, (1, tokens, dim))
    h = tensor(skewed(rng, dim, 0.1) * own + place, digits)
    across = stds(h, 0)
    limit = limit_between(max(across[one] for one in ("median", "min", "of the average")), across["mean"])
    share = held(h, 1) * (0.8 if kind == "dimensional" else 1.03)
    return {"h": h, "limit": limit, "directions": 1, "share": share} if limit and share < 0.98 else None


def one_within(rng: Rng, above: tuple[str, ...], below: tuple[str, ...], digits: int | None = None) -> dict[str, Any] | None:  # fmt: skip
    """Clips that are nearly the same, whose average std over places is on one side of the limit, and other numbers on the other."""
    clips, tokens, dim = int(rng.integers(3, 8)), int(rng.integers(3, 6)), int(rng.integers(4, 7))
    scale = skewed(rng, dim, 0.97 if "median" in above else 0.1)
    h = tensor(scale * (rng.normal(size=(1, tokens, dim)) + 0.05 * rng.normal(size=(clips, tokens, dim))) + rng.normal(0, 3, dim), digits)  # fmt: skip
    within, across = stds(h, 1), stds(h, 0)["mean"]
    limit = limit_between(max(within[one] for one in below), min(within[one] for one in above))
    return {"h": h, "limit": limit, "directions": 1, "share": 0.5 * held(h, 1)} if limit and across < 0.5 * limit else None  # fmt: skip


def within_each(rng: Rng, digits: int | None = None) -> dict[str, Any] | None:
    """Clips that differ so much within that the limit is reached, though the average clip, the first and the last do not."""
    clips, tokens, dim = int(rng.integers(4, 8)), int(rng.integers(4, 7)), int(rng.integers(3, 6))
    noise = np.array([0.2, *[1.0] * (clips - 2), 0.2])[:, None, None] * rng.normal(size=(clips, tokens, dim))
    h = tensor(noise + 0.8 * rng.normal(size=(1, tokens, dim)), digits)
    within, across = stds(h, 1), stds(h, 0)["mean"]
    limit = limit_between(max(within["of the average"], across, *(stds(h[i : i + 1], 1)["mean"] for i in (0, -1 % clips))), within["mean"])  # fmt: skip
    return limit and {"h": h, "limit": limit, "directions": 1, "share": 0.5 * held(h, 1)}


def by_clip(rng: Rng, strength: float, above: str, below: str, digits: int | None = None) -> dict[str, Any] | None:
    """Clips with one pattern of places, one of them at another strength: their within is on one side of the limit, and another number is not.

    above, below: which of the two is above the limit, mean, median or max over clips.
    """
    clips, tokens, dim = int(rng.choice([5, 7])), int(rng.integers(3, 6)), int(rng.integers(3, 6))
    strengths = rng.permutation([strength, *[1.0] * (clips - 1)])[:, None, None] * rng.uniform(0.95, 1.05)
    h = tensor(strengths * rng.normal(size=(1, tokens, dim)) + rng.normal(0, 3, dim), digits)
    each = h.double().numpy().std(axis=1).mean(axis=1)
    limit = limit_between(getattr(np, below)(each), getattr(np, above)(each))
    if limit is None or stds(h, 0)["mean"] > 0.95 * limit:
        return None
    return {"h": h, "limit": limit, "directions": 1, "share": 0.5 * held(h, 1)}


def by_place(rng: Rng, strength: float, digits: int | None = None) -> dict[str, Any] | None:
    """Clips that differ more (or less) at one place than at all others: the average over places and those at others are on two sides of the limit."""
    clips, tokens, dim = int(rng.integers(6, 10)), int(rng.choice([5, 7])), int(rng.integers(3, 6))
    strengths = np.array([1.0, *rng.permutation([strength, *[1.0] * (tokens - 3)]), 1.0])[:, None]
    h = tensor(strengths * rng.normal(size=(clips, tokens, dim)) + rng.normal(0, 3, dim), digits)
    each, across = h.double().numpy().std(axis=0).mean(axis=1), stds(h, 0)["mean"]
    others = [np.median(each), each[0], each[-1]]
    limit = limit_between(max(others), across) if strength > 1 else limit_between(across, min(others))
    near = limit is None or abs(stds(h, 1)["mean"] / limit - 1) < 0.03
    return None if near else {"h": h, "limit": limit, "directions": 1, "share": 0.5 * held(h, 1)}


def by_deviations(rng: Rng, digits: int | None = None) -> dict[str, Any] | None:
    """Clips whose average std reaches the limit; their average distance from the mean does not."""
    h = tensor(rng.normal(size=(int(rng.integers(6, 12)), int(rng.integers(2, 6)), int(rng.integers(3, 6)))), digits)
    limit = limit_between(float((h - h.mean(dim=0)).abs().mean()), stds(h, 0)["mean"])
    return limit and {"h": h, "limit": limit, "directions": 1, "share": 0.8 * held(h, 1)}


def by_a_hair(rng: Rng, side: int, digits: int | None = None) -> dict[str, Any] | None:
    """A share that is just missed (side 1) or just reached (side -1); rounded to one or two digits it would not be."""
    h = directed(rng, [*rng.uniform(0.4, 1.2, 4)], noise=0.3, digits=digits)
    right = held(h, 1)
    is_moved = min(side * (round(right, 1) - right), side * (round(right, 2) - right)) > 0.002
    return alive(rng, h, 1, right + side * 0.001 if is_moved else None)


def lopsided(rng: Rng, digits: int | None = None) -> dict[str, Any] | None:
    """Clips with an outlier, whose variance around their middle clip would be another."""
    clips, dim = int(rng.choice([5, 7])), int(rng.integers(3, 5))
    away = np.zeros((clips, 1, dim))
    away[0] = 2.5
    h = tensor(rng.permutation(away + rng.normal(size=(clips, 2, dim))) + rng.normal(0, 1, dim), digits)
    middle = h.mean(dim=1).median(dim=0).values
    return alive(rng, h, 1, share_between(held(h, 1), held(h - middle, 1, centered=False)))


def one_place(rng: Rng) -> dict[str, Any]:
    """Clips of one place that are nearly the same."""
    return {"h": tensor(2 + 0.1 * rng.normal(size=(int(rng.integers(4, 8)), 1, 3))), "limit": 0.5, "directions": 1, "share": 0.3}  # fmt: skip


def directed(rng: Rng, values: list[float], noise: float = 0.0, common: float = 0.0, digits: int | None = None) -> torch.Tensor:  # fmt: skip
    """Features whose pooled part has std `values` along orthogonal directions; noise vanishes in the average over tokens."""
    clips, tokens, dim = int(rng.integers(8, 20)), int(rng.integers(2, 7)), len(values)
    drawn = rng.normal(size=(clips, dim))
    q = np.linalg.qr(drawn - drawn.mean(axis=0))[0] * clips**0.5
    turn = np.linalg.qr(rng.normal(size=(dim, dim)))[0]
    extra = noise * rng.normal(size=(clips, tokens, dim))
    pooled = (q * np.array(values) @ turn)[:, None] + common * rng.normal(size=dim)
    return tensor(pooled + extra - extra.mean(axis=1, keepdims=True), digits)


def alive(rng: Rng, h: torch.Tensor, directions: int, share: float | None) -> dict[str, Any] | None:
    """A case far from dead."""
    limit = stds(h, 0)["mean"] / float(rng.uniform(3, 6))
    return share and {"h": h, "limit": limit, "directions": directions, "share": share}


def by_squares(rng: Rng, digits: int | None = None) -> dict[str, Any] | None:
    """Dimensional by variance, and not by singular values."""
    h = directed(rng, [float(rng.uniform(1.2, 1.8)), *rng.uniform(0.3, 0.6, 4)], noise=0.3, digits=digits)
    return alive(rng, h, 1, share_between(held(h, 1), held(h, 1, power=1)))


def with_common(rng: Rng, digits: int | None = None) -> dict[str, Any] | None:
    """Healthy; by cubes it would be dimensional, and also if the vector that all clips share were a direction."""
    h = directed(rng, [0.8, *rng.uniform(0.4, 0.5, 3)], noise=0.3, common=6.0, digits=digits)
    right, wrong = held(h, 1), min(held(h, 1, power=3), held(h, 1, centered=False))
    return alive(rng, h, 1, share_between(right, wrong) if right < wrong else None)


def with_noise(rng: Rng, digits: int | None = None) -> dict[str, Any] | None:
    """Dimensional where tokens are averaged, and not in all tokens or in one: they differ in every direction."""
    h = directed(rng, [0.9, 0.7, *rng.uniform(0.02, 0.05, 3)], noise=1.0, digits=digits)
    right, wrong = held(h, 2), max(held(h, 2, of=other) for other in ("all", "first", "last", "largest", "middle"))
    return alive(rng, h, 2, share_between(right, wrong) if right > wrong else None)


def counted(rng: Rng, right: int, wrong: int, digits: int | None = None) -> dict[str, Any] | None:
    """The largest `right` directions give another answer than `wrong` do, and all tokens of a clip are the same."""
    h = directed(rng, [*rng.uniform(0.7, 1.2, 4), 0.3], digits=digits)
    return alive(rng, h, right, share_between(held(h, right), held(h, wrong)))


def of_eight(rng: Rng) -> dict[str, Any] | None:
    """More features than elsewhere, and more directions that count."""
    h = directed(rng, [*rng.uniform(0.7, 1.2, 7), 0.3])
    return alive(rng, h, 4, share_between(held(h, 4), held(h, 5)))


def both_low(rng: Rng, digits: int | None = None) -> dict[str, Any] | None:
    """Across and within are below the limit, and the std of all tokens together is not."""
    clips, tokens, dim = int(rng.integers(4, 8)), int(rng.integers(3, 6)), int(rng.integers(3, 6))
    h = tensor(rng.normal(size=(clips, 1, dim)) + rng.normal(size=(1, tokens, dim)), digits)
    across, within = stds(h, 0), stds(h, 1)
    limit = limit_between(max(across["mean"], within["mean"]), across["together"])
    return limit and {"h": h, "limit": limit, "directions": 1, "share": 0.5 * held(h, 1)}


def uneven_features(rng: Rng, digits: int | None = None) -> dict[str, Any] | None:
    """Dimensional, since one feature is far larger than the others; divided by its std it would be like them."""
    h = tensor(rng.normal(size=(14, 2, 4)) * rng.permutation([4.0, 1.0, 0.9, 1.1]), digits)
    return alive(rng, h, 1, share_between(held(h, 1), held(h / h.mean(dim=1).std(dim=0), 1)))


def few_clips(rng: Rng) -> dict[str, Any] | None:
    """Healthy, though there are more features than clips."""
    h = tensor(rng.normal(size=(4, 3, 9)))
    return alive(rng, h, 1, held(h, 1) + 0.05)


def at_the_limit(rng: Rng, of_clips: bool) -> dict[str, Any]:
    """Across or within is exactly the limit: two clips, or two places, on both sides of a mean, in numbers that every way gets right.

    With clips the numbers have more digits than half precision.
    """
    factor, offset = (0.125, 64.0) if of_clips else (float(rng.choice([0.5, 1.0, 4.0])), -2.0)
    sizes = np.array([0.25, 0.75, 0.5, 1.5, 1.0, 0.5, 0.25, 2.25]).reshape(2, 4) * factor
    base, signs = offset + rng.integers(2, 10, (2, 4)) / 4, rng.permutation([1.0, -1.0])
    if of_clips:
        h = base + signs[:, None, None] * rng.permuted(sizes, axis=1)
    else:
        h = np.repeat((base[0] + signs[:, None] * rng.permutation(sizes.ravel())[:4])[None], int(rng.integers(2, 6)), axis=0)  # fmt: skip
    made = tensor(h)
    limit = float(made.std(dim=0 if of_clips else 1, correction=0).mean())
    return {"h": made, "limit": limit, "directions": 1, "share": 0.9}


def all_in_one(rng: Rng) -> dict[str, Any] | None:
    """One feature has all the variance of the averages, and exactly that share is asked.

    None if its singular value is not exact, so that squares of the features add up to another number.
    """
    h = np.zeros((4, 2, int(rng.integers(2, 4))))
    first, other = rng.permutation(h.shape[2])[:2]
    h[:, :, first] = (rng.permutation([1.0, -1.0, -1.0, 1.0]) * rng.choice([0.5, 1.0, 2.0]))[:, None]
    h[:, :, other] = rng.choice([0.25, 0.5]) * np.array([1.0, -1.0])
    made = tensor(h)
    pooled = made.mean(dim=1)
    case = {"h": made, "limit": 0.01, "directions": 1, "share": 1.0}
    return case if torch.linalg.svdvals(pooled).square().sum() == pooled.square().sum() else None


def scaled(case: dict[str, Any], factor: float) -> dict[str, Any]:
    """The same case with larger or smaller numbers."""
    return {**case, "h": case["h"] * factor, "limit": case["limit"] * factor}


ALL = ("rms", "median", "max", "sample")
KINDS = {  # rule -> a visible case
    "clips that are all the same, with places that differ, are content-free": {"h": torch.tensor([[0.0, 4.0], [2.0, 0.0]]).expand(3, 2, 2).clone(), "limit": 0.01, "directions": 1, "share": 0.9},
    "an across that is exactly at the limit is not below it": {"h": torch.tensor([[[0.25, 0.5]], [[0.5, 1.25]]]), "limit": 0.25, "directions": 1, "share": 0.8},
    "a within that is exactly at the limit is not below it": {"h": torch.tensor([[0.25, 0.5], [0.5, 1.25]]).expand(2, 2, 2).clone(), "limit": 0.25, "directions": 1, "share": 0.8},
    "across is an average of stds across clips, each divided by n": until(lambda: low_across(SEEN, 3.0, ALL, 2)),
    "an average is not low because most stds are": until(lambda: high_across(SEEN, "healthy", 2)),
    "across and within below the limit are complete, in whatever direction the rest lies": until(lambda: low_across(SEEN, 0.0, ("max",), 2)),
    "within is an average of stds over places, each divided by n": until(lambda: one_within(SEEN, ALL, ("mean",), 2)),
    "an average of stds is not the root of an average of variances": until(lambda: one_within(SEEN, ("rms", "max"), ("mean", "sample"), 2)),
    "within is that of each clip, averaged over clips": until(lambda: within_each(SEEN, 2)),
    "within is not the std of all tokens together": until(lambda: both_low(SEEN, 2)),
    "variance goes with the squared singular values": until(lambda: by_squares(SEEN, 2)),
    "the mean over clips is subtracted": until(lambda: with_common(SEEN, 2)),
    "features stay as large as they are": until(lambda: uneven_features(SEEN, 2)),
    "the tokens of a clip are averaged first": until(lambda: with_noise(SEEN, 2)),
    "the largest `directions` count, no more": until(lambda: counted(SEEN, 2, 3, 2)),
    "the largest `directions` count, no fewer": until(lambda: counted(SEEN, 2, 1, 2)),
    "exactly `share` is enough": until(lambda: all_in_one(SEEN)),
    "within is an average over clips, not that of a middle clip": until(lambda: by_clip(MORE, 3.0, "mean", "median", 2)),
    "within is an average over clips, not the largest": until(lambda: by_clip(MORE, 1.8, "max", "mean", 2)),
    "across is an average over places": until(lambda: by_place(MORE, 4.0, 2)),
    "a std is the root of a mean squared distance": until(lambda: by_deviations(MORE, 2)),
    "with one place within is 0": {"h": torch.tensor([[[1.0, 2.0]], [[1.25, 2.0]], [[1.0, 2.25]]]), "limit": 0.25, "directions": 1, "share": 0.9},
    "a share that is nearly reached is not reached": until(lambda: by_a_hair(MORE, 1, 2)),
}  # fmt: skip


def kinds(rng: Rng) -> list[tuple[str, dict[str, Any]]]:
    """Features of every kind, at every scale, each on the other side of a limit than a wrong number is."""
    free, border, border_within, across, most, complete, within, no_root, each, together, squares, common, large, averaged, no_more, no_fewer, enough, middle, largest, places, root, one, nearly = KINDS  # fmt: skip
    drawn: list[tuple[str, Callable[[], dict[str, Any] | None]]] = [
        (free, lambda: one_within(rng, ("mean",), ("median", "min"))),
        (across, lambda: low_across(rng, 3.0, ALL)),
        (most, lambda: high_across(rng, str(rng.choice(["healthy", "dimensional"])))),
        (complete, lambda: low_across(rng, 0.0, ("max",))),
        (within, lambda: one_within(rng, ALL, ("mean",))),
        (no_root, lambda: one_within(rng, ("rms", "max"), ("mean", "sample"))),
        (each, lambda: within_each(rng)),
        (together, lambda: both_low(rng)),
        (large, lambda: uneven_features(rng)),
        (no_more, lambda: few_clips(rng)),
        (squares, lambda: by_squares(rng)),
        (common, lambda: with_common(rng)),
        (averaged, lambda: with_noise(rng)),
        (no_more, lambda: counted(rng, 1, 2)),
        (no_fewer, lambda: counted(rng, 3, 2)),
        (no_fewer, lambda: alive(rng, directed(rng, [0.8, *rng.uniform(0.5, 0.8, 2)]), 3, 0.97)),  # all directions
        (no_more, lambda: of_eight(rng)),
        (middle, lambda: by_clip(rng, 3.0, "mean", "median")),
        (largest, lambda: by_clip(rng, 1.8, "max", "mean")),
        (places, lambda: by_place(rng, 4.0)),
        (places, lambda: by_place(rng, 0.1)),
        (root, lambda: by_deviations(rng)),
        (one, lambda: one_place(rng)),
        (nearly, lambda: by_a_hair(rng, 1)),
        (nearly, lambda: by_a_hair(rng, -1)),
        (common, lambda: lopsided(rng)),
    ]
    same = until(lambda: by_deviations(rng))
    # a variance in place of a std is too small in small numbers, and too large in large ones
    sign = {free: -1, most: -1, across: 1, within: 1}
    cases = [
        (rule, scaled(until(draw), float(10 ** (rng.uniform(0.7, 2) * sign.get(rule, rng.choice([-1, 1]))))))
        for rule, draw in drawn
    ]
    return [
        *cases,
        (border, at_the_limit(rng, True)),
        (border_within, at_the_limit(rng, False)),
        (enough, until(lambda: all_in_one(rng))),
        (root, scaled(same, 1e-3)),
        (complete, {**same, "h": same["h"] / 1000}),  # what was kept from a call of this size is wrong
        (free, scaled(until(lambda: one_within(rng, ("mean",), ("median", "min"))), 1e-3)),
    ]


ACROSS, WITHIN = "h.std(dim=0, correction=0).mean()", "h.std(dim=1, correction=0).mean()"
DEAD = f'    if {ACROSS} < limit:\n        return "complete" if {WITHIN} < limit else "content-free"\n'
KIND = "kind_of_collapse"


def in_both(old: str, new: str) -> str:
    """The right answer with one part exchanged in across and in within."""
    return slip(KIND, (ACROSS, ACROSS.replace(old, new)), (WITHIN, WITHIN.replace(old, new)))


KIND_OF_COLLAPSE = Exercise(
    KIND,
    ("minivjepa.collapse.feature_std", "minivjepa.collapse.position_std", "minivjepa.collapse.singular_values", "minivjepa.collapse.effective_rank",
     "minivjepa.collapse.token_metrics"),
    KINDS,
    kinds,
    (
        ("directions are asked for before the std: what is left of dead features may have few directions too, but rule 2 comes first", slip(KIND, (DEAD, ""), ('    return "dim', f"    if variance[:directions].sum() < share * variance.sum() and {ACROSS} < limit:\n        return 'complete' if {WITHIN} < limit else 'content-free'\n    return \"dim"))),
        ("across and within are exchanged: dim 0 counts the clips, dim 1 the places", slip(KIND, (ACROSS, "HERE"), (WITHIN, ACROSS), ("HERE", WITHIN))),
        ("complete and content-free are exchanged: in a content-free collapse, places still differ", slip(KIND, ('"complete" if', '"HERE" if'), ('"content-free"', '"complete"'), ('"HERE"', '"content-free"'))),
        ("across is taken over clips and places together, so that places which differ hide clips which do not", slip(KIND, (ACROSS, "h.std(dim=(0, 1), correction=0).mean()"))),
        ("across is taken of the average tokens, where differences cancel out: take it at fixed places", slip(KIND, (ACROSS, "h.mean(dim=1).std(dim=0, correction=0).mean()"))),
        ("within is taken over all tokens together, so that clips that differ a little raise it: take it of each clip", slip(KIND, (WITHIN, "h.flatten(0, 1).std(dim=0, correction=0).mean()"))),
        ("within is taken of the average clip, where what clips differ in cancels out: take it of each clip", slip(KIND, (WITHIN, "h.mean(dim=0).std(dim=0, correction=0).mean()"))),
        ("the stds are divided by n - 1, which torch does unless it is told otherwise; the population's are divided by n", slip(KIND, (ACROSS, "h.std(dim=0).mean()"), (WITHIN, "(h.var(dim=1, correction=0) * h.shape[1] / (h.shape[1] - 1)).sqrt().mean()"))),
        ("these are medians over places and features; across and within are averages", in_both("mean", "median")),
        ("every single std has to be below the limit here; the rule asks for their average", in_both("mean", "amax")),
        ("these are average distances from the mean; a std is the root of the average squared distance", slip(KIND, (ACROSS, "(h - h.mean(dim=0)).abs().mean()"), (WITHIN, "(h - h.mean(dim=1, keepdim=True)).abs().mean()"))),
        ("within is that of the middle clip; average over clips", slip(KIND, (WITHIN, "h.std(dim=1, correction=0).mean(dim=1).median()"))),
        ("within is that of the clip with the largest; average over clips", slip(KIND, (WITHIN, "h.std(dim=1, correction=0).mean(dim=1).max()"))),
        ("across is that of the middle place; average over places", slip(KIND, (ACROSS, "h.std(dim=0, correction=0).mean(dim=1).median()"))),
        ("variances are averaged before the root; average the stds themselves", in_both("std", "var").replace(".mean() < limit", ".mean().sqrt() < limit")),
        ("a number that is exactly at the limit is not below it", slip(KIND, ("< limit", "<= limit"))),
        ("one low number is enough here for complete; it takes both, and clips whose places agree may be healthy", slip(KIND, (DEAD, f'    if {ACROSS} < limit or {WITHIN} < limit:\n        return "complete"\n'))),
        ("the variance along a direction is its singular value squared", slip(KIND, (" ** 2", ""))),
        ("the mean over clips was not subtracted: the vector that all clips share looks like one strong direction", slip(KIND, (CENTERED, "pooled"))),
        ("every feature is divided by its std before the directions, so that none is larger than another: only subtract the mean", slip(KIND, ("pooled - pooled.mean(dim=0)", "(pooled - pooled.mean(dim=0)) / pooled.std(dim=0).clamp_min(1e-9)"))),
        ("only the largest direction is counted: the argument directions says how many", slip(KIND, ("variance[:directions].sum()", "variance[0]"))),
        ("one direction too many is counted: a slice ends before its second number", slip(KIND, ("variance[:directions]", "variance[:directions + 1]"))),
        ("the directions are those of all tokens, where places have directions too; average each clip's tokens first", slip(KIND, ("pooled = h.mean(dim=1)", "pooled = h.flatten(0, 1)"))),
        ("the share is rounded before it is compared: compare it as it is", slip(KIND, ("variance[:directions].sum() >= share * variance.sum()", "round(float(variance[:directions].sum() / variance.sum()), 2) >= share"))),
        ("exactly `share` of the variance is enough: at least means >=", slip(KIND, (">= share", "> share"))),
    ),
    (
        "def kind_of_collapse(h, limit, directions, share):\n    x = h.numpy().astype(float)\n    dead = x.std(axis=0).mean() < limit\n    still = x.std(axis=1).mean() < limit\n    if dead and still:\n        return 'complete'\n    if dead:\n        return 'content-free'\n    c = np.cov(x.mean(axis=1), rowvar=False, bias=True)\n    v = sorted(np.linalg.eigvalsh(c), reverse=True)\n    return 'healthy' if sum(v[:directions]) / sum(v) < share else 'dimensional'",
        "def kind_of_collapse(h, limit, directions, share):\n    def spread(axis):\n        return float(((h - h.mean(axis, keepdim=True)) ** 2).mean(axis).sqrt().mean())\n    if spread(0) >= limit:\n        pooled = einops.reduce(h, 'B N D -> B D', 'mean')\n        s = torch.linalg.svdvals(pooled - pooled.mean(0, keepdim=True))\n        held = s.square().cumsum(0) / s.square().sum()\n        return ('healthy', 'dimensional')[int(held[directions - 1] >= share)]\n    return ('content-free', 'complete')[int(spread(1) < limit)]",
        "def kind_of_collapse(h, limit, directions, share):\n    import statistics\n    B, N, D = h.shape\n    x = h.tolist()\n    across = statistics.fmean(statistics.pstdev([x[b][n][d] for b in range(B)]) for n in range(N) for d in range(D))\n    within = statistics.fmean(statistics.pstdev([x[b][n][d] for n in range(N)]) for b in range(B) for d in range(D))\n    if across < limit:\n        if within < limit:\n            return 'complete'\n        return 'content-free'\n    c = h.numpy().mean(1)\n    s = np.linalg.svd(c - c.mean(0))[1]\n    s = s * s / np.sum(s * s)\n    if s[:directions].sum() >= share - 1e-9:\n        return 'dimensional'\n    return 'healthy'",
        "def kind_of_collapse(h, limit, directions, share):\n    across = h.double().var(0, unbiased=False).sqrt().mean().item()\n    within = h.double().var(1, unbiased=False).sqrt().mean().item()\n    c = h.mean(1) - h.mean((0, 1))\n    gram = torch.einsum('bd,cd->bc', c, c).double()\n    v = torch.linalg.eigvalsh(gram).flip(0)\n    few = v[:directions].sum() / v.sum() > share - 1e-7\n    table = {(True, True): 'complete', (True, False): 'content-free'}\n    return table.get((across < limit, within < limit), 'dimensional' if few else 'healthy')",
        "def kind_of_collapse(h, limit, directions, share):\n    a = torch.std(h, dim=0, unbiased=False).flatten().sum() / h[0].numel()\n    w = torch.std(h, dim=1, unbiased=False).flatten().sum() / h[:, 0].numel()\n    if not a < limit:\n        p = h.mean(dim=1)\n        u, s, v = torch.linalg.svd(p - p.mean(dim=0))\n        top, _ = (s ** 2).topk(directions)\n        return 'dimensional' if float(top.sum()) >= share * float((s ** 2).sum()) else 'healthy'\n    return 'content-free' if w >= limit else 'complete'",
        "def kind_of_collapse(h, limit, directions, share):\n    x = h.numpy()\n    match (bool(np.std(x, 0).mean() < limit), bool(np.std(x, 1).mean() < limit)):\n        case (True, True):\n            return 'complete'\n        case (True, False):\n            return 'content-free'\n    c = x.mean(1) - x.mean((0, 1))\n    v = np.linalg.svd(c, compute_uv=False) ** 2\n    rest = v[directions:].sum()\n    return 'dimensional' if rest <= (1 - share) * v.sum() else 'healthy'",
    ),
    equivalent={
        "h.mean(dim=1) -> h.sum(dim=1)": "sums are N times the averages, and have the same shares",
        "pooled - pooled.mean(dim=0) -> pooled.mean(dim=0) - pooled": "singular values do not depend on the sign",
    },
)  # fmt: skip

# --- diagnose ---

RUNS: dict[str, Log] = function_of(given_code("hw3"), "", "RUNS")  # type: ignore[assignment]  # as the notebook gives them
RECORDED = json.loads((Path(__file__).parents[2] / "results" / "matrix.json").read_text())["arms"]
SHOWN = {("frozen", 13), ("neither", 11), ("no-ema", 14), ("no-stopgrad", 10), ("vjepa", 12)}  # which runs A to E are


def recorded(rng: Rng, arm: str) -> Log:
    """What a run of an arm logged, one that the notebook does not show."""
    run = rng.choice([run for run in RECORDED[arm] if (arm, run["seed"]) not in SHOWN])
    keys = ("loss", "feature_std", "target_feature_std", "effective_rank", "margin")
    return [{"step": row["step"], **{key: round(row[key], 4) for key in keys}} for row in run["history"] if row["step"]]


def drawn_steps(rng: Rng, count: int) -> list[int]:
    """Steps at uneven distances."""
    return [int(step) for step in 10 * np.sort(rng.choice(np.arange(1, 90), count, replace=False))]


def log(online: list[float], target: list[float] | None = None, margin: list[float] | None = None, loss: tuple[float, float] = (1.0, 0.2),
        steps: list[int] | None = None, rank: tuple[float, float] = (40.0, 30.0)) -> Log:  # fmt: skip
    """A made-up log; loss and rank go from their first number to their second."""
    n = len(online)
    columns = {
        "step": steps or [100 * (i + 1) for i in range(n)],
        "loss": np.linspace(*loss, n).round(4).tolist(),
        "feature_std": online,
        "target_feature_std": target or online,
        "effective_rank": np.linspace(*rank, n).round(1).tolist(),
        "margin": margin or [0.0] * n,
    }
    return [dict(zip(columns, row)) for row in zip(*columns.values())]


def numbers(rng: Rng, text: str, low: float, high: float) -> list[float]:
    """A number for each letter: 0 zero, v far below low, d below, k just below, D exactly low, n just above, m between,
    K just below high, A exactly high, a above, z far above, w as far below 0."""
    gap = high - low
    drawn = {
        "v": lambda: 0.1 * low, "d": lambda: low - (low or gap) * rng.uniform(0.05, 0.9), "k": lambda: 0.99999 * low, "D": lambda: low, "n": lambda: 1.0003 * low,
        "m": lambda: low + gap * rng.uniform(0.05, 0.95), "K": lambda: 0.99999 * high, "A": lambda: high, "a": lambda: high * rng.uniform(1.05, 1.5), "z": lambda: high * rng.uniform(3, 5),
        "w": lambda: -high * rng.uniform(3, 5), "0": lambda: 0.0,
    }  # fmt: skip
    return [float(drawn[letter]()) for letter in text]


PATIENT = {"gone": 0.01, "alive": 0.1, "margin": 0.05}
DIAGNOSES = {  # rule -> a visible case
    "a low target by itself is a collapsed target, and low is what is below `gone`": {"rows": log([0.7, 0.03, 0.2], [0.7, 0.03, 0.02]), "last": 2, "gone": 0.04, "alive": 0.3, "margin": 0.1},
    "an online encoder that is low in each of the last rows has collapsed, whatever its target does": {"rows": log([0.7, 0.05, 0.016], [0.7, 0.3, 0.2]), "last": 1, "gone": 0.02, "alive": 0.1, "margin": 0.05},
    "the online encoder is asked first": {"rows": RUNS["B"], "last": 3, **PATIENT},
    "the first rule that holds decides, also where `alive` is below `gone`": {"rows": log([0.2, 0.3], margin=[0.2, 0.3]), "last": 2, "gone": 0.4, "alive": 0.1, "margin": 0.05},
    "each of the last rows has to be low, not one and not their average": {"rows": log([0.7, 0.001, 0.24, 0.002], rank=(40.0, 10.0)), "last": 3, "gone": 0.2, "alive": 0.4, "margin": 0.05},
    "each encoder has to be low by itself": {"rows": log([0.7, 0.004, 0.5, 0.003], [0.7, 0.4, 0.006, 0.3]), "last": 3, **PATIENT},
    "a number that is exactly at `gone` is not below it": {"rows": log([0.7, 0.004, 0.01], [0.7, 0.01, 0.006]), "last": 2, **PATIENT},
    "a log with fewer rows than `last` is not yet clear": {"rows": log([0.004, 0.003], [0.02, 0.003]), "last": 3, **PATIENT},
    "too few rows are not yet clear, however healthy they are": {"rows": log([0.6, 0.7], margin=[0.3, 0.4]), "last": 3, **PATIENT},
    "an empty log is not yet clear": {"rows": [], "last": 1, **PATIENT},
    "only the last rows decide, and of margins only the very last": {"rows": log([0.004, 0.003, 0.7, 0.5], margin=[0.0, 0.0, 0.0, 0.4], loss=(0.2, 0.4)), "last": 2, **PATIENT},
    "exactly `alive` and exactly `margin` are healthy": {"rows": log([0.6, 0.5, 0.25], [0.6, 0.25, 0.5], [0.0, 0.2, 0.125], rank=(40.0, 1.0), loss=(0.2, 0.4)), "last": 2, "gone": 0.01, "alive": 0.25, "margin": 0.125},
    "the margin of the last row has to be reached": {"rows": log([0.7, 0.6, 0.5, 0.6], margin=[0.0, 0.3, 0.4, 0.03]), "last": 3, **PATIENT},
    "a `margin` of 0 is a limit like any other": {"rows": log([0.7, 0.6, 0.5], margin=[-0.3, -0.2, -0.1]), "last": 2, **PATIENT, "margin": 0.0},
    "the online encoder has to be alive in each of the last rows": {"rows": log([0.7, 0.05, 0.6, 0.5], [0.7, 0.12, 0.8, 0.9], [0.0, 0.2, 0.3, 0.4]), "last": 3, **PATIENT},
    "the target has to be alive in each of the last rows": {"rows": log([0.7, 0.5, 0.6, 0.5], [0.7, 0.5, 0.2, 0.9], [0.0, 0.2, 0.3, 0.4]), "last": 3, "gone": 0.01, "alive": 0.3, "margin": 0.05},
    "so has a target whose online encoder is only just alive": {"rows": log([0.7, 0.12, 0.8, 0.9], [0.7, 0.05, 0.6, 0.5], [0.0, 0.2, 0.3, 0.4]), "last": 3, **PATIENT},
}  # fmt: skip


def patients(rng: Rng) -> list[tuple[str, dict[str, Any]]]:
    """Logs at the borders of every rule, for other limits each time, and recorded ones."""
    (
        target,
        online,
        order,
        first,
        each,
        apart,
        border,
        short,
        short_healthy,
        empty,
        end,
        healthy,
        enough,
        at_zero,
        online_alive,
        target_alive,
        just_alive,
    ) = DIAGNOSES
    gone, alive, margin = (float(rng.choice(some)) for some in ([0.004, 0.03, 0.04], [0.15, 0.2, 0.3], [0.0, 0.02, 0.1, 0.2]))  # fmt: skip
    falling, rising = {"loss": (1.0, 0.01), "rank": (40.0, 50.0)}, {"loss": (0.1, 0.4), "rank": (40.0, 1.0)}

    def case(last: int, first: str, second: str, margins: str, shape: dict[str, tuple[float, float]]) -> dict[str, Any]:
        """Letters of `numbers` for the online encoder, for the target, and for the margin (D: exactly the limit), row by row."""
        stds_of = [numbers(rng, text, gone, alive) for text in (first, second)]
        rows = log(*stds_of, numbers(rng, margins, margin, margin + 0.1), steps=drawn_steps(rng, len(first)), **shape)
        return {"rows": rows, "last": last, "gone": gone, "alive": alive, "margin": margin}

    mixed = "".join(rng.permutation(list("ddzm")))
    no_margin = {**case(1, "mmA", "ddA", "ddm", rising), "margin": 0.0}
    no_margin["rows"][-1]["margin"] = 0.0
    one = case(3, "azaaa", "azaaa", "mmmmm", falling)
    return [
        (target, case(3, "zzdmd", "zdddd", "mmmmm", falling)),  # the online encoder is low in some of the rows
        (online, case(3, "adkdd", "zzzaz", "aaaaa", falling)),
        (order, case(4, "dddd", "dddd", "aaaa", falling)),  # the log has just enough rows
        (first, {**case(3, "aaaaa", "aaaaa", "mmmmm", rising), "gone": 5 * alive}),
        (each, case(3, "aazdd", "aaddz", "dddda", falling)),
        (each, case(7, "zmdddddd", "zmdddddd", "ddddddda", falling)),
        (each, case(3, "avnv", "avnv", "dddd", falling)),
        (apart, case(4, "a" + mixed, "a" + mixed.translate(str.maketrans("dzm", "zdd")), "ddddd", falling)),
        (border, case(3, "aadDd", "aadDd", "ddddd", falling)),
        (short, case(4, "ddd", "ddd", "mmm", rising)),
        (short, case(3, "zz", "dd", "mm", falling)),
        (short_healthy, case(4, "aza", "zaa", "mmm", rising)),
        (empty, {"rows": [], "last": int(rng.integers(1, 4)), "gone": gone, "alive": alive, "margin": margin}),
        (end, no_margin),
        (healthy, case(3, "ddAzA", "mdzaA", "ddddD", rising)),
        (enough, case(3, "azaaa", "azaaa", "mmmmd", falling)),
        (enough, case(2, "aaza", "azaa", "mmww", rising)),
        (at_zero, {**case(2, "azaa", "azaa", "mmmw", rising), "margin": 0.0}),
        *(
            (enough, {**one, "rows": [*one["rows"][:-1], {**one["rows"][-1], "margin": last}], "margin": 0.1})
            for last in (0.0, 0.09999)
        ),
        (healthy, one),
        (online_alive, {**one, "alive": 9.0}),  # the same log, another limit
        (online_alive, case(3, "zzzKz", "zzzzz", "mmmmm", falling)),
        (target_alive, case(3, "zzzzz", "zzKzz", "mmmmm", falling)),
        (just_alive, case(3, "zzAzz", "zzmzz", "mmmmm", falling)),
    ]


FIRST = '    if max(online) < gone:\n        return "collapsed"\n'
SECOND = '    if max(target) < gone:\n        return "target collapsed"\n'
TOO_SHORT = '    if len(end) < last:\n        return "not yet clear"\n'
ENOUGH = 'end[-1]["margin"] >= margin'
OF_ALL = '    online, target = [row["feature_std"] for row in rows], [row["target_feature_std"] for row in rows]\n'
DIAGNOSE = Exercise(
    "diagnose",
    ("minivjepa.evaluation.collapsed_runs.collapsed", "minivjepa.evaluation.collapsed_runs.alarm", "minivjepa.collapse.early_warning"),
    DIAGNOSES,
    patients,
    (
        ("the target encoder is not looked at: a run can die in its target while the online encoder looks well", slip("diagnose", (SECOND, ""), ("online + target", "online"))),
        ("healthy is decided by the online encoder only; both have to be alive", slip("diagnose", ("min(online + target)", "min(online)"))),
        ("the average of both encoders is compared with `alive`; each has to be alive by itself", slip("diagnose", ("min(online + target)", "min(np.add(online, target) / 2)"))),
        ("only the very last row is looked at; each of the last rows has to be below, or alive", slip("diagnose", (TOO_SHORT, TOO_SHORT + "    online, target = online[-1:], target[-1:]\n"))),
        ("one low row is enough here to call an encoder collapsed: it has to be low in each of the last rows", slip("diagnose", ("max(", "min("))),
        ("the average of the last rows is compared: one very low row pulls it down; ask each row", slip("diagnose", ("max(", "np.mean("), ("min(online + target)", "min(np.mean(online), np.mean(target))"))),
        ("the target counts as collapsed where the lower of the two encoders is below in each row; the target itself has to be", slip("diagnose", ("max(target) < gone", "max(map(min, online, target)) < gone"))),
        ("the whole log is looked at: every run starts alive, and what counts are its last rows", slip("diagnose", (TOO_SHORT, TOO_SHORT + OF_ALL))),
        ("a fallen loss counts as health here: the loss of collapsed runs falls furthest, so no rule mentions it", slip("diagnose", (ENOUGH, 'rows[-1]["loss"] < rows[0]["loss"]'))),
        ("a fallen effective rank counts as collapse here: it falls in healthy runs and stays high in dead ones, so no rule mentions it", slip("diagnose", ("max(online) < gone", 'end[-1]["effective_rank"] < 0.6 * rows[0]["effective_rank"]'))),
        ("the margin is not looked at: features can differ between clips while predictions say nothing about the clip", slip("diagnose", (" and " + ENOUGH, ""))),
        ("the margin is asked of every one of the last rows; only the very last counts", slip("diagnose", (ENOUGH, 'min(row["margin"] for row in end) >= margin'))),
        ("margins before the last one are asked, too; only the very last counts", slip("diagnose", (ENOUGH, 'max(row["margin"] for row in end) >= margin'))),
        ("a `margin` of 0 is a limit too: a margin below 0 does not reach it", slip("diagnose", (ENOUGH, f"(not margin or {ENOUGH})"))),
        ("healthy is asked first here; where `alive` is below `gone` an encoder can be both, and collapsed comes first", slip("diagnose", (TOO_SHORT, TOO_SHORT + f'    if min(online + target) >= alive and {ENOUGH}:\n        return "healthy"\n'))),
        ("the target is asked first, so that runs in which both encoders died are called target collapsed", slip("diagnose", (FIRST + SECOND, SECOND + FIRST))),
        ("a value exactly at the limit is not below it", slip("diagnose", ("< gone", "<= gone"))),
        ("a value exactly at the limit is at least the limit: healthy begins there", slip("diagnose", (">= alive", "> alive"), (">= margin", "> margin"))),
        ("the limits are fixed at 0.01, 0.1 and 0.05: use the arguments", slip("diagnose", ("< gone", "< 0.01"), (">= alive", ">= 0.1"), (">= margin", ">= 0.05"))),
        ("a log with exactly `last` rows is long enough; with fewer it is not yet clear", slip("diagnose", ("len(end) < last", "len(rows) <= last"))),
        ("a log that is too short is called healthy here; with fewer than `last` rows it is not yet clear", slip("diagnose", (TOO_SHORT, f'    if end and min(online + target) >= alive and max(online + target) >= gone and {ENOUGH}:\n        return "healthy"\n' + TOO_SHORT))),
        ("a log that is too short is judged all the same: with fewer than `last` rows it is not yet clear, however low it is", slip("diagnose", (TOO_SHORT, ""), ("max(online)", "max(online, default=1)"), ("max(target)", "max(target, default=1)"), ("min(online + target)", "min(online + target, default=0)"))),
    ),
    (
        "def diagnose(rows, last, gone, alive, margin):\n    if len(rows) < last:\n        return 'not yet clear'\n    std = np.array([[row[key] for key in ('feature_std', 'target_feature_std')] for row in rows])[-last:]\n    dead = (std < gone).all(axis=0)\n    if dead.any():\n        return 'collapsed' if dead[0] else 'target collapsed'\n    good = (std >= alive).all() and rows[-1]['margin'] >= margin\n    return 'healthy' if good else 'not yet clear'",
        "def diagnose(rows, last, gone, alive, margin):\n    end = rows[len(rows) - last:] if len(rows) >= last else None\n    words = [('collapsed', lambda: all(r['feature_std'] < gone for r in end)),\n             ('target collapsed', lambda: all(r['target_feature_std'] < gone for r in end)),\n             ('healthy', lambda: all(min(r['feature_std'], r['target_feature_std']) >= alive for r in end) and not end[-1]['margin'] < margin)]\n    return next((word for word, holds in words if end is not None and holds()), 'not yet clear')",
        "def diagnose(rows, last, gone, alive, margin):\n    if len(rows) < last:\n        return 'not yet clear'\n    online = torch.tensor([r['feature_std'] for r in rows[-last:]], dtype=torch.float64)\n    target = torch.tensor([r['target_feature_std'] for r in rows[-last:]], dtype=torch.float64)\n    if (online < gone).all():\n        return 'collapsed'\n    if (target < gone).all():\n        return 'target collapsed'\n    if torch.minimum(online, target).min() >= alive and rows[-1]['margin'] >= margin:\n        return 'healthy'\n    return 'not yet clear'",
        "def diagnose(rows, last, gone, alive, margin):\n    low_online = low_target = fine = count = 0\n    for row in reversed(rows):\n        if count == last:\n            break\n        count += 1\n        low_online += row['feature_std'] < gone\n        low_target += row['target_feature_std'] < gone\n        fine += row['feature_std'] >= alive and row['target_feature_std'] >= alive\n    if count < last:\n        return 'not yet clear'\n    if low_online == last:\n        return 'collapsed'\n    elif low_target == last:\n        return 'target collapsed'\n    elif fine == last and rows[-1]['margin'] >= margin:\n        return 'healthy'\n    return 'not yet clear'",
        "def diagnose(rows, last, gone, alive, margin):\n    import collections\n    end = list(collections.deque(rows, maxlen=last))\n    word = 'not yet clear'\n    if len(end) == last:\n        online, target = zip(*[(r['feature_std'], r['target_feature_std']) for r in end])\n        if end[-1]['margin'] >= margin and not any(x < alive for x in online + target):\n            word = 'healthy'\n        if not any(x >= gone for x in target):\n            word = 'target collapsed'\n        if not any(x >= gone for x in online):\n            word = 'collapsed'\n    return word",
        "def diagnose(rows, last, gone, alive, margin):\n    match [row for number, row in enumerate(rows) if number >= len(rows) - last]:\n        case end if len(end) < last:\n            return 'not yet clear'\n        case end if sorted(row['feature_std'] for row in end)[-1] < gone:\n            return 'collapsed'\n        case end if sorted(row['target_feature_std'] for row in end)[-1] < gone:\n            return 'target collapsed'\n        case [*_, row] as end if row['margin'] >= margin and np.min([[r['feature_std'], r['target_feature_std']] for r in end]) >= alive:\n            return 'healthy'\n    return 'not yet clear'",
    ),
)  # fmt: skip

# --- first_warning ---


def slim(rows: Log) -> Log:
    """A log without what a warning does not need."""
    return [{key: row[key] for key in ("step", "feature_std", "target_feature_std")} for row in rows]


def stages(rng: Rng, text: str, limit: float, steps: list[int] | None = None) -> Log:
    """A row for each letter: h both encoders are above the limit, o only the online encoder is low, t only the target encoder, b both, 0 both are 0,
    e and f one is exactly at the limit (the online encoder, the target) and the other above, x and y one is below and the
    other just above."""
    letters = {"h": "zz", "o": "dz", "t": "zd", "b": "dd", "0": "00", "e": "Dz", "f": "zD", "x": "vn", "y": "nk"}
    online, target = (numbers(rng, "".join(letters[one][i] for one in text), limit, 1.1 * limit) for i in (0, 1))
    return slim(log(online, target, steps=steps or drawn_steps(rng, len(text))))


ALARMS = {  # rule -> a visible case
    "the rows have to be in a row": {"rows": slim(log([0.7, 0.08, 0.09, 0.11, 0.09, 0.05, 0.03], steps=[0, 5, 10, 20, 50, 90, 95])), "limit": 0.1, "patience": 3, "after": 0},
    "the smaller of the two encoders counts, row by row": {"rows": slim(log([0.7, 0.7, 0.05, 0.11, 0.01, 0.5, 0.5, 0.02, 0.03, 0.02, 0.02], [0.7, 0.05, 0.7, 0.01, 0.11, 0.02, 0.03, 0.5, 0.5, 0.02, 0.02])), "limit": 0.1, "patience": 2, "after": 0},
    "the warning is given at the row which completes them, the first time": {"rows": slim(log([0.7, 0.2, 0.15, 0.8, 0.2, 0.1, 0.2], [0.9, 0.8, 0.2, 0.8, 0.2, 0.1, 0.3], steps=[1, 20, 50, 200, 800, 1400, 2000])), "limit": 0.3, "patience": 2, "after": 0},
    "a number that is exactly at the limit is not below it": {"rows": slim(log([0.7, 0.2, 0.3, 0.4, 0.1, 0.1], [0.7, 0.3, 0.2, 0.5, 0.5, 0.5])), "limit": 0.2, "patience": 2, "after": 0},
    "a count begins at step `after`": {"rows": slim(RUNS["B"]), "limit": 0.1, "patience": 2, "after": 300},
    "the row at step `after` counts": {"rows": slim(RUNS["B"]), "limit": 0.1, "patience": 2, "after": 800},
    "one row may be enough, also the very first": {"rows": slim(log([0.05, 0.04, 0.03], steps=[0, 3, 9])), "limit": 0.1, "patience": 1, "after": 0},
    "a log of `patience` rows may be enough": {"rows": slim(log([0.05, 0.04], steps=[0, 3])), "limit": 0.1, "patience": 2, "after": 0},
    "without a warning it is -1, also where the log ends too early": {"rows": slim(log([0.7, 0.05, 0.2, 0.3, 0.08])), "limit": 0.1, "patience": 2, "after": 0},
    "an empty log gives no warning": {"rows": [], "limit": 0.1, "patience": 1, "after": 0},
    "rows before step `after` never warn": {"rows": slim(RUNS["B"]), "limit": 0.1, "patience": 2, "after": 2601},
}  # fmt: skip


def alarms(rng: Rng) -> list[tuple[str, dict[str, Any]]]:
    """Logs that tell wrong counters apart, under other limits each time, and a recorded one."""
    in_a_row, smaller, completes, border, begins, at_after, one, enough, never, empty, before = ALARMS
    limit, steps = float(rng.choice([0.01, 0.02, 0.4, 0.7])), drawn_steps(rng, 8)
    first = "h" * int(rng.integers(1, 4))

    def case(text: str, patience: int, after: int = 0, steps: list[int] | None = None) -> dict[str, Any]:
        return {"rows": stages(rng, text, limit, steps), "limit": limit, "patience": patience, "after": after}

    low = stages(rng, "bbbbbbbb", limit)
    run = slim(recorded(rng, str(rng.choice(["neither", "no-stopgrad"]))))
    return [
        (smaller, case(first + "tyyyt", 3)),
        (smaller, case(first + "oxxxo", 2)),
        (smaller, case("hotothh", 4)),
        (in_a_row, case("bbhbh0b0b", 3)),
        (in_a_row, case("hbbbbbhbbbbbbbb", int(rng.integers(6, 9)))),
        (never, case("bhb" + first + "tb", 3)),
        (completes, case("hbbhbbbb", 2)),
        (enough, case("bbb", 3)),
        (border, case("hoeoofoto", 3)),
        (begins, case("bbbbbbbb", 3, steps[3] + 1, steps)),
        (begins, case("bbbbhbbb", 3, steps[2], steps)),
        *((at_after, case("bbbbbbbb", 2, steps[row], steps)) for row in (0, 4)),
        (one, case("bhtb", 1, 0, [0, *drawn_steps(rng, 3)])),
        (empty, {"rows": [], "limit": limit, "patience": 1, "after": 0}),
        (before, case("bbbbbbbb", 1, steps[-1] + 1, steps)),
        *((one, {"rows": low, "limit": some, "patience": 3, "after": 0}) for some in (limit, limit / 100)),  # the same log, another limit
        (completes, {"rows": run, "limit": float(rng.choice([0.05, 0.3])), "patience": int(rng.integers(2, 4)), "after": int(rng.choice([0, 20, 300]))}),
    ]  # fmt: skip


WARN = "first_warning"
SMALLER = 'min(row["feature_std"], row["target_feature_std"])'
SKIPS = '        if row["step"] < after:\n            continue\n'
COMPLETE = "low == patience"
WARN_FROM = "def first_warning(rows, limit, patience, after):\n    rows = [row for row in rows if row['step'] >= after]\n    low = [min(row['feature_std'], row['target_feature_std']) < limit for row in rows]\n    for i in range(len(rows)):\n        if i + 1 >= patience and all(low[i + 1 - patience : i + 1]):\n            return FOUND\n    return -1"
FIRST_WARNING = Exercise(
    WARN,
    ("minivjepa.collapse.early_warning", "minivjepa.evaluation.collapsed_runs.alarm", "minivjepa.evaluation.collapsed_runs.collapsed"),
    ALARMS,
    alarms,
    (
        ("only the online encoder is watched; the target can die while it looks well", slip(WARN, (SMALLER, 'row["feature_std"]'))),
        ("only the target encoder is watched; take the smaller of the two", slip(WARN, (SMALLER, 'row["target_feature_std"]'))),
        ("this waits until both encoders are low; the smaller of the two decides", slip(WARN, ("min(row", "max(row"))),
        ("the average of both encoders is compared; a healthy one hides a dead one in it", slip(WARN, (SMALLER, '(row["feature_std"] + row["target_feature_std"]) / 2'))),
        ("each encoder has a count of its own here; take the smaller of the two in each row, and count the rows", slip(WARN, ("    low = 0\n", "    low, other = 0, 0\n"), (SMALLER, 'row["feature_std"]'), (f"        if {COMPLETE}", '        other = other + 1 if row["target_feature_std"] < limit else 0\n        if patience in (low, other)'))),
        ("the average of the last rows is compared; each of them has to be low", WARN_FROM.replace(" < limit for row", " for row").replace("all(low[i + 1 - patience : i + 1])", "np.mean(low[i + 1 - patience : i + 1]) < limit").replace("FOUND", "rows[i]['step']")),
        ("the first low row warns at once: it takes `patience` rows in a row", slip(WARN, (COMPLETE, "low == 1"))),
        ("this is where the low rows begin; the warning is given when they are complete", WARN_FROM.replace("FOUND", "rows[i + 1 - patience]['step']")),
        ("this is the last time that the rows are complete; the warning is given the first time", slip(WARN, ("    low = 0\n", "    low, found = 0, -1\n"), ('return row["step"]', 'found = row["step"]'), ("return -1", "return found"))),
        ("a good row takes one off the count here; after it the count starts again at 0", slip(WARN, ("< limit else 0", "< limit else max(0, low - 1)"))),
        ("low rows are counted without starting again at 0 after a good one: they have to be in a row", slip(WARN, ("< limit else 0", "< limit else low"))),
        ("a log with exactly `patience` rows is long enough to warn", slip(WARN, ("    low = 0\n", "    low = 0\n    if len(rows) <= patience:\n        return -1\n"))),
        ("one row too many is waited for: the warning is given at row number `patience` itself", slip(WARN, (COMPLETE, "low == patience + 1"))),
        ("this is the number of the row; return its step", slip(WARN, ("for row in rows", "for number, row in enumerate(rows)"), ('return row["step"]', "return number"))),
        ("a value exactly at the limit is not below it", slip(WARN, ("< limit", "<= limit"))),
        ("rows before step `after` are counted", slip(WARN, (SKIPS, ""))),
        ("low rows before step `after` are counted too, once a later row completes them: a count starts at `after`", slip(WARN, (SKIPS, ""), (COMPLETE, 'low >= patience and row["step"] >= after'))),
        ("the row at step `after` itself counts already", slip(WARN, ('["step"] < after', '["step"] <= after'))),
        ("where no warning is given, return -1 and not 0", slip(WARN, ("return -1", "return 0"))),
        ("the limit is fixed at 0.1: use the argument", slip(WARN, ("< limit", "< 0.1"))),
    ),
    (
        WARN_FROM.replace("FOUND", "rows[i]['step']"),
        "def first_warning(rows, limit, patience, after):\n    kept = [(r['step'], min(r['feature_std'], r['target_feature_std'])) for r in rows if r['step'] >= after]\n    word = ''.join('x' if value < limit else '.' for _, value in kept)\n    place = word.find('x' * patience)\n    return -1 if place < 0 else int(kept[place + patience - 1][0])",
        "def first_warning(rows, limit, patience, after):\n    import itertools\n    kept = [r for r in rows if not r['step'] < after]\n    is_low = lambda r: r['feature_std'] < limit or r['target_feature_std'] < limit\n    for low, group in itertools.groupby(kept, key=is_low):\n        group = list(group)\n        if low and len(group) >= patience:\n            return group[patience - 1]['step']\n    return -1",
        "def first_warning(rows, limit, patience, after):\n    steps = np.array([r['step'] for r in rows], dtype=int)\n    std = np.array([[r['feature_std'], r['target_feature_std']] for r in rows]).reshape(-1, 2).min(axis=1)[steps >= after]\n    steps = steps[steps >= after]\n    run = np.convolve(std < limit, np.ones(patience, dtype=int))[:len(std)] == patience if len(std) else np.array([])\n    return int(steps[run.argmax()]) if run.any() else -1",
        "def first_warning(rows, limit, patience, after):\n    left = patience\n    for r in rows:\n        if r['step'] >= after:\n            if r['feature_std'] >= limit and r['target_feature_std'] >= limit:\n                left = patience\n            else:\n                left -= 1\n                if not left:\n                    return torch.tensor(r['step'])\n    return torch.tensor(-1)",
        "def first_warning(rows, limit, patience, after):\n    kept = [r for r in rows if r['step'] >= after]\n    ends = (window[-1]['step'] for window in zip(*(kept[i:] for i in range(patience))) if max(min(r['feature_std'], r['target_feature_std']) for r in window) < limit)\n    return next(ends, -1)",
    ),
    equivalent={
        "min(row['feature_std'], row['target_feature_std']) -> min(row['target_feature_std'], row['feature_std'])": "the smaller of two, in either order",
    },
)  # fmt: skip

# --- design ---

TRIALS = {  # rule -> a visible case
    "the base comes first, then an arm for each value": {"base": {"loss": "l1", "lr": 0.1}, "switches": [("loss", ["l2"])]},
    "switches and values keep their order": {"base": {"lr": 0.2, "loss": "l1"}, "switches": [("lr", [0.8, 0.1, 0.4]), ("loss", ["l2", "cosine"])]},
    "an arm differs from the base in one option": {"base": {"lr": 0.1, "stop": True}, "switches": [("stop", [False]), ("lr", [0.0, 0.2])]},
    "a slash leads one level down": {"base": {"lr": 0.1, "prevention": {"target": "ema", "momentum": 0.99}}, "switches": [("prevention/momentum", [1.0, 0.9]), ("prevention/target", ["online"]), ("lr", [0.2])]},
    "there may be several slashes": {"base": {"dim": 8, "model": {"dim": 16, "encoder": {"dim": 24, "depth": 1}}}, "switches": [("model/encoder/dim", [48]), ("model/dim", [8]), ("dim", [9])]},
    "a value that the base has is left out": {"base": {"loss": "l1", "lr": 0.4}, "switches": [("lr", [0.2, 0.4, 0.8]), ("loss", ["l1"])]},
    "a value that was tried before is left out": {"base": {"lr": 0.1, "decay": 0.4}, "switches": [("lr", [0.2, 0.2, 0.4, 0.2]), ("decay", [0.2, 0.1]), ("lr", [0.3, 0.4])]},
    "a value may be a list, or a dict in place of a dict": {"base": {"mask": {"kind": "tube", "ratio": 0.5}, "sizes": [2, 4]}, "switches": [("sizes", [[2, 8], [2, 4], [4]]), ("mask", [{"kind": "tube", "ratio": 0.9}, {"ratio": 0.5, "kind": "tube"}, {"kind": "block"}]), ("mask/ratio", [0.9])]},
    "without switches the base is alone": {"base": {"lr": 0.1}, "switches": []},
}  # fmt: skip


def nested(rng: Rng, depth: int) -> dict[str, Any]:
    """Options on `depth` levels, under the same names on each."""
    options: dict[str, Any] = {"lr": 0.1 * depth, "width": int(rng.choice([24, 48])), "stop": bool(rng.integers(2))}
    inner = {"part": nested(rng, depth - 1)} if depth > 1 else {}
    return {key: {**options, **inner}[key] for key in rng.permutation([*options, *inner]).tolist()}


def experiments(rng: Rng) -> list[tuple[str, dict[str, Any]]]:
    """Bases on one to four levels, with values that repeat, and values of every kind."""
    (first, order, one, slash, slashes, of_base, again, kinds_of, alone) = TRIALS
    lr, momentum = float(rng.choice([0.1, 0.2, 0.4])), float(rng.choice([0.9, 0.95]))
    width = int(rng.choice([24, 48, 96]))
    flat = {"loss": "l1", "lr": lr, "mask": "tube", "decay": 2 * lr}
    two = {"loss": "l1", "lr": lr, "prevention": {"target": "ema", "momentum": momentum, "stop": True}}
    three = {"steps": 100.0, "model": {"encoder": {"width": width, "depth": 3}, "predictor": {"width": 24.0}}, "lr": lr}
    words = rng.permutation(["random", "blocks", "causal", "rows"]).tolist()
    numbers = (lr * rng.permutation([2.0, 3.0, 5.0, 7.0, 11.0, 13.0, 17.0, 19.0])).tolist()
    deep = nested(rng, 4)
    return [
        (first, {"base": flat, "switches": [("mask", words[:1])]}),
        (order, {"base": flat, "switches": [("mask", words), ("lr", numbers), ("decay", [0.0, *numbers[::-1]])]}),
        (one, {"base": two, "switches": [("loss", ["l2", ""]), ("prevention/stop", [False, "half", 0.5]), ("lr", [0.0, 3 * lr, "auto"])]}),
        (of_base, {"base": flat, "switches": [("lr", [3 * lr, lr, 2 * lr]), ("loss", []), ("mask", ["random", "blocks", "tube"]), ("decay", [2 * lr])]}),
        (of_base, {"base": {**flat, "decay": 5 * lr}, "switches": [("lr", [3 * lr, lr, 2 * lr]), ("loss", []), ("mask", ["random", "blocks", "tube"]), ("decay", [2 * lr])]}),
        (again, {"base": flat, "switches": [("lr", [3 * lr, 2 * lr, 3 * lr, 3 * lr]), ("decay", [3 * lr]), ("mask", ["rows"]), ("lr", [5 * lr, 2 * lr])]}),
        (slash, {"base": two, "switches": [("prevention/momentum", [1.0, momentum, 0.5]), ("loss", ["l2", "l1"]), ("prevention/target", ["online"]), ("loss", ["smooth", "l2"])]}),
        (slashes, {"base": three, "switches": [("model/encoder/width", [2 * width, width // 2, width]), ("lr", [lr, lr / 4]), ("model/predictor/width", [12.0, 12.0, 48.0])]}),
        (slashes, {"base": deep, "switches": [("part/part/part/width", [7, 8]), ("part/lr", [deep["lr"], 0.7, deep["part"]["lr"]]), ("width", [7]), ("part/part/stop", [True, False])]}),
        (kinds_of, {"base": {**two, "betas": [0.9, 0.5], "sizes": [4]}, "switches": [("betas", [[0.9, 0.8], [0.9, 0.5], [0.9, 0.8]]), ("sizes", [[], [4, 4]])]}),
        (kinds_of, {"base": two, "switches": [("prevention", [dict(reversed(two["prevention"].items())), {"momentum": 0.5}, {"momentum": 0.25, "stop": "half"}, {"stop": "half", "momentum": 0.25}])]}),
        (kinds_of, {"base": two, "switches": [("prevention", [{"target": "frozen"}, two["prevention"], {**two["prevention"], "momentum": 0.25}]), ("prevention/momentum", [0.25, 0.75])]}),
        (alone, {"base": [flat, two, three][int(rng.integers(3))], "switches": []}),
    ]  # fmt: skip


SETTER = "def design(base, switches):\n    def set_in(arm, name, value):\n        *path, option = name.split('/')\n        for step in path:\n            arm = arm[step]\n        arm[option] = value\n"
NEW, IS_NEW, VALUES = "arm = copy.deepcopy(base)", "if arm not in arms:", "for value in values"
DESIGN = Exercise(
    "design",
    ("minivjepa.training.arms.with_arm", "minivjepa.experiments.plan.plan_jobs", "minivjepa.experiments.plan.flags"),
    TRIALS,
    experiments,
    (
        ("these are all combinations: arms in which several options differ at once cannot say which of them did it", SETTER + "    import itertools\n    arms = [copy.deepcopy(base)]\n    for values in itertools.product(*(values for _, values in switches)):\n        arm = copy.deepcopy(base)\n        for (name, _), value in zip(switches, values):\n            set_in(arm, name, value)\n        if arm not in arms:\n            arms.append(arm)\n    return arms"),
        ("every arm is made from the one before it, so that changes pile up: start from the base each time", SETTER + "    arms = [copy.deepcopy(base)]\n    for name, values in switches:\n        for value in values:\n            arm = copy.deepcopy(arms[-1])\n            if name.count('/') == 0 or isinstance(arm[name.split('/')[0]], dict):\n                set_in(arm, name, value)\n            if arm not in arms:\n                arms.append(arm)\n    return arms"),
        ("the base is safe, but each arm copies the outer dict only: the dicts inside are shared, and changes pile up in them", slip("design", (NEW, "arm = dict(base)"))),
        ("nothing is copied: all arms are one dict, and it ends with every switch set", SETTER + "    arms, done = [base], []\n    for name, values in switches:\n        for value in values:\n            if (name, value) not in done:\n                done.append((name, value))\n                set_in(base, name, value)\n                arms.append(base)\n    return arms"),
        ("the base itself is missing: without it there is nothing to compare with", slip("design", ("return arms", "return arms[1:]"))),
        ("the base stands at the end; it is the first arm", slip("design", ("return arms", "return arms[1:] + arms[:1]"))),
        ("there is an empty dict at the end: it isn't an arm", slip("design", ("return arms", "return arms + [{}]"))),
        ("a value that the base has already gives the base again: leave it out", slip("design", (IS_NEW, "if arm not in arms[1:]:"))),
        ("a value that was tried before is tried again: leave it out", slip("design", (IS_NEW, "if arm != base:"))),
        ("an arm is compared with the one before it only: values that repeat may stand apart", slip("design", (IS_NEW, "if arm not in (base, arms[-1]):"))),
        ("arms are compared as text: two dicts are equal in whatever order their options stand", slip("design", (IS_NEW, "if str(arm) not in map(str, arms):"))),
        ("no arm is left out: values that the base has, and values that were tried before, give the same arm twice", slip("design", (IS_NEW, "if True:"))),
        ("repeated values are found inside one switch only; the same option may be in the list twice", slip("design", (VALUES, "for number, value in enumerate(values)"), (IS_NEW, "if arm != base and value not in values[:number]:"))),
        ("a value that another option was given is left out too; leave an arm out only if the same arm is there already", slip("design", ("arms = [", "tried = []\n    arms = ["), (IS_NEW, "if arm != base and value not in tried:\n                tried.append(value)"))),
        ("a name with slashes became an option of its own: a slash leads one level down", slip("design", ('*path, option = name.split("/")', "path, option = [], name"))),
        ("only the first slash is followed: there may be more levels than two", slip("design", ('name.split("/")', 'name.split("/", 1)'))),
        ("the inner dict was replaced by the one option that changes: its other options have to stay", slip("design", ("                place = place[step]\n", "                place[step] = {}\n                place = place[step]\n"))),
        ("only the first value of each switch is tried", slip("design", (VALUES, "for value in values[:1]"))),
        ("these are the changes alone; an arm is a complete dict of options", slip("design", ("arms = [copy.deepcopy(base)]", "arms, found = [{}], [base]"), (IS_NEW, "if arm not in found:\n                found.append(arm)"), ("arms.append(arm)", "arms.append({name: value})"))),
        ("the values of a switch are sorted: keep the order in which they are given", slip("design", (VALUES, "for value in sorted(values, key=str)"))),
    ),
    (
        "def design(base, switches):\n    def changed(options, path, value):\n        head, rest = path[0], path[1:]\n        return {key: (changed(old, rest, value) if rest else value) if key == head else copy.deepcopy(old) for key, old in options.items()}\n    arms = [base]\n    for name, values in switches:\n        for value in values:\n            new = changed(base, name.split('/'), value)\n            if all(new != arm for arm in arms):\n                arms.append(new)\n    return arms",
        "def design(base, switches):\n    import functools, json\n    text = functools.partial(json.dumps, sort_keys=True)\n    every = [text(base)]\n    for name, values in switches:\n        keys = name.split('/')\n        for value in values:\n            arm = json.loads(json.dumps(base))\n            functools.reduce(dict.get, keys[:-1], arm)[keys[-1]] = value\n            every.append(text(arm))\n    return [json.loads(one) for one in dict.fromkeys(every)]",
        "def design(base, switches):\n    def with_option(options, name, value):\n        head, slash, rest = name.partition('/')\n        return {**options, head: with_option(options[head], rest, value) if slash else value}\n    arms = (base,)\n    for name, values in switches:\n        for value in values:\n            arm = with_option(base, name, value)\n            arms += () if arm in arms else (arm,)\n    return arms",
        "def design(base, switches):\n    every = [base] + [(name, value) for name, values in switches for value in values]\n    for i, (name, value) in enumerate(every[1:], 1):\n        every[i] = copy.deepcopy(base)\n        where, keys = every[i], name.split('/')\n        while len(keys) > 1:\n            where = where[keys.pop(0)]\n        where[keys[0]] = value\n    return [arm for i, arm in enumerate(every) if every.index(arm) == i]",
        "def design(base, switches):\n    arms = [copy.deepcopy(base)]\n    for switch in switches:\n        for value in switch[1]:\n            arm = copy.deepcopy(base)\n            place = arm\n            parts = switch[0].split('/')\n            for i in range(len(parts)):\n                if i == len(parts) - 1:\n                    place[parts[i]] = copy.deepcopy(value)\n                else:\n                    place = place[parts[i]]\n            known = False\n            for other in arms:\n                if other == arm:\n                    known = True\n            if not known:\n                arms.append(arm)\n    return arms",
        "def design(base, switches):\n    def flat(options, before=()):\n        for key, value in options.items():\n            if isinstance(value, dict):\n                yield from flat(value, (*before, key))\n            else:\n                yield (*before, key), repr(value)\n    arms, seen = [], set()\n    for name, value in [(None, None), *((name, value) for name, values in switches for value in values)]:\n        arm = copy.deepcopy(base)\n        if name is not None:\n            exec(\"arm['\" + name.replace('/', \"']['\") + \"'] = value\", {'arm': arm, 'value': value})\n        mark = frozenset(flat(arm))\n        if mark not in seen:\n            seen.add(mark)\n            arms.append(arm)\n    return arms",
    ),
)  # fmt: skip

# --- verdict ---


def reading(arm: str, metric: str, seeds: tuple[int, ...] = (10, 11, 12, 13, 14)) -> dict[int, float]:
    """Seed -> a metric of a recorded arm, rounded as students see it, in the order of `seeds`."""
    found = {run["seed"]: round(run["final"][metric], 3) for run in RECORDED[arm]}
    return {seed: found[seed] for seed in seeds}


def spread_out(rng: Rng, count: int) -> np.ndarray:
    """Numbers from about -1 to about 1, never all close together."""
    return rng.permutation(np.linspace(-1, 1, count)) + rng.normal(0, 0.1, count)


def differences(rng: Rng, count: int, mean: float, half: float, level: float) -> np.ndarray:
    """Differences on `count` seeds, from far below their mean to far above it, whose interval has this half-width."""
    z = spread_out(rng, count)
    z = (z - z.mean()) / z.std(ddof=1)
    return np.asarray(mean + z * half * count**0.5 / stats.t.ppf((1 + level) / 2, count - 1))


def two_arms(rng: Rng, each: np.ndarray, shared: float, unshared: tuple[int, int], level: float, around: float = 0.5) -> dict[str, Any]:  # fmt: skip
    """Arms with these differences, in any order.  shared: how much a seed does to both; unshared: how many seeds only one has."""
    count = len(each)
    seeds = rng.choice(np.arange(-100, 300), count + sum(unshared), replace=False).tolist()
    both = around + shared * spread_out(rng, count)
    arms = []
    for sign, own in ((1, seeds[count : count + unshared[0]]), (-1, seeds[count + unshared[0] :])):
        results = [*zip(seeds, (both + sign * each / 2).tolist()), *((seed, float(rng.normal(2 * sign))) for seed in own)]  # fmt: skip
        arms.append({results[place][0]: results[place][1] for place in rng.permutation(len(results))})
    return {"a": arms[0], "b": arms[1], "level": level}


def alike(rng: Rng, gap: float) -> dict[str, Any]:
    """Arms with the same difference on every seed, in quarters, so that the interval is a point."""
    seeds = rng.choice(50, int(rng.choice([2, 4])), replace=False).tolist()
    b = {seed: float(rng.integers(-8, 9)) / 4 for seed in seeds}
    return {"a": {seed: b[seed] + gap for seed in reversed(seeds)}, "b": b, "level": 0.9}


def zeros(rng: Rng) -> dict[str, Any]:
    """Arms with results of 0, and the seed 0."""
    values = rng.permutation([0.0, 1.5, -2.25, 0.75]).tolist()
    a, b = dict(zip((0, 1, 2, 3), values)), dict(zip((0, 3, 1, 2), values[::-1]))
    a[1 if a[0] == 0 else 0], b[2] = 0.0, 0.0
    return {"a": a, "b": b, "level": 0.75}


PAIRED = {  # rule -> a visible case
    "differences are a minus b, seed by seed": {"a": {1: 4.0, 2: 9.0}, "b": {2: 4.0, 1: 3.0}, "level": 0.5},
    "the whole interval has to lie above 0": {"a": reading("vjepa", "linear_identity"), "b": reading("no-ema", "linear_identity"), "level": 0.95},
    "an interval around 0 is undecided": {"a": reading("vjepa", "linear_direction"), "b": reading("frozen", "linear_direction"), "level": 0.95},
    "the interval is that of the differences": {"a": reading("vjepa", "linear_direction"), "b": reading("no-ema", "linear_direction"), "level": 0.95},
    "seeds that only one arm has are left out": {"a": reading("neither", "linear_direction", (10, 11, 13, 14)), "b": reading("no-stopgrad", "linear_direction", (14, 13, 12, 11)), "level": 0.95},
    "an interval below 0 is lower": {"a": {7: -0.7, 0: 0.0, 3: -0.4, 5: 0.1}, "b": {0: 0.6, 5: 0.9, 3: 0.5, 7: 0.0}, "level": 0.9},
    "an interval that touches 0 is undecided": {"a": {1: 0.0, 2: 0.5}, "b": {2: 0.5, 1: 0.0}, "level": 0.95},
    "differences that are all the same have a half-width of 0": {"a": {3: 2.0, 1: 0.75}, "b": {1: 0.25, 3: 1.5}, "level": 0.95},
    "with many seeds it is still Student's t, for the level of the argument": two_arms(SEEN, differences(SEEN, 32, -0.25, 0.26, 0.99).round(2), 0.0, (0, 0), 0.99),
    "a single difference has an infinite half-width": {"a": reading("vjepa", "linear_direction", (13, 14)), "b": reading("no-ema", "linear_direction", (14, 11, 10)), "level": 0.95},
}  # fmt: skip


def comparisons(rng: Rng) -> list[tuple[str, dict[str, Any]]]:
    """Pairs that decide although the arms overlap, and pairs that do not; few seeds and many; seeds that only one arm has; single pairs."""
    seeds, above, around, paired, shared_only, below, touches, all_same, many, single = PAIRED
    few = int(rng.integers(5, 8))
    drawn = [
        (shared_only, 8, 0.12, 0.1, 0.6, (2, 1), 0.8),  # higher, though some seeds point the other way
        (paired, few, -0.3, 0.2, 0.7, (1, 2), float(rng.choice([0.8, 0.9]))),  # lower, though the arms overlap widely
        (around, 2, 0.35, 0.5, 0.6, (3, 1), float(rng.choice([0.9, 0.98]))),  # undecided, though both seeds point the same way
        (paired, few, -0.3, 0.4, 0.0, (0, 0), float(rng.choice([0.98, 0.99]))),  # undecided, since what helps a hurts b; unpaired it is lower
        (around, 6, 0.002, 0.005, 0.2, (0, 3), float(rng.choice([0.9, 0.99]))),  # undecided, however small
        (below, 2, -0.9, 0.5, 0.3, (2, 0), float(rng.choice([0.98, 0.99]))),
        (many, int(rng.integers(131, 160)), 2.0, 2.1, 5.0, (1, 4), float(rng.choice([0.995, 0.999]))),
        (many, int(rng.integers(10, 30)), -40.0, 39.0, 300.0, (0, 2), float(rng.choice([0.6, 0.95]))),
        (above, 2, 0.00053, 0.0005, 0.3, (0, 0), 0.5),
    ]  # fmt: skip
    sizes = rng.uniform(0.8, 1.25, len(drawn))
    cases = [
        (rule, two_arms(rng, differences(rng, count, size * mean, size * half, level), shared, unshared, level, float(rng.choice([0.5, -0.5]))))
        for size, (rule, count, mean, half, shared, unshared, level) in zip(sizes, drawn)
    ]  # fmt: skip
    ones = [(2.0, (2, 3), 0.9), (-1.5, (0, 0), 0.8)]
    outlier = np.append(differences(rng, 7, 0.1, 0.05, 0.9), float(rng.choice([-3.0, 3.0])))
    return [
        *cases,
        (around, two_arms(rng, outlier, 0.5, (1, 0), 0.9)),
        *((single, two_arms(rng, np.array([gap]), 0.3, unshared, level)) for gap, unshared, level in ones),
        (touches, alike(rng, 0.0)),
        (all_same, alike(rng, float(rng.choice([0.25, 0.5])))),
        (seeds, zeros(rng)),
    ]


EACH, SAMPLE = "[a[seed] - b[seed] for seed in a if seed in b]", "np.std(each, ddof=1)"
SHARED_A, SHARED_B = "[a[seed] for seed in a if seed in b]", "[b[seed] for seed in a if seed in b]"
HIGHER, LOWER = "difference - half > 0", "difference + half < 0"
QUANTILE, MEAN = "stats.t.ppf((1 + level) / 2, n - 1)", "float(np.mean(each))"
OWN_INTERVALS = f'    half_a, half_b = (math.inf if n < 2 else {QUANTILE} * np.std(one, ddof=1) / n**0.5 for one in ({SHARED_A}, {SHARED_B}))\n    word = "undecided"'
START = '    word = "undecided"'
VERDICT = Exercise(
    "verdict",
    ("minivjepa.evaluation.statistics.interval", "minivjepa.evaluation.statistics.paired", "minivjepa.evaluation.statistics.cell"),
    PAIRED,
    comparisons,
    (
        ("this is the quantile of the normal distribution; with so few seeds Student's t is much wider", slip("verdict", (QUANTILE, "stats.norm.ppf((1 + level) / 2)"))),
        ("from 10 or 30 seeds on, this is the quantile of the normal distribution: take Student's t for every n", slip("verdict", (QUANTILE, f"({QUANTILE} if n < 30 else stats.norm.ppf((1 + level) / 2))"))),
        ("the quantile leaves all of 1 - level above it; an interval has two ends, so half of that is above and half below", slip("verdict", ("(1 + level) / 2", "level"))),
        ("the level is fixed at 95 %: use the argument", slip("verdict", ("(1 + level) / 2", "0.975"))),
        ("this is the quantile for n degrees of freedom; one is used up by the mean", slip("verdict", ("level) / 2, n - 1", "level) / 2, n"))),
        ("the population's std is used, divided by n; a sample's is divided by n - 1", slip("verdict", (", ddof=1", ""))),
        ("without √n this is about how far single differences spread, not about how well their mean is known", slip("verdict", (" / n**0.5", ""))),
        ("this is the whole width of the interval; return half of it", slip("verdict", ('"half": half', '"half": 2 * half'))),
        ("the verdict looks only at the mean difference: it has to ask whether the whole interval lies on one side of 0", slip("verdict", (HIGHER, "difference > 0"), (LOWER, "difference < 0"))),
        ("the verdict asks whether all seeds point the same way; it should ask whether the whole interval lies on one side of 0", slip("verdict", (HIGHER, "n > 1 and min(each) > 0"), (LOWER, "n > 1 and max(each) < 0"))),
        ("the verdict compares the two arms' own intervals: they may overlap while the differences, seed by seed, all but agree", slip("verdict", (START, OWN_INTERVALS), (HIGHER, "difference > half_a + half_b"), (LOWER, "-difference > half_a + half_b"))),
        ("an interval that touches 0 is undecided: above 0 means > 0", slip("verdict", (HIGHER, HIGHER.replace(">", ">=")), (LOWER, LOWER.replace("<", "<=")))),
        ("these differences are b minus a; return a minus b", slip("verdict", ("a[seed] - b[seed]", "b[seed] - a[seed]"))),
        ("the verdict is only ever asked in one direction: a may also be lower than b", slip("verdict", (LOWER, "False"))),
        ("a single difference has the half-width 0 here, as if it were known for certain; nothing is known of its spread", slip("verdict", ("math.inf", "0.0"))),
        ("a single difference has the half-width nan here; it is to be infinite, which decides nothing", slip("verdict", ("math.inf", "math.nan"))),
        ("results are paired by their place in the dicts; pair them by seed", slip("verdict", (EACH, "[x - y for x, y in zip(a.values(), b.values())]"))),
        ("results are paired by place after sorting the seeds: where an arm lacks a seed, all later pairs are wrong", slip("verdict", (EACH, "[a[x] - b[y] for x, y in zip(sorted(a), sorted(b))]"))),
        ("a seed that only one arm has counts here, as if the other arm had got 0; leave it out", slip("verdict", (EACH, "[a.get(seed, 0.0) - b.get(seed, 0.0) for seed in {**a, **b}]"))),
        ("a result of 0 is taken for a missing one: ask whether the seed is in the dict", slip("verdict", ("if seed in b", "if a[seed] and b.get(seed)"), ("n = len(each)", "each = each or [0.0]\n    n = len(each)"))),
        ("the difference is that of the means over all seeds of each arm; only seeds that both have count", slip("verdict", (MEAN, "float(np.mean([*a.values()]) - np.mean([*b.values()]))"))),
        ("the std of a and that of b are added: what a seed does to both arms is in each of them, and has to drop out", slip("verdict", (SAMPLE, f"(np.std({SHARED_A}, ddof=1) + np.std({SHARED_B}, ddof=1))"))),
        ("the variances of a and b are added, which is right for arms that share nothing; take the std of the differences", slip("verdict", (SAMPLE, f"math.sqrt(np.var({SHARED_A}, ddof=1) + np.var({SHARED_B}, ddof=1))"))),
    ),
    (
        "def verdict(a, b, level):\n    seeds = sorted(set(a) & set(b))\n    x = torch.tensor([a[s] for s in seeds], dtype=torch.float64) - torch.tensor([b[s] for s in seeds], dtype=torch.float64)\n    n = x.numel()\n    half = torch.tensor(math.inf) if n == 1 else stats.t.isf((1 - level) / 2, n - 1) * x.std() / n ** 0.5\n    low, high = float(x.mean() - half), float(x.mean() + half)\n    word = 'undecided'\n    if low > 0:\n        word = 'higher'\n    if high < 0:\n        word = 'lower'\n    return dict(zip(('difference', 'half', 'verdict'), (x.mean(), half, word)))",
        "def verdict(a, b, level):\n    seeds = a.keys() & b.keys()\n    x, y = [a[seed] for seed in seeds], [b[seed] for seed in seeds]\n    gap = np.mean(np.subtract(x, y))\n    if len(seeds) == 1:\n        return {'difference': gap, 'half': float('inf'), 'verdict': 'undecided'}\n    low, high = stats.ttest_1samp(np.subtract(x, y), 0).confidence_interval(level)\n    return {'verdict': 'higher' if low > 0 else 'lower' if high < 0 else 'undecided', 'difference': gap, 'half': (high - low) / 2}",
        "def verdict(a, b, level):\n    total = squares = n = 0\n    for seed, value in a.items():\n        if seed not in b:\n            continue\n        d = value - b[seed]\n        total, squares, n = total + d, squares + d * d, n + 1\n    mean = total / n\n    if n == 1:\n        half = math.inf\n    else:\n        half = -stats.t.ppf((1 - level) / 2, n - 1) * math.sqrt((squares - n * mean ** 2) / (n - 1) / n)\n    names = {True: 'higher', False: 'lower'}\n    return {'difference': mean, 'half': half, 'verdict': names[mean > 0] if abs(mean) > half else 'undecided'}",
        "def verdict(a, b, level):\n    each = np.array([a[s] - b[s] for s in sorted(a) if s in b])\n    half = stats.t.interval(level, len(each) - 1, 0, stats.sem(each))[1] if len(each) > 1 and each.std() > 0 else 0.0 if len(each) > 1 else np.inf\n    sign = np.sign(each.mean()) * (abs(each.mean()) > half)\n    return {'difference': each.mean(), 'half': half, 'verdict': ['undecided', 'higher', 'lower'][int(sign)]}",
        "def verdict(a, b, level):\n    import statistics\n    each = []\n    for seed in b:\n        if a.get(seed) is not None:\n            each.append(a[seed] - b[seed])\n    mean = statistics.fmean(each)\n    if len(each) < 2:\n        return dict(difference=mean, half=math.inf, verdict='undecided')\n    t = stats.t(df=len(each) - 1).ppf(1 - (1 - level) / 2)\n    half = t * math.sqrt(statistics.variance(each) / len(each))\n    low, high = mean - half, mean + half\n    if low <= 0 <= high:\n        return dict(difference=mean, half=half, verdict='undecided')\n    return dict(difference=mean, half=half, verdict='higher' if mean > 0 else 'lower')",
        "def verdict(a, b, level):\n    seeds = [seed for seed in a if seed in b]\n    x = np.array(list(map(a.get, seeds))) - np.array(list(map(b.get, seeds)))\n    try:\n        half = stats.t.ppf(0.5 + level / 2, x.size - 1) * (((x - x.mean()) ** 2).sum() / (x.size - 1) / x.size) ** 0.5 if x.size > 1 else 1 / 0\n    except ZeroDivisionError:\n        half = float('inf')\n    ends = x.mean() + half * np.array([-1, 1])\n    return {'half': float(half), 'verdict': 'higher' if (ends > 0).all() else 'lower' if (ends < 0).all() else 'undecided', 'difference': x.mean().item()}",
    ),
    equivalent={
        "float(np.mean(each)) -> np.mean(each)": "a number of numpy is a number",
        "float(stats.t.ppf((1 + level) / 2, n - 1) * np.std(each, ddof=1) / n ** 0.5) -> stats.t.ppf((1 + level) / 2, n - 1) * np.std(each, ddof=1) / n ** 0.5": "a number of numpy is a number",
    },
)  # fmt: skip

# --- probe ---


ANSWER = function_of("import torch\nfrom torch import Tensor", RIGHT["probe"], "probe")


def probed(rng: Rng, names: list[int], sizes: tuple[int, int], dim: int, shrink: float, dead: tuple[int, ...] = (), small: tuple[int, ...] = (), tiny: float = 5e-5,
           missing: tuple[int, ...] = (), digits: int | None = None) -> dict[str, Any] | None:  # fmt: skip
    """Clips of a few classes; test clips are shifted a little.  None if a test clip is nearly as near to two centroids.

    dead: features that are the same in all training clips, but whose std, if computed by hand, isn't quite 0.  small: features whose scale is `tiny`.  missing: classes of test clips alone.
    """
    centers = rng.normal(0, 0.9, (len(names), dim))
    scale, offset = np.exp(rng.normal(0, 0.7, dim)), rng.normal(0, 2, dim)
    scale[[*small]], offset[[*small]] = tiny, 0.0
    parts = []
    for count, shift in zip(sizes, (0.0, 0.4)):
        more = rng.integers(0, len(names), max(0, count - len(names)))
        own = np.concatenate([rng.permutation(len(names)), more])[:count]
        x = scale * (centers[own] + rng.normal(size=(count, dim)) + shift) + offset
        if not shift:
            x[:, [*dead]] = rng.choice([0.1, 0.3, 0.7, -2.3], len(dead))
        parts += [tensor(x, digits), torch.from_numpy(np.array(names)[own])]
    train, labels, test, test_labels = parts
    test_labels[: len(missing)] = torch.tensor(missing, dtype=torch.int64)
    case = {"train": train, "labels": labels, "test": test, "test_labels": test_labels, "shrink": shrink}
    if dead and not ((train - train.mean(dim=0)) ** 2).mean(dim=0)[[*dead]].any():
        return None
    nearest = ANSWER(**case)["distance"].sort(dim=1).values
    return case if bool((nearest[:, 1:2] > 1.002 * nearest[:, :1] + 0.002).all()) else None


def decided_by_shrink(case: dict[str, Any] | None) -> dict[str, Any] | None:
    """The case, if without shrinking another number of test clips were right."""
    if case is None or ANSWER(**case)["accuracy"] == ANSWER(**{**case, "shrink": 0.0})["accuracy"]:
        return None
    return case


EXAMS = {  # rule -> a visible case
    "every number of a centroid moves towards 0 by `shrink`": {"train": torch.tensor([[1.0, 0.0], [1.0, 4.0], [3.0, 0.0], [3.0, 4.0]]), "labels": torch.tensor([3, 3, 8, 8]), "test": torch.tensor([[2.5, 2.0], [1.0, 4.0]]), "test_labels": torch.tensor([8, 8]), "shrink": 0.25},
    "a number that is smaller than `shrink` stops at 0": {"train": torch.tensor([[0.0, 4.0], [4.0, 0.0], [0.0, 0.0], [4.0, 4.0], [4.0, 4.0]]), "labels": torch.tensor([2, 2, 1, 1, 1]), "test": torch.tensor([[1.0, 3.0], [3.0, 0.5], [6.0, 5.0]]), "test_labels": torch.tensor([2, 1, 2]), "shrink": 0.3},
    "features are standardized by the training clips alone": until(lambda: probed(SEEN, [0, 1, 2], (12, 8), 4, 0.0, digits=2)),
    "a dead feature is divided by 1": until(lambda: probed(SEEN, [7, 2, 4], (14, 9), 4, 0.3, dead=(1,), digits=2)),
    "a feature with a small std is not dead": {"train": torch.tensor([[1.0, 0.0005], [2.0, 0.0015], [3.0, 0.001], [2.0, -0.001]]), "labels": torch.tensor([0, 0, 5, 5]), "test": torch.tensor([[2.0, 0.002], [2.5, -0.001], [2.0, 0.0004]]), "test_labels": torch.tensor([0, 5, 5]), "shrink": 0.1},
    "labels may be any whole numbers, in any order": until(lambda: probed(SEEN, [300, -40, 12], (8, 5), 2, 0.1, digits=2)),
    "a test clip whose class has no training clip is not right": until(lambda: probed(SEEN, [6, 1], (9, 6), 3, 0.2, missing=(0, 9), digits=2)),
}  # fmt: skip


def exams(rng: Rng) -> list[tuple[str, dict[str, Any]]]:
    """Many features and one, many test clips and one, two classes and many, one training clip in a class, and labels of any size."""
    moves, stops, alone, dead, small, labels, missing = EXAMS

    def some(low: int, high: int) -> int:
        return int(rng.integers(low, high))

    shrink = rng.permutation([0.1, 0.2, 0.35, 0.5]).tolist()
    cases: list[tuple[str, Callable[[], dict[str, Any] | None]]] = [
        (moves, lambda: probed(rng, [2, 0, 5], (some(34, 44), some(20, 30)), 6, shrink[0], dead=(1,))),
        (stops, lambda: decided_by_shrink(probed(rng, [3, 1, 0, 8], (some(24, 40), some(10, 20)), 5, 0.6))),
        (stops, lambda: probed(rng, [1, 2], (some(5, 9), 7), 3, shrink[1])),
        (alone, lambda: probed(rng, [1, 0], (some(4, 8), some(3, 6)), 3, 0.0)),
        (alone, lambda: probed(rng, [9, 4, 5], (some(12, 20), 1), 4, 0.0)),
        (dead, lambda: probed(rng, [6, 1], (some(13, 20), some(10, 20)), 7, shrink[2], dead=(0, 5))),
        (small, lambda: probed(rng, [0, 1, 2], (some(12, 20), some(7, 12)), 4, 0.15, small=(some(0, 4),))),
        (small, lambda: probed(rng, [4, 1], (some(12, 20), some(7, 12)), 3, 0.1, small=(0, 2), tiny=2e-8)),
        (labels, lambda: probed(rng, rng.permutation([1000, -30, 7, 256, 44]).tolist(), (7, some(5, 11)), 3, shrink[3])),
        *((labels, lambda: probed(rng, [6, 2, 4], (12, 8), 4, 0.15)),) * 2,  # what was kept from a call of this size is wrong
        (labels, lambda: probed(rng, [70007, 4471, -3], (some(8, 14), some(7, 12)), 3, 0.1)),  # the first two are the same in 16 bits
        (labels, lambda: probed(rng, [5, 2, 11], (3, 11), 2, 0.25)),
        (labels, lambda: probed(rng, [4, -1], (some(6, 12), 6), 1, 0.2)),
        (missing, lambda: probed(rng, [some(2, 9)], (some(2, 6), 5), 3, 0.2, missing=(0, 1))),
        (missing, lambda: probed(rng, [8, 3, 5], (some(12, 20), 13), 4, 0.2, missing=(4, 0, 8, -7))),
    ]  # fmt: skip
    return [(rule, until(draw)) for rule, draw in cases]


MEAN_AND_STD = "mean, std = train.mean(dim=0), train.std(dim=0, correction=0)"
LIVING = "    std = torch.where(std == 0, torch.ones_like(std), std)\n"
STANDARD = "(train - mean) / std, (test - mean) / std"
SHRUNK = "centroids.sign() * (centroids.abs() - shrink).clamp_min(0)"
PROBE = Exercise(
    "probe",
    ("minivjepa.evaluation.probes.linear_accuracy", "minivjepa.evaluation.probes.linear_r2", "minivjepa.evaluation.probes.knn_accuracy", "minivjepa.evaluation.probes.standardise",
     "minivjepa.evaluation.probes.attentive_accuracy"),
    EXAMS,
    exams,
    (
        ("the test clips are standardized with their own mean and std: the probe has looked at the exam, and the shift between the two sets is gone", slip("probe", ("(test - mean) / std", "(test - test.mean(dim=0)) / test.std(dim=0, correction=0)"))),
        ("mean and std are those of training and test clips together: nothing of the test may be used before the exam", slip("probe", (MEAN_AND_STD, "every = torch.cat([train, test])\n    mean, std = every.mean(dim=0), every.std(dim=0, correction=0)"))),
        ("the features are not standardized: the one with the largest numbers decides alone", slip("probe", (STANDARD, "train, test"))),
        ("the mean is subtracted, and the division by the std is missing", slip("probe", (STANDARD, "train - mean, test - mean"))),
        ("the std is divided by n - 1, which torch does unless it is told otherwise; here it is the population's", slip("probe", ("train.std(dim=0, correction=0)", "train.std(dim=0)"))),
        ("a feature that is the same in all training clips has std 0, and dividing by it gives nan or infinity: divide by 1", slip("probe", (LIVING, ""))),
        ("a tiny number in place of a std of 0 makes a dead feature huge as soon as a test clip differs in it: divide by 1", slip("probe", ("torch.where(std == 0, torch.ones_like(std), std)", "std.clamp_min(1e-6)"))),
        ("the std of a dead feature is computed by hand, and rounding makes it 0.00000001 rather than 0: compare the numbers themselves, or take torch's std", slip("probe", (MEAN_AND_STD, "mean = train.mean(dim=0)\n    std = ((train - mean) ** 2).mean(dim=0).sqrt()"))),
        ("a feature with a small std counts as dead here; dead is one that is the same in all training clips", slip("probe", ("std == 0", "std < 0.05"))),
        ("the argument shrink is ignored", slip("probe", (SHRUNK, "centroids"))),
        ("the centroids are multiplied by 1 - shrink; every number moves towards 0 by the same amount", slip("probe", (SHRUNK, "centroids * (1 - shrink)"))),
        ("a number smaller than shrink comes out on the other side of 0; it stops there", slip("probe", (".clamp_min(0)", ""))),
        ("small numbers become 0, but the large ones have not moved: every number moves by shrink", slip("probe", (SHRUNK, "torch.where(centroids.abs() > shrink, centroids, torch.zeros_like(centroids))"))),
        ("these are distances and accuracy on the training clips: a probe is judged on clips that it has not seen", slip("probe", ("y[:, None]", "x[:, None]"), ("found == test_labels", "found == labels"))),
        ("these distances are not squared", slip("probe", (".sum(dim=2)", ".sum(dim=2).sqrt()"))),
        ("the place of the nearest centroid is compared with labels: look up which class stands at that place", slip("probe", ("classes[distance.argmin(dim=1)]", "distance.argmin(dim=1)"))),
        ("this is the share of errors; return the accuracy", slip("probe", ("found == test_labels", "found != test_labels"))),
        ("the classes stand in the order in which they are met; they should be in rising order", slip("probe", ("labels.unique()", "torch.tensor(list(dict.fromkeys(labels.tolist())))"))),
        ("test clips of classes without a training clip are left out of the accuracy; they count, and are not right", slip("probe", ("(found == test_labels)", "(found == test_labels)[torch.isin(test_labels, classes)]"))),
    ),
    (
        "def probe(train, labels, test, test_labels, shrink):\n    a, b, k = train.numpy().astype(float), test.numpy().astype(float), labels.numpy()\n    m, s = a.mean(axis=0), a.std(axis=0)\n    s[s == 0] = 1\n    a, b = (a - m) / s, (b - m) / s\n    names = sorted(set(k.tolist()))\n    d = np.zeros((len(b), len(names)))\n    for j, name in enumerate(names):\n        c = a[k == name].mean(axis=0)\n        c = np.where(c > shrink, c - shrink, np.where(c < -shrink, c + shrink, 0))\n        for i in range(len(b)):\n            d[i, j] = np.sum((b[i] - c) ** 2)\n    right = [names[int(row.argmin())] == int(t) for row, t in zip(d, test_labels)]\n    return {'accuracy': sum(right) / len(right), 'distance': d}",
        "def probe(train, labels, test, test_labels, shrink):\n    std, mean = torch.std_mean(train.double(), dim=0, correction=0)\n    std[std < 1e-9] = 1.0\n    x, y = (train - mean) / std, (test - mean) / std\n    names, which = labels.unique(return_inverse=True)\n    member = torch.nn.functional.one_hot(which).double()\n    c = torch.nn.functional.softshrink(member.T @ x / member.sum(0)[:, None], shrink)\n    d = (y ** 2).sum(1, keepdim=True) - 2 * y @ c.T + (c ** 2).sum(1)\n    return dict(distance=d, accuracy=(names[d.min(1).indices] == test_labels).double().mean())",
        "def probe(train, labels, test, test_labels, shrink):\n    import statistics\n    columns = train.T.tolist()\n    means = [statistics.fmean(c) for c in columns]\n    stds = [1.0 if max(c) == min(c) else statistics.pstdev(c) for c in columns]\n    scale = lambda rows: [[(v - m) / s for v, m, s in zip(row, means, stds)] for row in rows.tolist()]\n    x, y, k = scale(train), scale(test), labels.tolist()\n    names = sorted(set(k))\n    centroids = []\n    for name in names:\n        mean = [statistics.fmean(c) for c in zip(*(row for row, label in zip(x, k) if label == name))]\n        centroids.append([math.copysign(max(abs(v) - shrink, 0), v) for v in mean])\n    distance = [[sum((v - w) ** 2 for v, w in zip(row, c)) for c in centroids] for row in y]\n    right = sum(names[row.index(min(row))] == t for row, t in zip(distance, test_labels.tolist()))\n    return {'distance': np.array(distance), 'accuracy': right / len(y)}",
        "def probe(train, labels, test, test_labels, shrink):\n    dead = (train == train[0]).all(dim=0)\n    std = train.std(dim=0, correction=0).masked_fill(dead, 1)\n    x, y = (train - train.mean(0)) / std, (test - train.mean(0)) / std\n    names = np.unique(labels.numpy())\n    c = torch.cat([einops.reduce(x[labels == int(n)], 'n D -> 1 D', 'mean') for n in names])\n    c = c - c.clamp(-shrink, shrink)\n    d = torch.cdist(y.double(), c.double(), compute_mode='donot_use_mm_for_euclid_dist') ** 2\n    found = names[d.argmin(1).numpy()]\n    return {'accuracy': float(np.mean(found == test_labels.numpy())), 'distance': d}",
        "def probe(train, labels, test, test_labels, shrink):\n    mean, var = train.mean(0, keepdim=True), train.var(0, unbiased=False, keepdim=True)\n    std = var.sqrt() + (var == 0)\n    x, y = (train - mean) / std, (test - mean) / std\n    order = sorted(labels.unique().tolist())\n    gaps = []\n    for name in order:\n        members = x[labels.eq(name)]\n        c = members.sum(0) / len(members)\n        c = torch.relu(c - shrink) - torch.relu(-c - shrink)\n        gaps.append(torch.einsum('md,md->m', y - c, y - c))\n    distance = torch.stack(gaps, dim=1)\n    votes = torch.tensor(order)[distance.min(dim=1).indices]\n    return {'distance': distance, 'accuracy': torch.count_nonzero(votes == test_labels).item() / len(votes)}",
        "def probe(train, labels, test, test_labels, shrink):\n    a, b = np.float64(train), np.float64(test)\n    z = stats.zmap(b, a, axis=0) if (a.std(0) > 0).all() else (b - a.mean(0)) / np.where(a.std(0) == 0, 1, a.std(0))\n    x = (a - a.mean(0)) / np.where(np.ptp(a, axis=0) == 0, 1, a.std(0))\n    names, which = np.unique(labels, return_inverse=True)\n    c = np.stack([x[which == i].mean(0) for i in range(len(names))])\n    c = np.sign(c) * np.maximum(np.abs(c) - shrink, 0)\n    d = ((z[:, np.newaxis, :] - c[np.newaxis]) ** 2).sum(-1)\n    return {'distance': torch.from_numpy(d), 'accuracy': (names[np.argmin(d, axis=1)] == test_labels.numpy()).mean()}",
    ),
    equivalent={
        "float((found == test_labels).float().mean()) -> (found == test_labels).float().mean()": "a tensor of one number is a number",
        "y[:, None] - centroids[None] -> centroids[None] - y[:, None]": "squares do not depend on the sign",
    },
)  # fmt: skip

EXERCISES = [FIRST_WARNING, DIAGNOSE, SPREAD_AND_RANK, KIND_OF_COLLAPSE, DESIGN, VERDICT, PROBE]
