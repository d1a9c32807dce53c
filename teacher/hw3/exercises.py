"""Homework 3: the cases of every exercise, the mistakes that people make, and right answers in other styles."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from assignment import Exercise, function_of, given_code
from scipy import stats

SEEN = np.random.default_rng(0)  # of the visible inputs
Log = list[dict[str, Any]]  # what a run wrote down, row by row


def tensor(values: Any, digits: int | None = None) -> torch.Tensor:
    """Numbers as float32, rounded where students see them."""
    array = np.asarray(values)
    return torch.from_numpy((array if digits is None else array.round(digits)).astype(np.float32))


def uneven(rng: np.random.Generator, clips: int, tokens: int, dim: int, digits: int | None = None) -> torch.Tensor:
    """Features [clips, tokens, dim] with a mean far from 0, other scales for every feature and other places."""
    scale = np.exp(rng.normal(0, 0.6, dim))
    apart = rng.normal(size=(clips, 1, dim)) + rng.normal(size=(clips, tokens, dim)) * rng.uniform(
        0.2, 2.0, (1, tokens, dim)
    )
    return tensor(scale * apart + rng.normal(0, 2, (1, 1, dim)) + rng.normal(0, 1, (1, tokens, dim)), digits)


RANK = "def spread_and_rank(h, power):\n    h = h.double()\n    std = h.std(dim=0, correction=0).mean(dim=0)\n    spread = np.median(std.numpy())\n    pooled = h.mean(dim=1)\n    sigma = torch.linalg.svdvals(pooled - pooled.mean(dim=0))\n    share = sigma ** power / (sigma ** power).sum()\n    rank = torch.special.entr(share).sum().exp()\n    return {'spread': float(spread), 'rank': float(rank)}"
SPREAD_AND_RANK = Exercise(
    "spread_and_rank",
    ("minivjepa.collapse.feature_std", "minivjepa.collapse.position_std", "minivjepa.collapse.singular_values", "minivjepa.collapse.entropy_rank",
     "minivjepa.collapse.effective_rank", "minivjepa.collapse.rankme", "minivjepa.collapse.token_metrics"),
    (
        {"h": torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])[:, None] + torch.tensor([[5.0, 1.0], [1.0, 3.0]]), "power": 1.0},
        {"h": uneven(SEEN, 9, 3, 3, 2), "power": 1.0},
        {"h": uneven(SEEN, 12, 2, 4, 2), "power": 2.0},
    ),
    lambda rng: [
        {"h": uneven(rng, int(rng.integers(25, 40)), int(rng.integers(3, 6)), dim), "power": power} for dim, power in zip((5, 6, 4), rng.choice([0.5, 1.5, 2.5, 3.0], 3, replace=False).tolist())
    ],
    (
        ("the std is divided by n - 1, which torch does unless it is told otherwise; the population's is divided by n", RANK.replace("h.std(dim=0, correction=0)", "h.std(dim=0)")),
        ("two defaults of torch are at work: its std divides by n - 1, and its median takes the lower of the two in the middle", RANK.replace("h.std(dim=0, correction=0)", "h.std(dim=0)").replace("np.median(std.numpy())", "std.median()")),
        ("this spread is the mean over features; asked is the median", RANK.replace("np.median(std.numpy())", "std.mean()")),
        ("torch.median takes the lower of the two features in the middle; meet half-way between them", RANK.replace("np.median(std.numpy())", "std.median()")),
        ("this std runs within each clip, over its places: it stays high where all clips are the same", RANK.replace("h.std(dim=0, correction=0).mean(dim=0)", "h.std(dim=1, correction=0).mean(dim=0)")),
        ("clips and places are put into one std: differences between places are not differences between clips", RANK.replace("h.std(dim=0, correction=0).mean(dim=0)", "h.std(dim=(0, 1), correction=0)")),
        ("the tokens are averaged before the std; the spread is that at fixed places, and only then averaged over them", RANK.replace("h.std(dim=0, correction=0).mean(dim=0)", "h.mean(dim=1).std(dim=0, correction=0)")),
        ("this is the median over places and features together; average over the places first", RANK.replace("h.std(dim=0, correction=0).mean(dim=0)", "h.std(dim=0, correction=0)")),
        ("the mean over clips was not subtracted: what all clips share counts as a direction of its own", RANK.replace("pooled - pooled.mean(dim=0)", "pooled")),
        ("what is subtracted is the mean of each clip over its features; it has to be that of each feature over clips", RANK.replace("pooled - pooled.mean(dim=0)", "pooled - pooled.mean(dim=1, keepdim=True)")),
        ("the argument power is ignored", RANK.replace("sigma ** power / (sigma ** power).sum()", "sigma / sigma.sum()")),
        ("the power is taken after dividing by the sum, so that the shares do not add up to 1", RANK.replace("sigma ** power / (sigma ** power).sum()", "(sigma / sigma.sum()) ** power")),
        ("this is the sum, - p log p, itself; the rank is exp of it", RANK.replace(".sum().exp()", ".sum()")),
        ("the directions are those of all tokens; average each clip's tokens first", RANK.replace("pooled = h.mean(dim=1)", "pooled = h.flatten(0, 1)")),
    ),
    (
        "def spread_and_rank(h, power):\n    x = h.numpy().astype(np.float64)\n    std = np.sqrt(((x - x.mean(axis=0)) ** 2).mean(axis=0)).mean(axis=0)\n    p = np.sort(std)\n    d = len(p)\n    spread = (p[(d - 1) // 2] + p[d // 2]) / 2\n    c = x.mean(axis=1)\n    c = c - c.mean(axis=0)\n    s = np.linalg.svd(c, compute_uv=False) ** power\n    entropy = -sum(q * math.log(q) for q in s / s.sum() if q > 0)\n    return {'rank': math.exp(entropy), 'spread': spread}",
        "def spread_and_rank(h, power):\n    std = h.var(dim=0, unbiased=False).sqrt().mean(dim=0)\n    pooled = einops.reduce(h, 'B N D -> B D', 'mean')\n    centred = pooled - einops.reduce(pooled, 'B D -> 1 D', 'mean')\n    values = torch.linalg.eigvalsh(centred.T.double() @ centred.double()).clamp_min(0) ** (power / 2)\n    p = values / values.sum()\n    return {'spread': std.quantile(0.5), 'rank': torch.exp(-torch.xlogy(p, p).sum())}",
    ),
)  # fmt: skip


def directed(rng: np.random.Generator, shape: tuple[int, int, int], values: list[float], noise: float = 0.0, places: float = 0.0, common: float = 0.0,
             digits: int | None = None) -> torch.Tensor:  # fmt: skip
    """Features whose pooled part has std `values` along orthogonal directions; noise and places vanish in the average over tokens."""
    clips, tokens, dim = shape
    drawn = rng.normal(size=(clips, dim))
    q = np.linalg.qr(drawn - drawn.mean(axis=0))[0] * clips**0.5
    turn = np.linalg.qr(rng.normal(size=(dim, dim)))[0]
    extra = noise * rng.normal(size=shape) + places * rng.normal(size=(1, tokens, dim))
    return tensor(
        (q * np.array(values) @ turn)[:, None]
        + extra
        - extra.mean(axis=1, keepdims=True)
        + common * rng.normal(size=dim),
        digits,
    )


def many_kinds(rng: np.random.Generator) -> list[dict[str, Any]]:
    """Features of every kind, with the traps that tell wrong rules apart."""

    def case(values: list[float], limit: float, directions: int, share: float, **parts: float) -> dict[str, Any]:
        shape = (int(rng.integers(15, 30)), int(rng.integers(5, 9)), 6)
        return {"h": directed(rng, shape, values, **parts), "limit": limit, "directions": directions, "share": share}

    return [
        case([0.5] * 6, 0.05, 2, 0.8, noise=0.3, common=6.0),  # healthy, and the common vector is no direction
        case([0.001, 0, 0, 0, 0, 0], 0.04, 2, 0.8, common=1.0),  # complete; what little is left has one direction
        case([0.001] * 6, 0.04, 2, 0.8, noise=0.001, places=0.7, common=1.0),  # content-free
        case([0.8, 0.7, 0.02, 0.02, 0.02, 0.02], 0.03, 2, 0.9, noise=0.1, places=0.9),  # dimensional in two directions
        case([1.6, 0.45, 0.45, 0.45, 0.45, 0.45], 0.03, 1, 0.65, places=1.0),  # dimensional by variance, 0.72, and not by sigma, 0.42
        case([0.6] * 6, 0.06, 3, 0.7),  # healthy, and all tokens of a clip are the same
        case([0.005] * 6, 0.03, 2, 0.8, noise=0.12),  # healthy, and the average token hardly differs
        case([0.005] * 6, 0.001, 2, 0.8, noise=0.004),  # healthy on a small scale
        case([0.2] * 6, 0.5, 2, 0.8, noise=0.1, places=0.05),  # complete on a large scale
        case([0.7, 0.7, 0.3, 0.3, 0.3, 0.3], 0.03, 1, 0.6, noise=0.1),  # healthy: the first direction has 0.37, two have 0.73
    ]  # fmt: skip


KIND = "def kind_of_collapse(h, limit, directions, share):\n    across = h.std(dim=0, correction=0).mean()\n    within = h.std(dim=1, correction=0).mean()\n    if across < limit:\n        return 'complete' if within < limit else 'content-free'\n    pooled = h.mean(dim=1)\n    variance = torch.linalg.svdvals(pooled - pooled.mean(dim=0)) ** 2\n    return 'dimensional' if variance[:directions].sum() >= share * variance.sum() else 'healthy'"
ACROSS, WITHIN = "h.std(dim=0, correction=0).mean()", "h.std(dim=1, correction=0).mean()"
KIND_OF_COLLAPSE = Exercise(
    "kind_of_collapse",
    ("minivjepa.collapse.feature_std", "minivjepa.collapse.position_std", "minivjepa.collapse.singular_values", "minivjepa.collapse.effective_rank",
     "minivjepa.collapse.token_metrics"),
    (
        {"h": torch.tensor([[0.0, 4.0], [2.0, 0.0]]).expand(3, 2, 2).clone(), "limit": 0.01, "directions": 1, "share": 0.9},
        {"h": directed(SEEN, (10, 3, 3), [0.0004, 0, 0], common=1.0, digits=4), "limit": 0.01, "directions": 1, "share": 0.9},
        {"h": directed(SEEN, (10, 4, 3), [0.9, 0.25, 0.25], noise=0.2, places=1.2, digits=2), "limit": 0.01, "directions": 1, "share": 0.75},
        {"h": directed(SEEN, (10, 3, 4), [0.7, 0.6, 0.1, 0.1], noise=0.2, places=0.8, digits=2), "limit": 0.01, "directions": 2, "share": 0.9},
        {"h": directed(SEEN, (10, 3, 3), [0.5, 0.5, 0.5], noise=0.2, common=4.0, digits=2), "limit": 0.01, "directions": 1, "share": 0.9},
        {"h": directed(SEEN, (10, 3, 3), [0.5, 0.5, 0.4], digits=2), "limit": 0.01, "directions": 1, "share": 0.9},
    ),
    many_kinds,
    (
        ("directions are asked for before the std: what is left of dead features may have few directions too, but rule 2 comes first", KIND.replace("    if across < limit:\n        return 'complete' if within < limit else 'content-free'\n", "").replace("    return 'dim", "    if variance[:directions].sum() < share * variance.sum() and across < limit:\n        return 'complete' if within < limit else 'content-free'\n    return 'dim")),
        ("across and within are exchanged: dim 0 counts the clips, dim 1 the places", KIND.replace(ACROSS, "HERE").replace(WITHIN, ACROSS).replace("HERE", WITHIN)),
        ("complete and content-free are exchanged: in a content-free collapse, places still differ", KIND.replace("'complete' if within < limit else 'content-free'", "'content-free' if within < limit else 'complete'")),
        ("across is taken over clips and places together, so that places which differ hide clips which do not", KIND.replace(ACROSS, "h.std(dim=(0, 1), correction=0).mean()")),
        ("across is taken of the average tokens, where differences cancel out: take it at fixed places", KIND.replace(ACROSS, "h.mean(dim=1).std(dim=0, correction=0).mean()")),
        ("a content-free collapse is never found: where across is below the limit, within decides", KIND.replace("'complete' if within < limit else 'content-free'", "'complete'")),
        ("one low number is enough here for complete; it takes both, and clips whose places agree may be healthy", KIND.replace("    if across < limit:\n        return 'complete' if within < limit else 'content-free'", "    if across < limit or within < limit:\n        return 'complete'")),
        ("the limit is fixed at 0.01: use the argument", KIND.replace("< limit", "< 0.01")),
        ("the variance along a direction is its singular value squared", KIND.replace(" ** 2", "")),
        ("the mean over clips was not subtracted: the vector that all clips share looks like one strong direction", KIND.replace("pooled - pooled.mean(dim=0)", "pooled")),
        ("only the largest direction is counted: the argument directions says how many", KIND.replace("variance[:directions].sum()", "variance[0]")),
        ("one direction too many is counted: a slice ends before its second number", KIND.replace("variance[:directions]", "variance[:directions + 1]")),
        ("the directions are those of all tokens, where places have directions too; average each clip's tokens first", KIND.replace("pooled = h.mean(dim=1)", "pooled = h.flatten(0, 1)")),
    ),
    (
        "def kind_of_collapse(h, limit, directions, share):\n    x = h.numpy().astype(float)\n    dead = x.std(axis=0).mean() < limit\n    still = x.std(axis=1).mean() < limit\n    if dead and still:\n        return 'complete'\n    if dead:\n        return 'content-free'\n    c = np.cov(x.mean(axis=1), rowvar=False, bias=True)\n    v = sorted(np.linalg.eigvalsh(c), reverse=True)\n    return 'healthy' if sum(v[:directions]) / sum(v) < share else 'dimensional'",
        "def kind_of_collapse(h, limit, directions, share):\n    def spread(axis):\n        return float(((h - h.mean(axis, keepdim=True)) ** 2).mean(axis).sqrt().mean())\n    if spread(0) >= limit:\n        pooled = einops.reduce(h, 'B N D -> B D', 'mean')\n        s = torch.linalg.svdvals(pooled - pooled.mean(0, keepdim=True))\n        held = s.square().cumsum(0) / s.square().sum()\n        return ('healthy', 'dimensional')[int(held[directions - 1] >= share)]\n    return ('content-free', 'complete')[int(spread(1) < limit)]",
    ),
)  # fmt: skip

RUNS: dict[str, Log] = function_of(given_code("hw3"), "", "RUNS")  # type: ignore[assignment]  # as the notebook gives them
RECORDED = json.loads((Path(__file__).parents[2] / "results" / "matrix.json").read_text())["arms"]
SHOWN = {("frozen", 13), ("neither", 11), ("no-ema", 14), ("no-stopgrad", 10), ("vjepa", 12)}  # which runs A to E are


def recorded(rng: np.random.Generator, arm: str) -> Log:
    """What a run of an arm logged, one that the notebook does not show."""
    run = rng.choice([run for run in RECORDED[arm] if (arm, run["seed"]) not in SHOWN])
    keys = ("loss", "feature_std", "target_feature_std", "effective_rank", "margin")
    return [{"step": row["step"], **{key: round(row[key], 4) for key in keys}} for row in run["history"] if row["step"]]


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


def patients(rng: np.random.Generator) -> list[dict[str, Any]]:
    """Recorded runs under other limits, and made-up ones at the borders of every rule."""
    limits = {
        "last": int(rng.integers(2, 7)),
        "gone": float(rng.choice([0.005, 0.015, 0.025])),
        "alive": float(rng.choice([0.15, 0.18, 0.25])),
        "margin": float(rng.choice([0.02, 0.08, 0.15])),
    }
    cases = [{"rows": recorded(rng, arm), **limits} for arm in RECORDED]
    gone, alive, margin = (
        float(value) for value in (rng.choice([0.03, 0.04]), rng.choice([0.2, 0.3]), rng.choice([0.1, 0.2]))
    )
    fine, more = [0.6] * 5, round(margin + 0.05, 2)
    made = [
        log([0.5, 0.5, 0.4, 0.3, gone / 2], fine),  # below at the very last row only
        log([0.5, 0.5, 0.5, gone / 2, 0.5], fine, margin=[more] * 5),  # below at one of the last rows
        log([0.5, 0.01, 0.01, 0.01, 0.01]),  # dead in both, with a high rank
        log(
            [0.01, 0.01, 0.5, 0.5, 0.5], margin=[0.0, 0.0, more, more, more], loss=(0.1, 0.4)
        ),  # recovered, and its loss rises
        log([0.5, 0.5, 0.001, gone + 0.01, 0.001], fine),  # below on average, not in each
        log([0.5, 0.5, gone, gone, gone]),  # at the limit is not below it
        log(
            [0.5, 0.5, alive, alive, alive], margin=[0.0, 0.0, 0.0, 0.0, margin]
        ),  # at both limits is healthy; earlier margins do not count
        log(fine, [0.5, 0.3, 0.02, 0.02, 0.02]),  # target collapsed
        log([0.5, 0.3, 0.02, 0.02, 0.02], fine),  # the online encoder collapsed, and its target has not followed yet
        log([0.01, 0.01]),  # too short
        log(fine, [0.5, 0.5, gone + 0.05, gone + 0.05, gone + 0.05], margin=[more] * 5),  # neither dead nor alive
        log(fine, margin=[0.0, 0.0, 0.0, 0.0, more], rank=(40.0, 4.0)),  # healthy, and its rank falls
        log(fine, margin=[more, more, more, more, 0.0], rank=(40.0, 4.0)),  # the margin was good once
    ]
    return cases + [{"rows": rows, "last": 3, "gone": gone, "alive": alive, "margin": margin} for rows in made]  # fmt: skip


DIAGNOSE_RIGHT = "def diagnose(rows, last, gone, alive, margin):\n    end = rows[-last:]\n    online = [row['feature_std'] for row in end]\n    target = [row['target_feature_std'] for row in end]\n    if len(end) < last:\n        return 'not yet clear'\n    if max(online) < gone:\n        return 'collapsed'\n    if max(target) < gone:\n        return 'target collapsed'\n    if min(online + target) >= alive and end[-1]['margin'] >= margin:\n        return 'healthy'\n    return 'not yet clear'"
FIRST, SECOND = (
    "    if max(online) < gone:\n        return 'collapsed'\n",
    "    if max(target) < gone:\n        return 'target collapsed'\n",
)
PATIENT = {"last": 3, "gone": 0.01, "alive": 0.1, "margin": 0.05}
DIAGNOSE = Exercise(
    "diagnose",
    ("minivjepa.evaluation.collapsed_runs.collapsed", "minivjepa.evaluation.collapsed_runs.alarm", "minivjepa.collapse.early_warning"),
    (
        {"rows": log([0.7, 0.008, 0.006], [0.7, 0.3, 0.2]), "last": 2, "gone": 0.01, "alive": 0.1, "margin": 0.05},
        {"rows": log([0.7, 0.008, 0.3]), "last": 2, "gone": 0.01, "alive": 0.1, "margin": 0.05},
        *({"rows": rows, **PATIENT} for rows in RUNS.values()),
        {"rows": RUNS["D"][:6], **PATIENT},
        {"rows": log([0.7, 0.5, 0.4], [0.7, 0.6, 0.5], [0.0, 0.02, 0.2], loss=(0.2, 0.4)), **PATIENT},
    ),
    patients,
    (
        ("the target encoder is not looked at: a run can die in its target while the online encoder looks well", DIAGNOSE_RIGHT.replace(SECOND, "").replace("online + target", "online")),
        ("healthy is decided by the online encoder alone; both have to be alive", DIAGNOSE_RIGHT.replace("min(online + target)", "min(online)")),
        ("only the very last row is looked at; each of the last rows has to be below, or alive", DIAGNOSE_RIGHT.replace("if len(end)", "online, target = online[-1:], target[-1:]\n    if len(end)")),
        ("one low row is enough here to call an encoder collapsed: it has to be low in each of the last rows", DIAGNOSE_RIGHT.replace("max(", "min(")),
        ("the average of the last rows is compared: one very low row pulls it down; ask each row", DIAGNOSE_RIGHT.replace("max(online)", "np.mean(online)").replace("max(target)", "np.mean(target)").replace("min(online + target)", "min(np.mean(online), np.mean(target))")),
        ("the whole log is looked at: every run starts alive, and what counts are its last rows", DIAGNOSE_RIGHT.replace("    if len(end)", "    online, target = [row['feature_std'] for row in rows], [row['target_feature_std'] for row in rows]\n    if len(end)")),
        ("these are the first rows of the log; the last ones decide", DIAGNOSE_RIGHT.replace("rows[-last:]", "rows[:last]")),
        ("a fallen loss counts as health here: the loss of collapsed runs falls furthest, so there is no rule about it", DIAGNOSE_RIGHT.replace("end[-1]['margin'] >= margin", "rows[-1]['loss'] < rows[0]['loss']")),
        ("a fallen effective rank counts as collapse here: it falls in healthy runs and stays high in dead ones, so there is no rule about it", DIAGNOSE_RIGHT.replace("max(online) < gone", "end[-1]['effective_rank'] < 0.6 * rows[0]['effective_rank']")),
        ("the margin is not looked at: features can differ between clips while predictions say nothing about the clip", DIAGNOSE_RIGHT.replace(" and end[-1]['margin'] >= margin", "")),
        ("the margin is asked of every one of the last rows; only the very last counts", DIAGNOSE_RIGHT.replace("end[-1]['margin'] >= margin", "min(row['margin'] for row in end) >= margin")),
        ("the target is asked first, so that runs in which both encoders died are called target collapsed", DIAGNOSE_RIGHT.replace(FIRST, "").replace(SECOND, SECOND + FIRST)),
        ("a value exactly at the limit is not below it", DIAGNOSE_RIGHT.replace("< gone", "<= gone")),
        ("a value exactly at the limit is at least the limit: healthy begins there", DIAGNOSE_RIGHT.replace(">= alive", "> alive").replace(">= margin", "> margin")),
        ("the limits are fixed at those of the visible cases: use the arguments", DIAGNOSE_RIGHT.replace("< gone", "< 0.01").replace(">= alive", ">= 0.1").replace(">= margin", ">= 0.05")),
        ("a log with fewer than `last` rows is not yet clear, however low it is", DIAGNOSE_RIGHT.replace("    if len(end) < last:\n        return 'not yet clear'\n", "")),
        ("every run that has not died is called healthy; some are neither", DIAGNOSE_RIGHT.replace("    return 'not yet clear'", "    return 'healthy'", 2).replace("return 'healthy'\n    if max(online)", "return 'not yet clear'\n    if max(online)")),
    ),
    (
        "def diagnose(rows, last, gone, alive, margin):\n    if len(rows) < last:\n        return 'not yet clear'\n    std = np.array([[row[key] for key in ('feature_std', 'target_feature_std')] for row in rows])[-last:]\n    dead = (std < gone).all(axis=0)\n    if dead.any():\n        return 'collapsed' if dead[0] else 'target collapsed'\n    good = (std >= alive).all() and rows[-1]['margin'] >= margin\n    return 'healthy' if good else 'not yet clear'",
        "def diagnose(rows, last, gone, alive, margin):\n    end = rows[len(rows) - last:] if len(rows) >= last else None\n    words = [('collapsed', lambda: all(r['feature_std'] < gone for r in end)),\n             ('target collapsed', lambda: all(r['target_feature_std'] < gone for r in end)),\n             ('healthy', lambda: all(min(r['feature_std'], r['target_feature_std']) >= alive for r in end) and not end[-1]['margin'] < margin)]\n    return next((word for word, holds in words if end is not None and holds()), 'not yet clear')",
    ),
)  # fmt: skip


def slim(rows: Log) -> Log:
    """A log without what a warning does not need."""
    return [{key: row[key] for key in ("step", "feature_std", "target_feature_std")} for row in rows]


def alarms(rng: np.random.Generator) -> list[dict[str, Any]]:
    """Recorded runs under other limits, and made-up ones that tell wrong counters apart."""
    cases = [
        {
            "rows": slim(recorded(rng, arm)),
            "limit": float(rng.choice([0.05, 0.3, 0.45])),
            "patience": int(rng.integers(2, 4)),
            "after": int(rng.choice([0, 20, 300])),
        }
        for arm in RECORDED
    ]
    limit, high = float(rng.choice([0.15, 0.25])), 0.7
    low, n = round(limit / 2, 4), int(rng.integers(9, 12))
    steps = sorted(rng.choice(np.arange(1, 60), n, replace=False).tolist())
    steps = [10 * step for step in steps]
    fine = [high] * n
    made = [
        (log(fine, [high, *[low] * (n - 1)], steps=steps), 3, 0),  # only the target
        (log([high, *[low] * (n - 1)], fine, steps=steps), 3, 0),  # only the online encoder
        (log([low, low, high, low, high, *[low] * (n - 5)], steps=steps), 3, 0),  # interrupted
        (log([low] * n, steps=steps), 2, steps[4]),  # low from the start, and not counted before `after`
        (log([high, limit, limit, limit, *[low] * (n - 4)], steps=steps), 4, 0),  # at the limit is not below
        (log([*fine[:-2], low, low], steps=steps), 3, 0),  # the log ends too early
        (
            log([high, high, *[0.01] * (n - 2)], [high, high, *[2 * limit - 0.02] * (n - 2)], steps=steps),
            2,
            0,
        ),  # low on average too, but not both
    ]
    return cases + [{"rows": slim(rows), "limit": limit, "patience": patience, "after": after} for rows, patience, after in made]  # fmt: skip


WARN = "def first_warning(rows, limit, patience, after):\n    low = 0\n    for row in rows:\n        if row['step'] < after:\n            continue\n        low = low + 1 if min(row['feature_std'], row['target_feature_std']) < limit else 0\n        if low == patience:\n            return row['step']\n    return -1"
SMALLER = "min(row['feature_std'], row['target_feature_std'])"
WARN_FROM = "def first_warning(rows, limit, patience, after):\n    rows = [row for row in rows if row['step'] >= after]\n    low = [min(row['feature_std'], row['target_feature_std']) < limit for row in rows]\n    for i in range(len(rows)):\n        if i + 1 >= patience and all(low[i + 1 - patience : i + 1]):\n            return FOUND\n    return NEVER"
FIRST_WARNING = Exercise(
    "first_warning",
    ("minivjepa.collapse.early_warning", "minivjepa.evaluation.collapsed_runs.alarm", "minivjepa.evaluation.collapsed_runs.collapsed"),
    (
        {"rows": slim(log([0.7, 0.3, 0.3, 0.3, 0.3], [0.7, 0.15, 0.05, 0.04, 0.03], steps=[0, 10, 20, 50, 100])), "limit": 0.15, "patience": 2, "after": 0},
        {"rows": slim(log([0.7, 0.08, 0.07, 0.2, 0.09, 0.05, 0.04, 0.02], steps=[0, 5, 10, 20, 50, 100, 200, 400])), "limit": 0.1, "patience": 3, "after": 0},
        {"rows": slim(RUNS["B"]), "limit": 0.1, "patience": 2, "after": 800},
        {"rows": slim(log([0.7, 0.12, 0.09, 0.05], [0.7, 0.6, 0.4, 0.4])), "limit": 0.3, "patience": 2, "after": 0},
        {"rows": slim(RUNS["E"]), "limit": 0.1, "patience": 2, "after": 0},
    ),
    alarms,
    (
        ("only the online encoder is watched; the target can die while it looks well", WARN.replace(SMALLER, "row['feature_std']")),
        ("only the target encoder is watched; take the smaller of both", WARN.replace(SMALLER, "row['target_feature_std']")),
        ("this waits until both encoders are low; the smaller of the two decides", WARN.replace("min(row", "max(row")),
        ("the average of both encoders is compared; a healthy one hides a dead one in it", WARN.replace(SMALLER, "(row['feature_std'] + row['target_feature_std']) / 2")),
        ("the first low row warns at once: it takes `patience` rows in a row", WARN.replace("low == patience", "low == 1")),
        ("this is where the low rows begin; the warning is given when they are complete", WARN_FROM.replace("FOUND", "rows[i + 1 - patience]['step']").replace("NEVER", "-1")),
        ("low rows are counted without starting again at 0 after a good one: they have to be in a row", WARN.replace("low = low + 1 if", "low = low + 1 if").replace("< limit else 0", "< limit else low").replace("if low == patience", "if low == patience and " + SMALLER + " < limit")),
        ("one row too many is waited for: the warning is given at row number `patience` itself", WARN.replace("low == patience", "low == patience + 1")),
        ("this is the number of the row; asked is its step", WARN.replace("for row in rows", "for number, row in enumerate(rows)").replace("return row['step']", "return number")),
        ("patience is counted in steps; it is a number of rows", "def first_warning(rows, limit, patience, after):\n    start = None\n    for row in rows:\n        if row['step'] < after:\n            continue\n        if min(row['feature_std'], row['target_feature_std']) >= limit:\n            start = None\n        elif start is None:\n            start = row['step']\n        if start is not None and row['step'] - start + 1 >= patience:\n            return row['step']\n    return -1"),
        ("a value exactly at the limit is not below it", WARN.replace("< limit", "<= limit")),
        ("rows before step `after` are counted", WARN.replace("        if row['step'] < after:\n            continue\n", "")),
        ("low rows before step `after` are counted too, once a later row completes them: a count starts at `after`", WARN.replace("        if row['step'] < after:\n            continue\n", "").replace("low == patience", "low >= patience and row['step'] >= after")),
        ("the count goes on from rows before step `after`, and has passed `patience` by then: it starts at `after`, with 0", WARN.replace("        if row['step'] < after:\n            continue\n", "").replace("low == patience", "low == patience and row['step'] >= after")),
        ("the row at step `after` itself counts already", WARN.replace("row['step'] < after", "row['step'] <= after")),
        ("where no warning is given, return -1 and not the last step", WARN.replace("return -1", "return rows[-1]['step']")),
        ("the limit is fixed at 0.1: use the argument", WARN.replace("< limit", "< 0.1")),
    ),
    (
        WARN_FROM.replace("FOUND", "rows[i]['step']").replace("NEVER", "-1"),
        "def first_warning(rows, limit, patience, after):\n    kept = [(r['step'], min(r['feature_std'], r['target_feature_std'])) for r in rows if r['step'] >= after]\n    word = ''.join('x' if value < limit else '.' for _, value in kept)\n    place = word.find('x' * patience)\n    return -1 if place < 0 else int(kept[place + patience - 1][0])",
    ),
)  # fmt: skip


def experiments(rng: np.random.Generator) -> list[dict[str, Any]]:
    """Bases on one, two and three levels, with values that repeat."""
    lr, momentum, width = (
        float(rng.choice(choice)) for choice in ([0.1, 0.2, 0.4], [0.9, 0.95, 0.99], [24.0, 48.0, 96.0])
    )
    flat = {"loss": "l1", "lr": lr, "mask": "tube"}
    two = {"loss": "l1", "lr": lr, "prevention": {"target": "ema", "momentum": momentum, "stop": True}}
    three = {
        "steps": 100.0,
        "model": {"encoder": {"width": width, "depth": 3.0}, "predictor": {"width": 24.0}},
        "lr": lr,
    }
    return [
        {"base": flat, "switches": [("lr", [3 * lr, lr, 2 * lr, 2 * lr]), ("mask", ["random", "blocks", "tube"])]},
        {"base": two, "switches": [("prevention/momentum", [1.0, momentum, 0.5]), ("loss", ["l2", "l1"]), ("prevention/stop", [False]), ("loss", ["smooth", "l2"])]},
        {"base": three, "switches": [("model/encoder/width", [2 * width, width / 2, width]), ("lr", [lr, lr / 10]), ("model/predictor/width", [12.0, 12.0, 48.0])]},
    ]  # fmt: skip


ARMS = "def design(base, switches):\n    arms = [copy.deepcopy(base)]\n    for name, values in switches:\n        *path, option = name.split('/')\n        for value in values:\n            arm = copy.deepcopy(base)\n            place = arm\n            for step in path:\n                place = place[step]\n            place[option] = value\n            if arm not in arms:\n                arms.append(arm)\n    return arms"
SETTER = "def design(base, switches):\n    def set_in(arm, name, value):\n        *path, option = name.split('/')\n        for step in path:\n            arm = arm[step]\n        arm[option] = value\n"
DESIGN = Exercise(
    "design",
    ("minivjepa.training.arms.with_arm", "minivjepa.experiments.plan.plan_jobs", "minivjepa.experiments.plan.flags"),
    (
        {"base": {"loss": "l1", "lr": 0.1}, "switches": [("loss", ["l2"])]},
        {"base": {"loss": "l1", "lr": 0.1}, "switches": [("lr", [0.4, 0.1, 0.2, 0.4]), ("loss", ["l2"])]},
        {"base": {"lr": 0.1, "prevention": {"target": "ema", "momentum": 0.99}}, "switches": [("prevention/momentum", [1.0, 0.9]), ("prevention/target", ["online"]), ("lr", [0.2])]},
        {"base": {"lr": 0.1, "model": {"encoder": {"dim": 24, "depth": 1}, "dropout": 0.0}}, "switches": [("model/encoder/dim", [48]), ("lr", [0.2]), ("lr", [0.3, 0.2])]},
    ),
    experiments,
    (
        ("these are all combinations: arms in which several options differ at once cannot say which of them did it", SETTER + "    import itertools\n    arms = [copy.deepcopy(base)]\n    for values in itertools.product(*(values for _, values in switches)):\n        arm = copy.deepcopy(base)\n        for (name, _), value in zip(switches, values):\n            set_in(arm, name, value)\n        if arm not in arms:\n            arms.append(arm)\n    return arms"),
        ("every arm is made from the one before it, so that changes pile up: start from the base each time", ARMS.replace("arm = copy.deepcopy(base)\n", "arm = copy.deepcopy(arms[-1])\n")),
        ("dict(base) and base.copy() copy the outer dict only: the dicts inside are shared, and a change in one arm shows in the base and in all others", ARMS.replace("copy.deepcopy(base)", "dict(base)")),
        ("the base is safe, but each arm copies the outer dict only: the dicts inside are shared, and changes pile up in them", ARMS.replace("arm = copy.deepcopy(base)", "arm = dict(base)")),
        ("nothing is copied: all arms are one dict, and it ends with every switch set", SETTER + "    arms, done = [base], []\n    for name, values in switches:\n        for value in values:\n            if (name, value) not in done:\n                done.append((name, value))\n                set_in(base, name, value)\n                arms.append(base)\n    return arms"),
        ("the base itself is missing: without it there is nothing to compare with", ARMS.replace("return arms", "return arms[1:]")),
        ("the base stands at the end; it is the first arm", ARMS.replace("return arms", "return arms[1:] + arms[:1]")),
        ("a value that the base has already gives the base again: leave it out", ARMS.replace("if arm not in arms:", "if arm not in arms[1:]:")),
        ("a value that was tried before is tried again: leave it out", ARMS.replace("if arm not in arms:", "if arm != base:")),
        ("no arm is left out: values that the base has, and values that were tried before, give the same arm twice", ARMS.replace("if arm not in arms:", "if True:")),
        ("repeated values are found inside one switch only; the same option may be in the list twice", ARMS.replace("for value in values", "for value in dict.fromkeys(values)").replace("if arm not in arms:", "if arm != base:")),
        ("a name with slashes became an option of its own: a slash leads one level down", ARMS.replace("*path, option = name.split('/')", "path, option = [], name")),
        ("only the first slash is followed: there may be more levels than two", ARMS.replace("name.split('/')", "name.split('/', 1)")),
        ("the inner dict was replaced by the one option that changes: its other options have to stay", ARMS.replace("            for step in path:\n                place = place[step]\n", "            for step in path:\n                place[step] = {}\n                place = place[step]\n")),
        ("only the first value of each switch is tried", ARMS.replace("for value in values", "for value in values[:1]")),
        ("these are the changes alone; an arm is a complete dict of options", "def design(base, switches):\n    arms, found = [{}], [base]\n    for name, values in switches:\n        *path, option = name.split('/')\n        for value in values:\n            arm = copy.deepcopy(base)\n            place = arm\n            for step in path:\n                place = place[step]\n            place[option] = value\n            if arm not in found:\n                found.append(arm)\n                arms.append({name: value})\n    return arms"),
        ("the values of a switch are sorted: keep the order in which they are given", ARMS.replace("for value in values", "for value in sorted(values)")),
    ),
    (
        "def design(base, switches):\n    def changed(options, path, value):\n        head, rest = path[0], path[1:]\n        return {key: (changed(old, rest, value) if rest else value) if key == head else copy.deepcopy(old) for key, old in options.items()}\n    arms = [base]\n    for name, values in switches:\n        for value in values:\n            new = changed(base, name.split('/'), value)\n            if all(new != arm for arm in arms):\n                arms.append(new)\n    return arms",
        "def design(base, switches):\n    import functools, json\n    every = [json.dumps(base)]\n    for name, values in switches:\n        keys = name.split('/')\n        for value in values:\n            arm = json.loads(json.dumps(base))\n            functools.reduce(dict.get, keys[:-1], arm)[keys[-1]] = value\n            every.append(json.dumps(arm))\n    return [json.loads(text) for text in dict.fromkeys(every)]",
    ),
)  # fmt: skip


def reading(arm: str, metric: str, seeds: tuple[int, ...] = (10, 11, 12, 13, 14)) -> dict[int, float]:
    """Seed -> a metric of a recorded arm, rounded as students see it, in the order of `seeds`."""
    found = {run["seed"]: round(run["final"][metric], 3) for run in RECORDED[arm]}
    return {seed: found[seed] for seed in seeds}


def spread_out(rng: np.random.Generator, count: int) -> np.ndarray:
    """Numbers from about -1 to about 1, never all close together."""
    return rng.permutation(np.linspace(-1, 1, count)) + rng.normal(0, 0.1, count)


def differences(rng: np.random.Generator, count: int, mean: float, half: float, level: float) -> np.ndarray:
    """Differences on `count` seeds, from far below their mean to far above it, whose interval has this half-width."""
    z = spread_out(rng, count)
    z = (z - z.mean()) / z.std(ddof=1)
    return np.asarray(mean + z * half * count**0.5 / stats.t.ppf((1 + level) / 2, count - 1))


def two_arms(rng: np.random.Generator, each: np.ndarray, shared: float, unshared: tuple[int, int], level: float) -> dict[str, Any]:  # fmt: skip
    """Arms with these differences, in any order.  shared: how much a seed does to both; unshared: how many seeds only one has."""
    count = len(each)
    seeds = rng.choice(300, count + sum(unshared), replace=False).tolist()
    both = 0.5 + shared * spread_out(rng, count)
    arms = []
    for sign, own in ((1, seeds[count : count + unshared[0]]), (-1, seeds[count + unshared[0] :])):
        results = [*zip(seeds, (both + sign * each / 2).tolist()), *((seed, float(rng.normal(2 * sign))) for seed in own)]  # fmt: skip
        arms.append({results[place][0]: results[place][1] for place in rng.permutation(len(results))})
    return {"a": arms[0], "b": arms[1], "level": level}


def comparisons(rng: np.random.Generator) -> list[dict[str, Any]]:
    """Pairs that decide although the arms overlap, and pairs that do not; seeds that only one arm has; single pairs."""
    cases, few = [], int(rng.integers(5, 8))
    for count, mean, half, shared, unshared, levels in [
        (8, 0.12, 0.1, 0.6, (2, 1), (0.8,)),  # higher, though some seeds point the other way
        (few, -0.3, 0.2, 0.7, (1, 2), (0.8, 0.9)),  # lower, though the arms overlap widely
        (2, 0.35, 0.5, 0.6, (3, 1), (0.9, 0.98)),  # undecided, though both seeds point the same way
        (few, -0.3, 0.4, 0.0, (0, 0), (0.98, 0.99)),  # undecided, since what helps a hurts b; unpaired it is lower
        (6, 0.001, 0.005, 0.2, (0, 3), (0.9, 0.99)),  # undecided, however small
        (3, -0.9, 0.5, 0.3, (2, 0), (0.98, 0.99)),  # lower
    ]:
        level = float(rng.choice(levels))
        cases.append(two_arms(rng, differences(rng, count, mean, half, level), shared, unshared, level))
    single = [two_arms(rng, np.array([2.0]), 0.3, (2, 3), 0.9), two_arms(rng, np.array([-1.5]), 0.3, (0, 0), 0.8)]
    return cases + single


VERDICT_RIGHT = "def verdict(a, b, level):\n    each = [a[seed] - b[seed] for seed in a if seed in b]\n    n = len(each)\n    mean = sum(each) / n\n    half = math.inf\n    if n > 1:\n        s = np.std(each, ddof=1)\n        t = stats.t.ppf((1 + level) / 2, n - 1)\n        half = t * s / math.sqrt(n)\n    word = 'higher' if mean - half > 0 else 'lower' if mean + half < 0 else 'undecided'\n    return {'difference': float(mean), 'half': float(half), 'verdict': word}"
EACH, STD = "[a[seed] - b[seed] for seed in a if seed in b]", "np.std(each, ddof=1)"
SHARED_A, SHARED_B = "[a[seed] for seed in a if seed in b]", "[b[seed] for seed in a if seed in b]"
OWN_INTERVALS = f"    half_a, half_b = (math.inf if n < 2 else stats.t.ppf((1 + level) / 2, n - 1) * np.std(one, ddof=1) / math.sqrt(n) for one in ({SHARED_A}, {SHARED_B}))\n    word ="
VERDICT = Exercise(
    "verdict",
    ("minivjepa.evaluation.statistics.interval", "minivjepa.evaluation.statistics.paired", "minivjepa.evaluation.statistics.cell"),
    (
        {"a": {1: 4.0, 2: 9.0}, "b": {2: 4.0, 1: 3.0}, "level": 0.5},
        {"a": reading("vjepa", "linear_identity"), "b": reading("no-ema", "linear_identity"), "level": 0.95},
        {"a": reading("vjepa", "linear_direction"), "b": reading("frozen", "linear_direction"), "level": 0.95},
        {"a": reading("vjepa", "linear_direction"), "b": reading("no-ema", "linear_direction"), "level": 0.95},
        {"a": reading("neither", "linear_direction", (10, 11, 13, 14)), "b": reading("no-stopgrad", "linear_direction", (14, 13, 12, 11)), "level": 0.95},
        {"a": reading("vjepa", "linear_direction", (13, 14)), "b": reading("no-ema", "linear_direction", (14, 11, 10)), "level": 0.95},
    ),
    comparisons,
    (
        ("this is the quantile of the normal distribution; with so few seeds Student's t is much wider", VERDICT_RIGHT.replace("stats.t.ppf((1 + level) / 2, n - 1)", "stats.norm.ppf((1 + level) / 2)")),
        ("the quantile leaves all of 1 - level above it; an interval has two ends, so half of that is above and half below", VERDICT_RIGHT.replace("(1 + level) / 2", "level")),
        ("the level is fixed at 95 %: use the argument", VERDICT_RIGHT.replace("(1 + level) / 2", "0.975")),
        ("this is the quantile for n degrees of freedom; one is used up by the mean", VERDICT_RIGHT.replace("(1 + level) / 2, n - 1", "(1 + level) / 2, n")),
        ("this is the quantile for two arms that share nothing, with 2n - 2 degrees of freedom; there are n differences, so it is n - 1", VERDICT_RIGHT.replace("(1 + level) / 2, n - 1", "(1 + level) / 2, 2 * n - 2")),
        ("the population's std is used, divided by n; a sample's is divided by n - 1", VERDICT_RIGHT.replace(STD, "np.std(each)")),
        ("without √n this is about how far single differences spread, not about how well their mean is known", VERDICT_RIGHT.replace("t * s / math.sqrt(n)", "t * s")),
        ("this divides by √(n - 1); n - 1 is in the sample std already", VERDICT_RIGHT.replace("math.sqrt(n)", "math.sqrt(n - 1)")),
        ("this is the whole width of the interval; asked is half of it", VERDICT_RIGHT.replace("float(half)", "float(2 * half)")),
        ("the verdict looks only at the mean difference: it has to ask whether the whole interval lies on one side of 0", VERDICT_RIGHT.replace("mean - half > 0", "mean > 0").replace("mean + half < 0", "mean < 0")),
        ("the verdict asks whether all seeds point the same way; asked is whether the whole interval lies on one side of 0", VERDICT_RIGHT.replace("mean - half > 0", "n > 1 and min(each) > 0").replace("mean + half < 0", "n > 1 and max(each) < 0")),
        ("the verdict compares the two arms' own intervals: they may overlap while the differences, seed by seed, all but agree", VERDICT_RIGHT.replace("    word =", OWN_INTERVALS).replace("mean - half > 0", "mean > half_a + half_b").replace("mean + half < 0", "-mean > half_a + half_b")),
        ("the verdict asks whether each mean is outside the other arm's interval; what counts is the interval of the differences", VERDICT_RIGHT.replace("    word =", OWN_INTERVALS).replace("mean - half > 0", "mean > max(half_a, half_b)").replace("mean + half < 0", "-mean > max(half_a, half_b)")),
        ("higher and lower are exchanged: the verdict is about a", VERDICT_RIGHT.replace("'higher'", "'HERE'").replace("'lower'", "'higher'").replace("'HERE'", "'lower'")),
        ("these differences are b minus a; asked is a minus b", VERDICT_RIGHT.replace("a[seed] - b[seed]", "b[seed] - a[seed]")),
        ("the differences have lost their signs: a seed on which a is lower has to count against it", VERDICT_RIGHT.replace("a[seed] - b[seed]", "abs(a[seed] - b[seed])")),
        ("the verdict is only ever asked in one direction: a may also be lower than b", VERDICT_RIGHT.replace("'lower' if mean + half < 0 else ", "")),
        ("a single difference has the half-width 0 here, as if it were known for certain; nothing is known of its spread", VERDICT_RIGHT.replace("math.inf", "0.0")),
        ("a single difference has the half-width nan here; it is to be infinite, which decides nothing", VERDICT_RIGHT.replace("math.inf", "math.nan")),
        ("results are paired by their place in the dicts; pair them by seed", VERDICT_RIGHT.replace(EACH, "[x - y for x, y in zip(a.values(), b.values())]")),
        ("results are paired by place after sorting the seeds: where an arm lacks a seed, all later pairs are wrong", VERDICT_RIGHT.replace(EACH, "[a[x] - b[y] for x, y in zip(sorted(a), sorted(b))]")),
        ("the results themselves are sorted before they are paired, the lowest with the lowest; pair them by seed", VERDICT_RIGHT.replace(EACH, f"[x - y for x, y in zip(sorted({SHARED_A}), sorted({SHARED_B}))]")),
        ("a seed that only one arm has counts here, as if the other arm had got 0; leave it out", VERDICT_RIGHT.replace(EACH, "[a.get(seed, 0.0) - b.get(seed, 0.0) for seed in {**a, **b}]")),
        ("the difference is that of the means over all seeds of each arm; only seeds that both have count", VERDICT_RIGHT.replace("sum(each) / n", "sum(a.values()) / len(a) - sum(b.values()) / len(b)")),
        ("n counts the seeds of a; it is the number of seeds that both have", VERDICT_RIGHT.replace("n = len(each)", "n = len(a)").replace("sum(each) / n", "sum(each) / len(each)").replace("if n > 1", "if len(each) > 1")),
        ("the std of a and that of b are added: what a seed does to both arms is in each of them, and has to drop out", VERDICT_RIGHT.replace(STD, f"np.std({SHARED_A}, ddof=1) + np.std({SHARED_B}, ddof=1)")),
        ("the variances of a and b are added, which is right for arms that share nothing; take the std of the differences", VERDICT_RIGHT.replace(STD, f"math.sqrt(np.var({SHARED_A}, ddof=1) + np.var({SHARED_B}, ddof=1))")),
    ),
    (
        "def verdict(a, b, level):\n    seeds = sorted(set(a) & set(b))\n    x = torch.tensor([a[s] for s in seeds], dtype=torch.float64) - torch.tensor([b[s] for s in seeds], dtype=torch.float64)\n    n = x.numel()\n    half = torch.tensor(math.inf) if n == 1 else stats.t.isf((1 - level) / 2, n - 1) * x.std() / n ** 0.5\n    low, high = float(x.mean() - half), float(x.mean() + half)\n    word = 'undecided'\n    if low > 0:\n        word = 'higher'\n    if high < 0:\n        word = 'lower'\n    return dict(zip(('difference', 'half', 'verdict'), (x.mean(), half, word)))",
        "def verdict(a, b, level):\n    seeds = a.keys() & b.keys()\n    x, y = [a[seed] for seed in seeds], [b[seed] for seed in seeds]\n    gap = np.mean(x) - np.mean(y)\n    if len(seeds) == 1:\n        return {'difference': gap, 'half': float('inf'), 'verdict': 'undecided'}\n    test = stats.ttest_rel(x, y)\n    low, high = test.confidence_interval(level)\n    sure = test.pvalue < 1 - level\n    return {'verdict': ('higher' if gap > 0 else 'lower') if sure else 'undecided', 'difference': gap, 'half': (high - low) / 2}",
        "def verdict(a, b, level):\n    total = squares = n = 0\n    for seed, value in a.items():\n        if seed not in b:\n            continue\n        d = value - b[seed]\n        total, squares, n = total + d, squares + d * d, n + 1\n    mean = total / n\n    if n == 1:\n        half = math.inf\n    else:\n        half = -stats.t.ppf((1 - level) / 2, n - 1) * math.sqrt((squares - n * mean ** 2) / (n - 1) / n)\n    names = {True: 'higher', False: 'lower'}\n    return {'difference': mean, 'half': half, 'verdict': names[mean > 0] if abs(mean) > half else 'undecided'}",
    ),
)  # fmt: skip


def classes(
    rng: np.random.Generator,
    names: list[int],
    sizes: tuple[int, int],
    dim: int,
    shrink: float,
    dead: bool,
    digits: int | None = None,
) -> dict[str, Any]:
    """Clips of a few classes; test clips are shifted a little, and the second feature may be dead in training."""
    centres, scale, offset = (
        rng.normal(0, 0.9, (len(names), dim)),
        np.exp(rng.normal(0, 0.7, dim)),
        rng.normal(0, 2, dim),
    )
    parts = {}
    for name, count in zip(("train", "test"), sizes):
        own = np.concatenate([rng.permutation(len(names)), rng.integers(0, len(names), count - len(names))])
        x = scale * (centres[own] + rng.normal(size=(count, dim)) + (0.4 if name == "test" else 0.0)) + offset
        x[:, 1] = 0.5 if dead and name == "train" else x[:, 1]
        parts[name] = tensor(x, digits), torch.from_numpy(np.array(names)[own])
    return {
        "train": parts["train"][0],
        "labels": parts["train"][1],
        "test": parts["test"][0],
        "test_labels": parts["test"][1],
        "shrink": shrink,
    }


PROBE_RIGHT = "def probe(train, labels, test, test_labels, shrink):\n    mean, std = train.mean(dim=0), train.std(dim=0, correction=0)\n    std = torch.where(std == 0, torch.ones_like(std), std)\n    x, y = (train - mean) / std, (test - mean) / std\n    classes = labels.unique()\n    centroids = torch.stack([x[labels == one].mean(dim=0) for one in classes])\n    centroids = centroids.sign() * (centroids.abs() - shrink).clamp_min(0)\n    distance = ((y[:, None] - centroids[None]) ** 2).sum(dim=2)\n    found = classes[distance.argmin(dim=1)]\n    return {'distance': distance, 'accuracy': float((found == test_labels).float().mean())}"
SHRUNK = "centroids.sign() * (centroids.abs() - shrink).clamp_min(0)"
PROBE = Exercise(
    "probe",
    ("minivjepa.evaluation.probes.linear_accuracy", "minivjepa.evaluation.probes.linear_r2", "minivjepa.evaluation.probes.knn_accuracy", "minivjepa.evaluation.probes.standardise",
     "minivjepa.evaluation.probes.attentive_accuracy"),
    (
        {"train": torch.tensor([[1.0, 0.0], [1.0, 4.0], [3.0, 0.0], [3.0, 4.0]]), "labels": torch.tensor([3, 3, 8, 8]), "test": torch.tensor([[2.5, 2.0], [1.0, 4.0]]),
         "test_labels": torch.tensor([8, 8]), "shrink": 0.25},
        classes(SEEN, [0, 1, 2], (12, 8), 4, 0.0, False, 2),
        classes(SEEN, [7, 2, 4], (14, 9), 4, 0.3, True, 2),
    ),
    lambda rng: [
        classes(rng, names, (int(rng.integers(24, 40)), int(rng.integers(20, 40))), dim, float(rng.choice([0.1, 0.2, 0.35])), dead)
        for names, dim, dead in (([2, 0, 5], 6, True), ([3, 1, 0, 8], 5, False), ([6, 1], 7, True))
    ],
    (
        ("the test clips are standardised with their own mean and std: the probe has looked at the exam, and the shift between the two sets is gone", PROBE_RIGHT.replace("(test - mean) / std\n", "(test - test.mean(dim=0)) / test.std(dim=0, correction=0)\n")),
        ("mean and std are those of training and test clips together: nothing of the test may be used before the exam", PROBE_RIGHT.replace("mean, std = train.mean(dim=0), train.std(dim=0, correction=0)", "every = torch.cat([train, test])\n    mean, std = every.mean(dim=0), every.std(dim=0, correction=0)")),
        ("the features are not standardised: the one with the largest numbers decides alone", PROBE_RIGHT.replace("(train - mean) / std, (test - mean) / std", "train, test")),
        ("the mean is subtracted, and the division by the std is missing", PROBE_RIGHT.replace("(train - mean) / std, (test - mean) / std", "train - mean, test - mean")),
        ("every clip is standardised over its own features; it is every feature, over the training clips", PROBE_RIGHT.replace("x, y = (train - mean) / std, (test - mean) / std", "x, y = ((part - part.mean(dim=1, keepdim=True)) / part.std(dim=1, correction=0, keepdim=True) for part in (train, test))")),
        ("the std is divided by n - 1, which torch does unless it is told otherwise; here it is the population's", PROBE_RIGHT.replace("train.std(dim=0, correction=0)", "train.std(dim=0)")),
        ("the std is divided by n - 1, and where it is 0 it divides all the same: use the population's, and 1 for dead features", PROBE_RIGHT.replace("train.std(dim=0, correction=0)", "train.std(dim=0)").replace("    std = torch.where(std == 0, torch.ones_like(std), std)\n", "")),
        ("a feature that is the same in all training clips has std 0, and dividing by it gives nan or infinity: divide by 1", PROBE_RIGHT.replace("    std = torch.where(std == 0, torch.ones_like(std), std)\n", "")),
        ("a tiny number in place of a std of 0 makes a dead feature huge as soon as a test clip differs in it: divide by 1", PROBE_RIGHT.replace("torch.where(std == 0, torch.ones_like(std), std)", "std.clamp_min(1e-6)")),
        ("the argument shrink is ignored", PROBE_RIGHT.replace(SHRUNK, "centroids")),
        ("the centroids are multiplied by 1 - shrink; every number moves towards 0 by the same amount", PROBE_RIGHT.replace(SHRUNK, "centroids * (1 - shrink)")),
        ("a number smaller than shrink comes out on the other side of 0; it stops there", PROBE_RIGHT.replace(".clamp_min(0)", "")),
        ("small numbers become 0, but the large ones have not moved: every number moves by shrink", PROBE_RIGHT.replace(SHRUNK, "torch.where(centroids.abs() > shrink, centroids, torch.zeros_like(centroids))")),
        ("the centroids are those of the test clips, made with their labels: the probe has seen the answers", PROBE_RIGHT.replace("torch.stack([x[labels == one].mean(dim=0) for one in classes])", "torch.stack([y[test_labels == one].mean(dim=0) for one in classes])")),
        ("these are distances and accuracy on the training clips: a probe is judged on clips that it has not seen", PROBE_RIGHT.replace("y[:, None]", "x[:, None]").replace("found == test_labels", "found == labels")),
        ("these distances are not squared", PROBE_RIGHT.replace(".sum(dim=2)", ".sum(dim=2).sqrt()")),
        ("absolute differences are summed; it is the squared ones", PROBE_RIGHT.replace("((y[:, None] - centroids[None]) ** 2)", "(y[:, None] - centroids[None]).abs()")),
        ("the place of the nearest centroid is compared with labels: look up which class stands at that place", PROBE_RIGHT.replace("classes[distance.argmin(dim=1)]", "distance.argmin(dim=1)")),
        ("clips get the class that is farthest away", PROBE_RIGHT.replace("argmin", "argmax")),
        ("this is the share of errors; asked is the accuracy", PROBE_RIGHT.replace("found == test_labels", "found != test_labels")),
        ("the classes stand in the order in which they are met; asked is rising order", PROBE_RIGHT.replace("labels.unique()", "torch.tensor(list(dict.fromkeys(labels.tolist())))")),
    ),
    (
        "def probe(train, labels, test, test_labels, shrink):\n    a, b, k = train.numpy().astype(float), test.numpy().astype(float), labels.numpy()\n    m, s = a.mean(axis=0), a.std(axis=0)\n    s[s == 0] = 1\n    a, b = (a - m) / s, (b - m) / s\n    names = sorted(set(k.tolist()))\n    d = np.zeros((len(b), len(names)))\n    for j, name in enumerate(names):\n        c = a[k == name].mean(axis=0)\n        c = np.where(c > shrink, c - shrink, np.where(c < -shrink, c + shrink, 0))\n        for i in range(len(b)):\n            d[i, j] = np.sum((b[i] - c) ** 2)\n    right = [names[int(row.argmin())] == int(t) for row, t in zip(d, test_labels)]\n    return {'accuracy': sum(right) / len(right), 'distance': d}",
        "def probe(train, labels, test, test_labels, shrink):\n    std, mean = torch.std_mean(train.double(), dim=0, correction=0)\n    std[std < 1e-9] = 1.0\n    x, y = (train - mean) / std, (test - mean) / std\n    names, which = labels.unique(return_inverse=True)\n    member = torch.nn.functional.one_hot(which).double()\n    c = torch.nn.functional.softshrink(member.T @ x / member.sum(0)[:, None], shrink)\n    d = (y ** 2).sum(1, keepdim=True) - 2 * y @ c.T + (c ** 2).sum(1)\n    return dict(distance=d, accuracy=(names[d.min(1).indices] == test_labels).double().mean())",
    ),
)  # fmt: skip

EXERCISES = [SPREAD_AND_RANK, KIND_OF_COLLAPSE, DIAGNOSE, FIRST_WARNING, DESIGN, VERDICT, PROBE]
