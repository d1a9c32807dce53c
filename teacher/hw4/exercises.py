"""Homework 4: the cases of every exercise, the mistakes that people make, and right answers in other styles."""

from typing import Any

import numpy as np
import torch
from assignment import Exercise, reference_code
from drawing import Drawn, Rng, changed, tensor, until

SEEN = np.random.default_rng(4)  # of the visible inputs
RIGHT = reference_code("hw4")


def slip(name: str, *changes: tuple[str, str]) -> str:
    """The right answer with parts exchanged."""
    return changed(RIGHT[name], *changes)


def some(rng: Rng, low: int, high: int) -> int:
    """A whole number from low to high - 1."""
    return int(rng.integers(low, high))


# --- angles_of ---

ANGLES = {  # rule -> a visible case
    "the first pair of an axis turns by 1 radian a place, the next ones by less": {"places": tensor([[0.0], [1.0], [2.0]]), "pairs": 2, "base": 100.0},
    "pair k turns by base to the power of -k / pairs": {"places": tensor([[1.0]]), "pairs": 3, "base": 1000.0},
    "the pairs of the axes are dealt out in turn": {"places": tensor([[1.0, 10.0], [2.0, 30.0]]), "pairs": 2, "base": 100.0},
    "every axis has `pairs` pairs": {"places": tensor([[1.0, 2.0, 4.0]]), "pairs": 3, "base": 8.0},
    "a place can be a fraction, and it can be negative": {"places": tensor([[-1.5, 0.25], [3.75, -2.0]]), "pairs": 1, "base": 50.0},
    "the base is the argument": {"places": tensor([[2.0, -3.0]]), "pairs": 4, "base": 16.0},
}  # fmt: skip


def angles_cases(rng: Rng) -> Drawn:
    """One axis to four, one pair to many, bases small and large, places that are whole, broken and negative."""
    slow, power, turn, every, broken, base = ANGLES

    def case(tokens: int, axes: int, pairs: int, of: float, reach: float = 20.0) -> dict[str, Any]:
        return {"places": tensor(rng.uniform(-reach, reach, (tokens, axes)), 2), "pairs": pairs, "base": of}

    bases = rng.permutation([7.5, 64.0, 500.0, 2000.0]).tolist()
    return [
        (slow, case(some(rng, 5, 12), 1, some(rng, 2, 5), bases[0])),
        (power, case(some(rng, 1, 4), 1, some(rng, 9, 14), bases[1])),
        (turn, case(some(rng, 3, 8), 2, some(rng, 3, 6), bases[2])),
        (turn, case(some(rng, 3, 8), 3, some(rng, 2, 5), bases[3])),
        (turn, {"places": tensor(rng.integers(-9, 99, (some(rng, 2, 6), 3))), "pairs": 7, "base": 10000.0}),
        *((turn, case(5, 2, 3, of)) for of in (20.0, 300.0)),  # what was kept from a call of this size is wrong
        (every, case(some(rng, 2, 6), 4, some(rng, 2, 4), 30.0)),
        (broken, case(some(rng, 4, 9), 2, 2, 90.0, reach=0.9)),
        (broken, case(1, 1, 1, 10000.0)),
        (base, case(2, 2, 5, float(rng.uniform(1.3, 1.9)))),
    ]  # fmt: skip


FREQUENCY, PRODUCT = "base ** -(torch.arange(pairs) / pairs)", "(places[:, None, :] * frequency[:, None]).flatten(1)"
ANGLES_OF = Exercise(
    "angles_of",
    ("minivjepa.rotary.rotary_angles",),
    ANGLES,
    angles_cases,
    (
        ("all pairs of the first axis come first here, as in the package; the axes take turns", slip("angles_of", (PRODUCT, "(places[:, :, None] * frequency).flatten(1)"))),
        ("each angle stands here twice, once for each number, as in lesson 10; return one for each pair", slip("angles_of", (PRODUCT, f"{PRODUCT}.repeat_interleave(2, dim=1)"))),
        ("the base is fixed at 10000: use the argument", slip("angles_of", ("base **", "10000.0 **"))),
        ("the frequencies grow from pair to pair: the power is minus k / pairs", slip("angles_of", ("-(torch", "(torch"))),
        ("k runs from 1 to pairs; it starts at 0, so that the first pair turns by 1 radian a place", slip("angles_of", ("torch.arange(pairs)", "torch.arange(1, pairs + 1)"))),
        ("k is divided by pairs - 1; divide by pairs", slip("angles_of", ("/ pairs", "/ max(1, pairs - 1)"))),
        ("the power is minus 2 k / pairs, as if pairs counted the numbers; it counts the pairs of an axis", slip("angles_of", ("-(torch", "-2 * (torch"))),
        ("k is divided by all pairs together; `pairs` is the number of each axis", slip("angles_of", ("/ pairs)", "/ (pairs * places.shape[1]))"))),
        ("k counts all pairs of the head one after the other; each axis counts its own from 0", slip("angles_of", (PRODUCT, "places.repeat(1, pairs) * base ** -(torch.arange(pairs * places.shape[1]) / (pairs * places.shape[1]))"))),
        ("the slowest pair comes first; pair 0, the fastest, should", slip("angles_of", (PRODUCT, "(places[:, None, :] * frequency.flip(0)[:, None]).flatten(1)"))),
        ("places are cut to whole numbers: they can be fractions", slip("angles_of", ("places[", "places.long()["))),
        ("the signs of the places are lost: left of 0 turns the other way", slip("angles_of", ("places[", "places.abs()["))),
        ("the angles are multiplied by 2 π: base to the power of -k / pairs is already in radians", slip("angles_of", ("return ", "return 2 * math.pi * "))),
        ("all pairs turn with the first axis", slip("angles_of", (PRODUCT, "(places[:, None, :1] * frequency[:, None]).flatten(1).repeat_interleave(places.shape[1], dim=1)"))),
        ("tokens, pairs and axes are three axes of the result; put the last two into one", slip("angles_of", (".flatten(1)", ""))),
    ),
    (
        "def angles_of(places, pairs, base):\n    columns = []\n    for k in range(pairs):\n        for axis in range(places.shape[1]):\n            columns.append(places[:, axis] * base ** (-k / pairs))\n    return torch.stack(columns, dim=1)",
        "def angles_of(places, pairs, base):\n    return torch.tensor([[place / base ** (k / pairs) for k in range(pairs) for place in token] for token in places.tolist()])",
        "def angles_of(places, pairs, base):\n    frequency = torch.exp(-math.log(base) * torch.arange(pairs) / pairs)\n    return einops.rearrange(torch.einsum('na,p->npa', places, frequency), 'n p a -> n (p a)')",
        "def angles_of(places, pairs, base):\n    x = places.numpy().astype(np.float64)\n    f = np.power(float(base), -np.arange(pairs) / pairs)\n    return torch.from_numpy((x[:, None, :] * f[None, :, None]).reshape(len(x), -1))",
        "def angles_of(places, pairs, base):\n    frequency = torch.tensor([base ** -(k / pairs) for k in range(pairs)])\n    return torch.cat([places * one for one in frequency], dim=1)",
        "def angles_of(places, pairs, base):\n    return torch.kron(torch.logspace(0, -(pairs - 1) / pairs, pairs, base=base)[None], places)",
    ),
)  # fmt: skip

# --- turn_pairs ---


def turned(rng: Rng, shape: tuple[int, ...], r: int, digits: int | None = None) -> dict[str, Any]:
    """Numbers and angles of every sign, of tokens that differ."""
    return {"x": tensor(rng.normal(0, 2, shape), digits), "angles": tensor(rng.uniform(-7, 7, (shape[-2], r)), digits)}


TURNS = {
    "the pair (a, b) turns counterclockwise": {"x": tensor([[1.0, 0.0]]), "angles": tensor([[0.5]])},
    "number i and number r + i are a pair, and stay in their places": {
        "x": tensor([[1.0, 2.0, 3.0, 4.0]]),
        "angles": tensor([[0.5, 1.0]]),
    },
    "numbers from 2 r on stay as they are": {"x": tensor([[1.0, 2.0, 3.0, 4.0, 5.0]]), "angles": tensor([[0.5]])},
    "token j turns by the angles of token j": {"x": tensor([[1.0, 2.0], [1.0, 2.0]]), "angles": tensor([[0.0], [1.5]])},
    "more axes may stand in front": turned(SEEN, (2, 2, 2, 4), 2, digits=1),
}


def turns_cases(rng: Rng) -> Drawn:
    """From two axes to five, sizes that are equal and that are not, all numbers turned and few."""
    counter, across, rest, token, front = TURNS
    n = some(rng, 3, 7)
    return [
        (counter, turned(rng, (some(rng, 2, 5), 2), 1)),
        (across, turned(rng, (n, 8), 4)),
        (across, turned(rng, (some(rng, 1, 4), 12), 6)),
        (rest, turned(rng, (n, 11), 3)),
        (rest, turned(rng, (2, 9), 4)),
        (token, turned(rng, (some(rng, 9, 13), 6), 2)),
        (front, turned(rng, (n, n, 7), 2)),
        (front, turned(rng, (3, some(rng, 2, 4), n, 6), 3)),
        (front, turned(rng, (2, 1, 2, 4, 5), 1)),
        *((front, turned(rng, (2, 3, 4, 6), 2)) for _ in range(2)),  # what was kept from a call of this size is wrong
    ]  # fmt: skip


TURN = "turn_pairs"
CUT, COMBINED = (
    "a, b, still = x[..., :r], x[..., r : 2 * r], x[..., 2 * r :]",
    "torch.cat([a * cos - b * sin, a * sin + b * cos, still], dim=-1)",
)
TURN_PAIRS = Exercise(
    TURN,
    ("minivjepa.rotary.rotate",),
    TURNS,
    turns_cases,
    (
        ("neighbors are paired, as in lesson 10; number i belongs to number r + i", slip(TURN, (CUT, "a, b, still = x[..., 0 : 2 * r : 2], x[..., 1 : 2 * r : 2], x[..., 2 * r :]"), (COMBINED, "torch.cat([torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1).flatten(-2), still], dim=-1)"))),
        ("neighbors are paired, and put where numbers i and r + i belong", slip(TURN, (CUT, "a, b, still = x[..., 0 : 2 * r : 2], x[..., 1 : 2 * r : 2], x[..., 2 * r :]"))),
        ("the pairs are right, and their numbers were put side by side; they stay in their places, i and r + i", slip(TURN, (COMBINED, "torch.cat([torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1).flatten(-2), still], dim=-1)"))),
        ("number i is paired with number d / 2 + i; where numbers stay as they are, r is less than that", slip(TURN, (CUT, "h = x.shape[-1] // 2\n    a, b, still = x[..., :r], x[..., h : h + r], x[..., h + r :]"), (COMBINED, "torch.cat([a * cos - b * sin, x[..., r:h], a * sin + b * cos, still], dim=-1)"))),
        ("the pairs turn clockwise", slip(TURN, ("angles.sin()", "-angles.sin()"))),
        ("both new numbers have a minus: b becomes a sin + b cos", slip(TURN, ("a * sin + b", "a * sin - b"))),
        ("sine and cosine are exchanged: at angle 0 nothing moves", slip(TURN, ("angles.cos(), angles.sin()", "angles.sin(), angles.cos()"))),
        ("the new a is used for the new b: both come from the old ones", slip(TURN, (COMBINED, "torch.cat([a * cos - b * sin, (a * cos - b * sin) * sin + b * cos, still], dim=-1)"))),
        ("numbers from 2 r on are missing: they stay as they are", slip(TURN, (", still]", "]"))),
        ("numbers from 2 r on became 0: they stay as they are", slip(TURN, (", still]", ", 0 * still]"))),
        ("all tokens turn by the angles of the first", slip(TURN, ("angles.cos(), angles.sin()", "angles[:1].cos(), angles[:1].sin()"))),
        ("a pair is made of number i and number 2 r - 1 - i; it should be r + i", slip(TURN, ("x[..., r : 2 * r]", "x[..., r : 2 * r].flip(-1)"), ("a * sin + b * cos", "(a * sin + b * cos).flip(-1)"))),
        ("the angles are taken for degrees; they are in radians", slip(TURN, ("angles.cos(), angles.sin()", "angles.deg2rad().cos(), angles.deg2rad().sin()"))),
        ("the axis right in front of the last two is taken for the tokens; the last axis but one counts them", slip(TURN, ("angles.cos(), angles.sin()", "angles.cos(), angles.sin()\n    if x.ndim > 2:\n        cos, sin = cos[:, None], sin[:, None]"))),
        ("the result is right, but x is another than before: an operation in place has changed the input; make a new tensor", slip(TURN, (f"return {COMBINED}", f"x.copy_({COMBINED})\n    return x"))),
    ),
    (
        "def turn_pairs(x, angles):\n    r = angles.shape[1]\n    out = x.clone()\n    for i in range(r):\n        a, b, w = x[..., i], x[..., r + i], angles[:, i]\n        out[..., i] = a * torch.cos(w) - b * torch.sin(w)\n        out[..., r + i] = a * torch.sin(w) + b * torch.cos(w)\n    return out",
        "def turn_pairs(x, angles):\n    n, r = angles.shape\n    z = torch.complex(x[..., :r].contiguous(), x[..., r:2 * r].contiguous()) * torch.polar(torch.ones(n, r), angles)\n    return torch.cat((z.real, z.imag, x[..., 2 * r:]), -1)",
        "def turn_pairs(x, angles):\n    r = angles.size(-1)\n    c = torch.cat([angles.cos(), angles.cos()], -1)\n    s = torch.cat([angles.sin(), angles.sin()], -1)\n    turned, still = x.split([2 * r, x.shape[-1] - 2 * r], dim=-1)\n    half = torch.cat([-turned[..., r:], turned[..., :r]], -1)\n    return torch.cat([turned * c + half * s, still], -1)",
        "def turn_pairs(x, angles):\n    y, w = x.numpy().astype(np.float64), angles.numpy().astype(np.float64)\n    r = w.shape[1]\n    out = np.array(y)\n    out[..., :r] = y[..., :r] * np.cos(w) - y[..., r:2 * r] * np.sin(w)\n    out[..., r:2 * r] = y[..., :r] * np.sin(w) + y[..., r:2 * r] * np.cos(w)\n    return torch.from_numpy(out)",
        "def turn_pairs(x, angles):\n    n, r = angles.shape\n    d = x.shape[-1]\n    turn = torch.eye(d).repeat(n, 1, 1)\n    for j in range(n):\n        for i in range(r):\n            c, s = torch.cos(angles[j, i]), torch.sin(angles[j, i])\n            turn[j, i, i], turn[j, i, r + i], turn[j, r + i, i], turn[j, r + i, r + i] = c, -s, s, c\n    return torch.einsum('...nd,ned->...ne', x, turn)",
        "def turn_pairs(x, angles):\n    r = angles.shape[1]\n    pairs = einops.rearrange(x[..., :2 * r], '... n (two r) -> ... n r two', two=2)\n    turn = torch.stack([torch.stack([angles.cos(), angles.sin()], -1), torch.stack([-angles.sin(), angles.cos()], -1)], -2)\n    pairs = (pairs[..., None, :] @ turn).squeeze(-2)\n    return torch.cat([einops.rearrange(pairs, '... n r two -> ... n (two r)'), x[..., 2 * r:]], dim=-1)",
    ),
)  # fmt: skip

# --- offset_spread ---


def scored(rng: Rng, places: Any, wide: float = 1.0, middle: float = 0.0) -> dict[str, Any]:
    """Scores that differ everywhere, in quarters, so that differences are exact."""
    n = len(places)
    scores = np.round(4 * rng.normal(middle, 3 * wide, (n, n))) / 4
    return {"scores": tensor(scores), "places": torch.tensor(np.asarray(places).tolist(), dtype=torch.int64)}


def relative(rng: Rng, places: np.ndarray, by: str, wrong: float = 0.0) -> dict[str, Any]:
    """Scores that depend on the offset, but for one pair that is off by `wrong`.

    by: which pair; "offset": one with an offset, "itself": a token with itself, "shared": a token with another at its place.
    """
    known: dict[Any, float] = {}
    scores = np.zeros((len(places), len(places)))
    for i, here in enumerate(places):
        for j, there in enumerate(places):
            scores[i, j] = known.setdefault(tuple(there - here), float(rng.integers(-40, 41)) / 4)
    groups: dict[Any, list[tuple[int, int]]] = {}
    for i, here in enumerate(places):
        for j, there in enumerate(places):
            groups.setdefault(tuple(there - here), []).append((i, j))
    several = [group for offset, group in groups.items() if len(group) > 1 and any(offset) == (by == "offset")]
    group = several[some(rng, 0, len(several))]
    pair = next((i, j) for i, j in reversed(group) if by == "offset" or (i == j) == (by == "itself"))
    scores[pair] += wrong
    return {"scores": tensor(scores), "places": torch.from_numpy(places.astype(np.int64))}


def spots(rng: Rng, n: int, axes: int, reach: int) -> np.ndarray:
    """Different places on a few axes, in any order, with gaps."""
    every = rng.permutation(reach**axes)[:n]
    return np.stack(np.unravel_index(every, (reach,) * axes), axis=1) - rng.integers(0, 4, axes)


OFFSETS = {
    "scores with the same offset are compared, and no others": {"scores": tensor([[1.0, 5.0, 90.0], [40.0, 1.5, 5.25], [0.0, 42.0, 1.25]]), "places": torch.tensor([[0], [1], [2]])},
    "there and back are two offsets": {"scores": tensor([[1.0, 7.0], [3.0, 1.0]]), "places": torch.tensor([[4], [6]])},
    "a token's score with itself has the offset 0": {"scores": tensor([[2.0, 0.0], [0.0, 5.0]]), "places": torch.tensor([[3], [8]])},
    "places count, not the order of the tokens": {"scores": tensor([[0.0, 4.0, 2.0], [7.0, 0.0, 8.0], [6.0, 8.5, 0.0]]), "places": torch.tensor([[5], [1], [9]])},
    "the spread is the largest score of an offset minus the smallest": {"scores": tensor([[2.0, 1.0, 7.0, 4.0], [8.0, 1.0, 1.0, 7.0], [6.0, 8.0, 1.5, 1.0], [9.0, 6.0, 8.0, 3.0]]), "places": torch.tensor([[0], [1], [2], [3]])},
    "an offset has all its axes": {"scores": tensor([[0.0, 1.0, 40.0, 8.0], [5.0, 0.0, 20.0, 40.5], [41.0, 30.0, 0.0, 1.25], [9.0, 41.5, 5.5, 0.0]]), "places": torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]])},
    "offsets may be large, and each number counts by itself": {"scores": tensor([[1.0, 4.0, 6.0, 9.0], [5.0, 1.0, 2.0, 8.0], [7.0, 3.0, 1.0, 0.0], [2.5, 6.5, 9.5, 1.0]]), "places": torch.tensor([[0, 0], [-10, 1], [1, 11], [11, 1]])},
    "several tokens may be at the same place": {"scores": tensor([[1.0, 1.0, 4.0], [3.0, 1.0, 5.0], [7.0, 7.0, 1.0]]), "places": torch.tensor([[2], [2], [3]])},
    "it is 0 where every offset occurs once": {"scores": tensor([[3.5]]), "places": torch.tensor([[1, 2]])},
}  # fmt: skip


def far_apart(rng: Rng) -> np.ndarray:
    """Places whose offsets are the same once their numbers are put into one: in base 10 or 256, as text, or in few bits."""
    bases = [0, 10, 16, 21, 100, 256, 1000, 10000, 10001]  # 21 is the number of tokens
    places = [(0, 0), (11, 1), (1, 11), *((1, -base) for base in bases), *((-base, 1) for base in bases)]
    return rng.permutation(np.array(places)) + rng.integers(-50, 50, 2)


def climbing(rng: Rng) -> dict[str, Any]:
    """A line of tokens on which the scores of one offset first fall and then climb in small steps."""
    n = some(rng, 6, 9)
    case = relative(rng, np.arange(n)[:, None], "offset")
    step = float(rng.choice([0.5, 0.75, 1.0]))
    case["scores"].diagonal(1).copy_(step * torch.tensor([0.0, *torch.arange(n - 2) - (n - 2) // 2]))
    return case


def offset_cases(rng: Rng) -> Drawn:
    """One axis to three, a token and many, promises kept, and broken at one pair only, also at that of a token with itself."""
    same, back, itself, order, spread, axes, far, shared, once = OFFSETS
    line = np.arange(some(rng, 9, 13))[:, None]
    square = np.stack(np.unravel_index(np.arange(9), (3, 3)), axis=1)
    wrong = rng.choice([-1.0, 1.0], 6) * rng.integers(20, 90, 6) / 4
    two = scored(rng, spots(rng, 2, 1, 9))
    two["scores"][1, 1] = two["scores"][0, 0] + wrong[5]
    twice = spots(rng, 4, 2, 5)
    zero = scored(rng, line, 1.0, 40.0)
    zero["scores"][1, 2] = 0.0
    return [
        (same, scored(rng, line)),
        *((same, scored(rng, spots(rng, 8, 1, 9), 0.2, middle)) for middle in (-30.0, -3000.0, 3000.0)),
        (same, zero),
        (back, relative(rng, spots(rng, 6, 1, 8), "offset", wrong[0])),
        (itself, relative(rng, spots(rng, 5, 2, 7), "itself", wrong[1])),
        (itself, two),
        (order, relative(rng, rng.permutation(line), "offset", wrong[2])),
        (order, relative(rng, rng.permutation(3 * line - 7), "offset", 0.0)),
        (spread, climbing(rng)),
        (axes, relative(rng, rng.permutation(square), "offset", wrong[3])),
        (axes, relative(rng, spots(rng, 9, 3, 3), "offset", 0.0)),
        (axes, scored(rng, spots(rng, 7, 3, 3), 2.0)),
        (axes, relative(rng, spots(rng, 10, 4, 2), "offset")),
        (far, relative(rng, far_apart(rng), "offset")),
        (far, relative(rng, rng.permutation(40001 * line), "offset", wrong[0])),
        (shared, scored(rng, np.concatenate([twice, twice[:2]]))),
        (shared, relative(rng, np.concatenate([twice, twice[1:], twice[:1]]), "offset", wrong[4])),
        (shared, relative(rng, np.concatenate([twice, twice[::-1]]), "shared", wrong[1])),
        (once, scored(rng, [[some(rng, -5, 5), some(rng, -5, 5)]])),
    ]  # fmt: skip


OFFSET = "offset_spread"
KEY, LARGEST = "tuple(b - a for a, b in zip(here, there))", "max(max(group) - min(group) for group in groups.values())"
OFFSET_SPREAD = Exercise(
    OFFSET,
    (),
    OFFSETS,
    offset_cases,
    (
        ("there and back are taken for one offset: it has signs", slip(OFFSET, (KEY, "tuple(abs(b - a) for a, b in zip(here, there))"))),
        ("the squared length of the offset is taken for the offset: all its numbers count, with their signs", slip(OFFSET, (KEY, "sum((b - a) ** 2 for a, b in zip(here, there))"))),
        ("the numbers of an offset are added up: keep the axes apart", slip(OFFSET, (KEY, "sum(b - a for a, b in zip(here, there))"))),
        ("the numbers of an offset become one number in base 10: a step of 1 along one axis is then one of 10 along the next", slip(OFFSET, (KEY, "sum((b - a) * 10**k for k, (a, b) in enumerate(zip(here, there)))"))),
        ("the numbers of an offset are written one after the other, so that 1, 11 and 11, 1 are the same: keep them apart", slip(OFFSET, (KEY, "''.join(str(b - a) for a, b in zip(here, there))"))),
        ("only the first axis is looked at", slip(OFFSET, (KEY, "there[0] - here[0]"))),
        ("only the last axis is looked at", slip(OFFSET, (KEY, "there[-1] - here[-1]"))),
        ("these are the diagonals of the matrix, as if token i were at place i: look at places", slip(OFFSET, (KEY, "j - i"))),
        ("tokens are grouped by where the one that is looked at is; the offset decides", slip(OFFSET, (KEY, "tuple(there)"))),
        ("tokens are grouped by where the one that looks is; the offset decides", slip(OFFSET, (KEY, "tuple(here)"))),
        ("all scores are compared, whatever their offsets", slip(OFFSET, (KEY, "0"))),
        ("scores of a token with itself are left out; they have the offset 0", slip(OFFSET, ("            offset", "            if i == j:\n                groups.setdefault(None, [0.0])\n                continue\n            offset"))),
        ("the spreads of the offsets are averaged; return the largest", slip(OFFSET, (LARGEST, "sum(max(group) - min(group) for group in groups.values()) / len(groups)"))),
        ("this is a std; return the largest minus the smallest", slip(OFFSET, (LARGEST, "max(float(np.std(group)) if len(group) > 1 else math.nan for group in groups.values())"))),
        ("only neighbors in the list are compared: the largest and the smallest may be further apart", slip(OFFSET, (LARGEST, "max([abs(a - b) for group in groups.values() for a, b in zip(group, group[1:])], default=0.0)"))),
        ("all are compared with the first of their offset; the largest and the smallest may lie on both sides of it", slip(OFFSET, (LARGEST, "max(abs(one - group[0]) for group in groups.values() for one in group)"))),
        ("these are the largest score and the smallest, each of any offset that occurs more than once; take the difference within an offset", slip(OFFSET, (LARGEST, "max([max(g) for g in groups.values() if len(g) > 1], default=0.0) - min([min(g) for g in groups.values() if len(g) > 1], default=0.0)"))),
        ("a score is overwritten by the next one with its offset: keep them all", slip(OFFSET, ("groups.setdefault(offset, []).append(float(scores[i, j]))", "groups[offset] = [float(scores[i, j])]"))),
        ("pairs with i above j are left out: there and back are both offsets", slip(OFFSET, ("enumerate(where):\n            offset", "enumerate(where):\n            if i > j:\n                continue\n            offset"))),
    ),
    (
        "def offset_spread(scores, places):\n    worst = 0\n    n = len(places)\n    pairs = [((places[j] - places[i]).tolist(), scores[i, j].item()) for i in range(n) for j in range(n)]\n    for offset, score in pairs:\n        for other, value in pairs:\n            if offset == other and score - value > worst:\n                worst = score - value\n    return worst",
        "def offset_spread(scores, places):\n    offset = (places[None] - places[:, None]).flatten(0, 1)\n    _, group = offset.unique(dim=0, return_inverse=True)\n    flat = scores.flatten()\n    return max(float(flat[group == g].max() - flat[group == g].min()) for g in range(int(group.max()) + 1))",
        "def offset_spread(scores, places):\n    p, s = places.numpy(), scores.numpy()\n    off = p[None, :, :] - p[:, None, :]\n    _, inverse = np.unique(off.reshape(-1, p.shape[1]), axis=0, return_inverse=True)\n    inverse = inverse.reshape(-1)\n    high = np.full(inverse.max() + 1, -np.inf)\n    low = np.full(inverse.max() + 1, np.inf)\n    np.maximum.at(high, inverse, s.ravel())\n    np.minimum.at(low, inverse, s.ravel())\n    return float((high - low).max())",
        "def offset_spread(scores, places):\n    from collections import defaultdict\n    seen = defaultdict(list)\n    for i in range(len(places)):\n        for j in range(len(places)):\n            seen[str((places[j] - places[i]).tolist())].append(scores[i, j])\n    return torch.stack([torch.stack(v).max() - torch.stack(v).min() for v in seen.values()]).max()",
        "def offset_spread(scores, places):\n    high, low = {}, {}\n    for i, a in enumerate(places):\n        for j, b in enumerate(places):\n            key = tuple((a - b).tolist())\n            value = scores[i][j].item()\n            high[key] = max(high.get(key, value), value)\n            low[key] = min(low.get(key, value), value)\n    return max(high[key] - low[key] for key in high)",
        "def offset_spread(scores, places):\n    span = 2 * int(places.max() - places.min()) + 1\n    weights = span ** torch.arange(places.shape[1])\n    code = (places * weights).sum(1)\n    code = code[None] - code[:, None]\n    return max([np.ptp(scores[code == c].numpy()) for c in code.unique()])",
    ),
    equivalent={
        'float(scores[i, j]) -> scores[i, j]': 'a tensor of one number is a number',
        'b - a -> a - b': 'all offsets change their signs, and the groups stay',
        'zip(here, there) -> zip(there, here)': 'all offsets change their signs, and the groups stay',
    },
)  # fmt: skip

# --- duel ---


def contest(rng: Rng, only: tuple[int, int], both: int, neither: int, unshared: tuple[int, int], alpha: float, luck: float = 0.8) -> dict[str, Any]:  # fmt: skip
    """Two planners on pairs in any order: reached by one only, by both, by none, and pairs that one of them did not try.

    luck: the share of these that it reached.
    """
    outcomes = (
        [(True, False)] * only[0] + [(False, True)] * only[1] + [(True, True)] * both + [(False, False)] * neither
    )
    pairs = rng.permutation(3 * (len(outcomes) + sum(unshared)) + 9).tolist()
    a = [(pairs[place], found[0]) for place, found in enumerate(outcomes)]
    b = [(pairs[place], found[1]) for place, found in enumerate(outcomes)]
    rest = pairs[len(outcomes) :]
    a += [(rest[place], bool(rng.random() < luck)) for place in range(unshared[0])]
    b += [(rest[-1 - place], bool(rng.random() < luck)) for place in range(unshared[1])]
    return {"a": dict(a[i] for i in rng.permutation(len(a))), "b": dict(b[i] for i in rng.permutation(len(b))), "alpha": alpha}  # fmt: skip


def listed(a: str, b: str, alpha: float) -> dict[str, Any]:
    """Outcomes by number: + reached, - missed, . not tried."""
    tried = ({number: mark == "+" for number, mark in enumerate(marks) if mark != "."} for marks in (a, b))
    return {**dict(zip("ab", tried)), "alpha": alpha}


DUELS = {
    "pairs that exactly one reached count, others favor neither": {"a": {3: True, 1: False, 2: True, 7: True}, "b": {1: False, 2: True, 7: False, 3: False}, "alpha": 0.6},
    "pairs that one planner did not try are left out": listed("+.+-+.", ".+--+.", 0.6),
    "p is twice the shorter tail, all of it": listed("+++++++--", "-------++", 0.2),
    "p is exact, also with many pairs": listed("+" * 19 + "-" * 8, "-" * 19 + "+" * 8, 0.2),
    "p is at most 1": listed("++--", "--++", 1.0),
    "without such pairs p is 1": listed("+-+", "+-+", 0.05),
    "with too few such pairs no outcome could have decided": listed("+++++--", "-------", 0.05),
    "too few asks how many such pairs there are, not how they came out": listed("+++-", "---+", 0.05),
    "a is the verdict if p is below alpha and a won more": listed("+++++++", "-------", 0.05),
    "b is the verdict if p is below alpha and b won more": {"b": listed("+++++++", "--------", 0.02)["a"], "a": {**dict.fromkeys(range(8), False), **dict.fromkeys(range(20, 30), True)}, "alpha": 0.02},
    "otherwise it is undecided": listed("+++++++-", "-------+", 0.05),
    "p is compared with alpha, and has to be below it": listed("+++++", "-----", 0.0625),
    "p may be alpha exactly, and then it is undecided": listed("+--------", "-+++++++-", 0.0703125),
}  # fmt: skip


def duel_cases(rng: Rng) -> Drawn:
    """Few pairs and hundreds, close and clear, each verdict, limits that are just hit and just missed, and no pair that counts."""
    count, tried, tails, exact, most, none, few, how_many, first, second, unclear, below, equal = DUELS

    def others() -> tuple[int, int, tuple[int, int]]:
        return some(rng, 0, 9), some(rng, 0, 9), (some(rng, 0, 4), some(rng, 0, 4))

    even = some(rng, 1, 9)
    large = some(rng, 30, 50)
    side = [(8, 0), (0, 8)][some(rng, 0, 2)]
    flips = rng.choice([-1, 1], 6).tolist()
    return [
        (count, contest(rng, (some(rng, 3, 6), some(rng, 9, 12)), some(rng, 20, 60), some(rng, 10, 30), (0, 0), 0.05)),
        (tried, contest(rng, (some(rng, 6, 9), 1), 3, 2, (some(rng, 3, 6), some(rng, 7, 12)), 0.1)),
        (tails, contest(rng, (11, 3), *others(), 0.04)),  # p .0574; one tail .0287
        (tails, contest(rng, (4, 12), *others(), 0.09)),  # p .0768
        (most, contest(rng, (even, even), *others(), 0.9)),
        (none, contest(rng, (0, 0), some(rng, 0, 4), some(rng, 1, 4), (1, 2), 0.3)),
        (none, contest(rng, (0, 0), 2, 1, (2, 0), 0.999)),
        (few, contest(rng, (0, 5), *others(), 0.05)),
        (few, contest(rng, (0, some(rng, 3, 6)), 0, 0, (2, 1), 0.05)),
        (how_many, contest(rng, (1, 1), *others(), 0.05)),
        (first, contest(rng, (31, 0), *others(), 1e-9)),  # p 9.3e-10
        (second, contest(rng, (1, 29), *others(), 5.9e-8)),  # p 5.8e-8
        (first, contest(rng, (8, 2), *others(), 0.10938)),  # p .109375
        (how_many, contest(rng, (1, 3), 40, 50, (0, 0), 0.1)),  # p of 4 to 0 is .125
        (how_many, contest(rng, (some(rng, 4, 6), 4), *others(), 0.0005)),
        (first, contest(rng, (large, large // 3), *others(), 0.02)),
        (first, contest(rng, (6, 0), some(rng, 0, 9), some(rng, 30, 60), (1, 1), 0.05)),
        (second, contest(rng, (1, 10), *others(), 0.05)),  # p .0117
        (second, contest(rng, (0, 7), *others(), 0.018)),  # p .0156
        (unclear, contest(rng, (6, 1), *others(), 0.018)),
        (second, contest(rng, (2, 9), *others(), 0.08)),  # p .0654: above the usual .05
        (tried, contest(rng, (1, 10), 3, 2, (25, 0), 0.05, luck=1.0)),  # a reached more in all
        (tried, contest(rng, (1, 10), 8, 2, (0, 25), 0.05, luck=0.0)),  # a reached a larger share in all
        (unclear, contest(rng, (9, 2), *others(), 0.05)),  # p .0654
        (unclear, contest(rng, (2, 10), *others(), 0.01)),  # p .0386: below the usual .05
        (unclear, contest(rng, (160, 140), 5, 5, (0, 0), 0.2)),
        *((exact, contest(rng, only[::flip], *others(), 0.2)) for only, flip in zip([(19, 8), (12, 22), (35, 20), (46, 64), (180, 140), (480, 420)], flips)),
        (below, contest(rng, side, *others(), 2 / 2**8)),  # too few, by a hair
        (equal, contest(rng, (1, 7), *others(), 2 * 9 / 2**8)),  # it has more than three digits
        (equal, contest(rng, (1, 8), *others(), 2 * 10 / 2**9)),
    ]  # fmt: skip


ONLY_A, ONLY_B = (
    "sum(a[pair] and not b[pair] for pair in a if pair in b)",
    "sum(b[pair] and not a[pair] for pair in a if pair in b)",
)
P = "min(1.0, 2 * sum(math.comb(n, k) for k in range(min(only_a, only_b) + 1)) / 2**n)"
FEW, BELOW = "2 / 2**n >= alpha", "p < alpha"
DUEL = Exercise(
    "duel",
    ("minivjepa.evaluation.statistics.mcnemar", "minivjepa.evaluation.statistics.wilson"),
    DUELS,
    duel_cases,
    (
        ("p is that of one tail: double it", slip("duel", ("min(1.0, 2 * sum", "min(1.0, sum"))),
        ("this is the chance of exactly this split; more uneven ones belong to p too", slip("duel", ("sum(math.comb(n, k) for k in range(min(only_a, only_b) + 1))", "math.comb(n, min(only_a, only_b))"))),
        ("p leaves out the split that was found, or counts half of it: the sum goes up to m, and includes it", slip("duel", ("range(min(only_a, only_b) + 1)", "range(min(only_a, only_b))"))),
        ("only half of the chance of the split itself is counted, which is the mid-p; the exact test counts all of it", slip("duel", (P, "min(1.0, (2 * sum(math.comb(n, k) for k in range(min(only_a, only_b))) + math.comb(n, min(only_a, only_b))) / 2**n)"))),
        ("p can come out above 1: it is at most 1", slip("duel", (P, P.removeprefix("min(1.0, ").removesuffix(")")))),
        ("the larger count is taken for m: p is the chance of a split as uneven as this or more so", slip("duel", ("range(min(", "range(max("))),
        ("m is always a's count, so that p is 1 where a won more; take the smaller count", slip("duel", ("range(min(only_a, only_b) + 1)", "range(only_a + 1)"))),
        ("this is McNemar's chi-squared approximation; with few pairs it is not exact enough", slip("duel", (P, "float(stats.chi2.sf((only_a - only_b) ** 2 / n, 1)) if n else 1.0"))),
        ("this is the chi-squared approximation with a correction; take the exact p", slip("duel", (P, "float(stats.chi2.sf(max(0, abs(only_a - only_b) - 1) ** 2 / n, 1)) if n else 1.0"))),
        ("from 25 pairs on, this is the chi-squared approximation with a correction; p is exact for every n", slip("duel", (P, f"({P} if n < 25 else float(stats.chi2.sf(max(0, abs(only_a - only_b) - 1) ** 2 / n, 1)))"))),
        ("n counts all shared pairs; those that both reach or both miss favor neither", slip("duel", ("n = only_a + only_b", "n = sum(pair in b for pair in a)"))),
        ("the planners are compared as if each had tried pairs of its own: they met the same pairs", slip("duel", (P, "float(stats.fisher_exact([[sum(a.values()), len(a) - sum(a.values())], [sum(b.values()), len(b) - sum(b.values())]]).pvalue)"))),
        ("a pair that one planner did not try counts as missed by it: leave it out", slip("duel", (ONLY_A, "sum(a.get(pair, False) and not b.get(pair, False) for pair in {**a, **b})"), (ONLY_B, "sum(b.get(pair, False) and not a.get(pair, False) for pair in {**a, **b})"))),
        ("outcomes are paired by their place in the dicts: pair them by the number of the pair", slip("duel", (ONLY_A, "sum(x and not y for x, y in zip(a.values(), b.values()))"), (ONLY_B, "sum(y and not x for x, y in zip(a.values(), b.values()))"))),
        ("all pairs that a planner reached are counted; only those that the other missed tell them apart", slip("duel", (ONLY_A, "sum(a[pair] for pair in a if pair in b)"), (ONLY_B, "sum(b[pair] for pair in a if pair in b)"))),
        ("alpha is fixed at 0.05: use the argument", slip("duel", ("alpha:\n", "0.05:\n"))),
        ("p is rounded on its way, and comes out a hair below alpha: add up whole numbers, divide once, and compare p as it is", slip("duel", (P, "min(1.0, 2 * float(stats.binom.pmf(range(min(only_a, only_b) + 1), n, 0.5).sum()))"))),
        ("a p that is exactly alpha decides nothing: it has to be below", slip("duel", (BELOW, "p <= alpha"))),
        ("where all n pairs won by one planner give exactly alpha, p isn't below it: too few", slip("duel", (FEW, "2 / 2**n > alpha"))),
        ("\"too few\" is asked only where nothing counts; ask whether n pairs won by one planner could have been enough", slip("duel", (FEW, "n == 0"))),
        ("\"too few\" is never said", slip("duel", (FEW, "False"))),
        ("fewer than ten pairs are called too few here; ask whether n pairs won by one planner could have been enough", slip("duel", (FEW, "n < 10"))),
        ("whether there are too few is asked of all shared pairs; only the n that exactly one reached can decide", slip("duel", (FEW, "2 / 2**sum(pair in b for pair in a) >= alpha"))),
        ("the winner is the one who won fewer", slip("duel", ('"a" if only_a > only_b else "b"', '"b" if only_a > only_b else "a"'))),
        ("the one with more pairs is called the winner, whatever p is", slip("duel", (BELOW, "only_a != only_b"))),
    ),
    (
        "def duel(a, b, alpha):\n    shared = set(a) & set(b)\n    x = len([k for k in shared if a[k] and not b[k]])\n    y = len([k for k in shared if b[k] and not a[k]])\n    p = float(stats.binomtest(x, x + y).pvalue) if x + y else 1.0\n    best = float(stats.binomtest(0, x + y).pvalue) if x + y else 1.0\n    if best >= alpha * (1 - 1e-9):\n        verdict = 'too few'\n    elif p >= alpha * (1 - 1e-9):\n        verdict = 'undecided'\n    else:\n        verdict = 'a' if x > y else 'b'\n    return dict(only_a=x, only_b=y, p=p, verdict=verdict)",
        "def duel(a, b, alpha):\n    from fractions import Fraction\n    only = {'a': 0, 'b': 0}\n    for pair, reached in a.items():\n        if pair in b and b[pair] != reached:\n            only['a' if reached else 'b'] += 1\n    n = sum(only.values())\n    tail = sum(Fraction(math.comb(n, k), 2 ** n) for k in range(min(only.values()) + 1))\n    p = min(Fraction(1), 2 * tail)\n    if Fraction(2, 2 ** n) >= Fraction(alpha):\n        word = 'too few'\n    else:\n        word = max(only, key=only.get) if p < Fraction(alpha) else 'undecided'\n    return {'only_a': only['a'], 'only_b': only['b'], 'p': float(p), 'verdict': word}",
        "def duel(a, b, alpha):\n    pairs = sorted(a.keys() & b.keys())\n    x, y = np.array([a[k] for k in pairs], dtype=bool), np.array([b[k] for k in pairs], dtype=bool)\n    wins, losses = int((x & ~y).sum()), int((~x & y).sum())\n    n, m = wins + losses, min(wins, losses)\n    def p_of(m):\n        total, term = 0, 1\n        for k in range(m + 1):\n            total += term\n            term = term * (n - k) // (k + 1)\n        return min(1.0, 2 * total / 2 ** n)\n    p = p_of(m)\n    verdict = 'too few' if p_of(0) >= alpha else ('a' if wins > losses else 'b') if p < alpha else 'undecided'\n    return {'p': p, 'verdict': verdict, 'only_a': wins, 'only_b': losses}",
        "def duel(a, b, alpha):\n    counts = [0, 0]\n    for pair in b:\n        if pair not in a:\n            continue\n        if a[pair] and not b[pair]:\n            counts[0] += 1\n        if b[pair] and not a[pair]:\n            counts[1] += 1\n    n = counts[0] + counts[1]\n    if n == 0:\n        return {'only_a': 0, 'only_b': 0, 'p': 1, 'verdict': 'too few'}\n    p = 0.0\n    for k in range(n + 1):\n        if min(k, n - k) <= min(counts):\n            p += math.comb(n, k)\n    p = p / 2 ** n\n    if 0.5 ** (n - 1) >= alpha:\n        return {'only_a': counts[0], 'only_b': counts[1], 'p': p, 'verdict': 'too few'}\n    if p >= alpha:\n        return {'only_a': counts[0], 'only_b': counts[1], 'p': p, 'verdict': 'undecided'}\n    return {'only_a': counts[0], 'only_b': counts[1], 'p': p, 'verdict': 'ab'[counts[1] > counts[0]]}",
        "def duel(a, b, alpha):\n    gap = [int(a[k]) - int(b[k]) for k in a if k in b]\n    up, down = gap.count(1), gap.count(-1)\n    n = up + down\n    row = [1]\n    for _ in range(n):\n        row = [1] + [p + q for p, q in zip(row, row[1:])] + [1]\n    whole = sum(row)\n    p = min(2 * sum(row[:min(up, down) + 1]) / whole, 1)\n    if n < 1 or 2 / whole >= alpha:\n        verdict = 'too few'\n    elif p < alpha and up > down:\n        verdict = 'a'\n    elif p < alpha:\n        verdict = 'b'\n    else:\n        verdict = 'undecided'\n    return {'only_a': up, 'only_b': down, 'p': p, 'verdict': verdict}",
        "def duel(a, b, alpha):\n    both = [pair for pair in a.keys() if pair in b.keys()]\n    only_a = torch.tensor([a[k] and not b[k] for k in both], dtype=torch.bool).sum()\n    only_b = torch.tensor([b[k] and not a[k] for k in both], dtype=torch.bool).sum()\n    n, m = int(only_a + only_b), int(torch.minimum(only_a, only_b))\n    p = 2 * math.fsum(math.comb(n, k) / 2 ** n for k in range(m + 1)) if 2 * m < n else 1.0\n    p = min(p, 1.0)\n    verdict = 'undecided'\n    if n == 0 or 2 * 0.5 ** n >= alpha:\n        verdict = 'too few'\n    elif p < alpha:\n        verdict = 'a' if only_a > only_b else 'b'\n    return {'only_a': only_a, 'only_b': only_b, 'p': p, 'verdict': verdict}",
    ),
    equivalent={
        'min(1.0, 2 * sum((math.comb(n, k) for k in range(min(only_a, only_b) + 1))) / 2 ** n) -> min(2 * sum((math.comb(n, k) for k in range(min(only_a, only_b) + 1))) / 2 ** n, 1.0)': 'the order does not matter to min',
        'min(only_a, only_b) -> min(only_b, only_a)': 'the order does not matter to min',
        'only_a > only_b -> only_a >= only_b': 'equal counts have p 1, which is never below alpha',
    },
)  # fmt: skip

# --- cem_round ---


def costs(case: dict[str, Any], by: str = "nearest", clipped: bool = True) -> np.ndarray:
    """What the plans of a round cost, the best guess last; or what people take for it."""
    mean, spread, noise, goal = (case[name].double().numpy() for name in ("mean", "spread", "noise", "goal"))
    plans = mean + spread * noise
    plans = np.concatenate([plans.clip(-1, 1) if clipped else plans, mean[None]])
    away = plans.cumsum(axis=1) - goal
    far = np.abs(away).sum(axis=2) if by == "steps" else (away**2).sum(axis=2)
    if by == "start":
        far = np.minimum(far, (goal**2).sum())
    nearest = far.min(axis=1)
    if by in ("rounded", "half"):
        return np.asarray(nearest.round(3) if by == "rounded" else nearest.astype(np.float16))
    return {"last": far[:, -1], "mean": far.mean(axis=1), "first": far[:, 0], "farthest": far.max(axis=1)}.get(by, nearest)  # fmt: skip


def best_of(cost: np.ndarray, elites: int) -> set[int]:
    """The plans that cost least, the earlier first."""
    return set(np.argsort(cost, kind="stable")[:elites].tolist())


def searched(rng: Rng, sizes: tuple[int, int, int], elites: int, keep: float, unlike: tuple[str, ...] = (), wild: float = 1.0, digits: int | None = None, scale: float = 1.0, far: float = 0.0) -> dict[str, Any]:  # fmt: skip
    """A round in which other ways of counting costs, those `unlike`, would keep other plans.

    wild: how much plans differ, from little to far past the clipping.  "guess" in unlike: the best guess is the cheapest.
    scale: of all numbers; far below 1, costs are tiny.  far: where the goal is on each axis, in place of somewhere near.
    """
    plans, steps, dim = sizes
    gap = 1e-4 if far else 0.01  # seen from afar, plans cost nearly the same

    def draw() -> dict[str, Any] | None:
        case = {
            "mean": tensor(scale * rng.uniform(-0.9, 0.9, (steps, dim)), digits),
            "spread": tensor(scale * rng.uniform(0.3, 0.9, (steps, dim)) * wild, digits),
            "noise": tensor(rng.normal(size=(plans, steps, dim)), digits),
            "goal": tensor(np.full(dim, far) if far else scale * rng.uniform(-1.2, 1.2, dim) * (1 + steps / 3), digits),
            "elites": elites, "keep": keep,
        }  # fmt: skip
        cost = costs(case)
        ordered = np.sort(cost)
        if elites <= plans and ordered[elites] < (1 + gap) * ordered[elites - 1] + 1e-3 * scale**2:
            return None
        best = best_of(cost, elites)
        others = {
            name: costs(case, name)
            for name in ("last", "mean", "first", "farthest", "start", "steps", "rounded", "half")
            if name in unlike
        }
        others |= {"unclipped": costs(case, clipped=False)} if "unclipped" in unlike else {}
        if any(best_of(other, elites) == best for other in others.values()) or (
            "guess" in unlike and cost.argmin() != plans
        ):
            return None
        return case

    return until(draw)


def equal_costs(rng: Rng, elites: int, guess: bool = False, plans: int = 7) -> dict[str, Any]:
    """A round in eighths, whose costs are exact, and where plans that differ tie for the last place; with the best guess among them if asked for.

    Of many plans, many tie: what sorts a handful in their order may not do so there.
    """

    def draw() -> dict[str, Any] | None:
        case = {
            "mean": tensor(rng.integers(-4, 5, (2, 2)) / 4), "spread": tensor(rng.integers(1, 5, (2, 2)) / 4),
            "noise": tensor(rng.integers(-2, 3, (plans, 2, 2)) / 2), "goal": tensor(rng.integers(-4, 5, 2) / 4), "elites": elites, "keep": 0.25,
        }  # fmt: skip
        cost = costs(case)
        order = np.argsort(cost, kind="stable")
        tied = order[cost[order] == cost[order[elites - 1]]]
        every = torch.cat([(case["mean"] + case["spread"] * case["noise"]).clamp(-1, 1), case["mean"][None]])
        inside, outside = [place for place in tied if place in order[:elites]], [place for place in tied if place in order[elites:]]  # fmt: skip
        if min(len(inside), len(outside)) < (3 if plans > 16 else 1) or (plans in tied) != guess:
            return None
        return None if any(torch.equal(every[i], every[j]) for i in inside for j in outside) else case

    return until(draw)


def far_away(rng: Rng) -> dict[str, Any]:
    """A goal that six actions lead to, and a wall at 2.5, 3 or 4 would keep other plans."""

    def draw() -> dict[str, Any] | None:
        case = {
            "mean": tensor(rng.uniform(0.5, 0.9, (6, 1))), "spread": tensor(rng.uniform(0.2, 0.5, (6, 1))), "noise": tensor(rng.normal(size=(some(rng, 9, 14), 6, 1))),
            "goal": tensor([6.0]), "elites": 3, "keep": 0.1,
        }  # fmt: skip
        plans = torch.cat([(case["mean"] + case["spread"] * case["noise"]).clamp(-1, 1), case["mean"][None]]).double()
        places = plans.cumsum(dim=1)
        cost, *walled = (
            ((reach - 6) ** 2).amin(dim=(1, 2)).numpy()
            for reach in (places, *(places.clamp(-wall, wall) for wall in (2.5, 3, 4)))
        )
        ordered = np.sort(cost)
        clear = ordered[3] > 1.02 * ordered[2] + 1e-3
        return case if clear and best_of(cost, 3) not in [best_of(other, 3) for other in walled] else None

    return until(draw)


ROUNDS = {
    "a plan leads to places, one after each action, and the nearest to the goal counts": {"mean": tensor([[0.0], [0.0], [0.0]]), "spread": tensor([[1.0], [1.0], [1.0]]), "noise": tensor([[[-0.25], [0.0], [0.75]], [[0.5], [-1.0], [-1.0]], [[0.5], [0.0], [-0.75]], [[0.75], [-0.75], [-0.25]], [[-0.75], [-0.5], [1.0]]]), "goal": tensor([1.5]), "elites": 1, "keep": 0.0},
    "plans are mean + spread * noise, clipped to -1 .. 1": {"mean": tensor([[0.5, -0.5], [0.5, -0.5]]), "spread": tensor([[1.0, 1.0], [1.0, 1.0]]), "noise": tensor([[[2.5, -2.5], [1.0, -1.0]], [[2.0, -2.0], [0.0, 0.0]], [[2.0, 0.0], [0.0, -0.5]]]), "goal": tensor([1.5, -1.5]), "elites": 1, "keep": 0.0},
    "the best guess is one more plan": {"mean": tensor([[0.5, -0.5]]), "spread": tensor([[0.5, 0.5]]), "noise": tensor([[[1.0, 1.0]], [[-1.0, 1.0]]]), "goal": tensor([0.5, -0.75]), "elites": 1, "keep": 0.0},
    "the start does not count": {"mean": tensor([[0.75]]), "spread": tensor([[0.25]]), "noise": tensor([[[1.0]], [[0.5]], [[-1.0]]]), "goal": tensor([0.25]), "elites": 1, "keep": 0.0},
    "distances are squared and added up over all axes": {"mean": tensor([[0.0, 0.0]]), "spread": tensor([[1.0, 1.0]]), "noise": tensor([[[0.0, 1.0]], [[0.625, 0.625]]]), "goal": tensor([1.0, 1.0]), "elites": 1, "keep": 0.0},
    "of equal costs, the earlier plan is cheaper": {"mean": tensor([[0.25], [0.0]]), "spread": tensor([[0.5], [1.0]]), "noise": tensor([[[1.0], [0.5]], [[1.0], [-1.0]], [[-1.0], [0.0]]]), "goal": tensor([0.5]), "elites": 2, "keep": 0.5},
    "the elites' spread is divided by their number": {"mean": tensor([[0.0]]), "spread": tensor([[0.02]]), "noise": tensor([[[0.125]], [[0.5]], [[1.0]]]), "goal": tensor([0.02]), "elites": 2, "keep": 0.0},
    "`keep` of the old mean and spread stays": searched(SEEN, (5, 2, 2), 3, 0.25, digits=1),
    "elites is from 1 to S + 1": searched(SEEN, (3, 2, 1), 4, 0.5, digits=1),
}  # fmt: skip


def rounds_cases(rng: Rng) -> Drawn:
    """One action to ten, one axis to four, one elite to all, plans that stay within the clipping and that leave it, and ties."""
    place, clip, guess, start, square, tie, spread, keep, all_of = ROUNDS
    shares = rng.permutation([0.05, 0.2, 0.4, 0.7]).tolist()
    size = some(rng, 3, 6)
    everyone = searched(rng, (size, 4, 2), size + 1, 0.1, (), 2.0)
    wide = searched(rng, (some(rng, 9, 14), 2, 2), 3, 0.25, ("unclipped",))
    return [
        (place, searched(rng, (some(rng, 24, 30), some(rng, 5, 8), 2), 9, shares[0], ("last", "mean", "first", "farthest"))),
        (place, searched(rng, (some(rng, 8, 12), 10, 1), 3, 0.1, ("last",), 0.5)),
        (place, searched(rng, (some(rng, 8, 12), 3, 2), 3, 0.2, ("last", "first", "rounded"), scale=0.01)),
        *((place, searched(rng, (some(rng, 20, 30), 3, 2), 5, 0.3, ("half",), far=goal)) for goal in (-50.0, 50.0)),
        (clip, searched(rng, (some(rng, 12, 20), 3, 2), 4, shares[1], ("unclipped",), 3.0)),
        (clip, searched(rng, (6, 4, 3), 2, 0.8, ("unclipped",), 4.0)),
        (guess, searched(rng, (some(rng, 8, 15), 4, 2), 2, shares[2], ("guess",))),
        (guess, searched(rng, (1, 2, 3), 1, 0.3, ("guess",))),
        (start, searched(rng, (some(rng, 9, 14), 3, 2), 3, shares[3], ("start",), 0.4)),
        (square, searched(rng, (some(rng, 15, 25), 3, 4), 4, 0.15, ("steps",))),
        (tie, equal_costs(rng, some(rng, 2, 4))),
        (tie, equal_costs(rng, some(rng, 1, 4), guess=True)),
        *((tie, equal_costs(rng, some(rng, 5, 9), plans=plans)) for plans in (40, 48, 56)),
        (spread, searched(rng, (some(rng, 9, 14), 2, 2), 2, 0.0)),
        (keep, searched(rng, (6, 3, 2), 1, 0.6)),
        (place, far_away(rng)),
        (keep, searched(rng, (5, 2, 2), 2, 1.0)),
        (all_of, {**everyone, "noise": everyone["noise"][[0, 0, *range(1, size - 1)]]}),  # a plan that is there twice counts twice
        (spread, {**wide, "spread": wide["spread"] / 8, "noise": 8 * wide["noise"]}),
    ]  # fmt: skip


CEM = "cem_round"
NEAREST, BEST = "distance.amin(dim=1)", "distance.amin(dim=1).argsort(stable=True)[:elites]"
CEM_ROUND = Exercise(
    CEM,
    ("minivjepa.world.planner.CEM",),
    ROUNDS,
    rounds_cases,
    (
        ("plans are not clipped: every number of an action is from -1 to 1", slip(CEM, (".clamp(-1, 1)", ""))),
        ("plans are clipped for their cost only, and the elites are not: what was carried out is what counts", slip(CEM, ("    best = ", "    plans = torch.cat([mean + spread * noise, mean[None]])\n    best = "))),
        ("actions are clipped from above only: they are from -1 to 1", slip(CEM, (".clamp(-1, 1)", ".clamp(max=1)"))),
        ("the places are clipped; the actions are", slip(CEM, (".clamp(-1, 1)", ""), ("plans.cumsum(dim=1)", "plans.cumsum(dim=1).clamp(-1, 1)"))),
        ("the best guess is missing among the plans", slip(CEM, (", mean[None]])", "])"))),
        ("the best guess takes the place of the first plan, as in the package; it is one more plan, the last", slip(CEM, ("torch.cat([(mean + spread * noise).clamp(-1, 1), mean[None]])", "torch.cat([mean[None], (mean + spread * noise).clamp(-1, 1)[1:]])"))),
        ("the best guess stands first, and wins where it ties with another plan; it is the last", slip(CEM, ("torch.cat([(mean + spread * noise).clamp(-1, 1), mean[None]])", "torch.cat([mean[None], (mean + spread * noise).clamp(-1, 1)])"))),
        ("actions are taken for places: the place after three actions is their sum", slip(CEM, ("plans.cumsum(dim=1)", "plans"))),
        ("a plan is judged by its last place; the nearest counts", slip(CEM, (NEAREST, "distance[:, -1]"))),
        ("a plan is judged by the mean over its places; the nearest counts", slip(CEM, (NEAREST, "distance.mean(dim=1)"))),
        ("a plan is judged by its farthest place; the nearest counts", slip(CEM, (NEAREST, "distance.amax(dim=1)"))),
        ("the start counts as a place, so that plans which only lead away cost the same; places come after actions", slip(CEM, (NEAREST, "torch.cat([distance, (goal**2).sum().expand(len(plans), 1)], dim=1).amin(dim=1)"))),
        ("the distances along the axes are added up without squares", slip(CEM, ("((plans.cumsum(dim=1) - goal) ** 2)", "(plans.cumsum(dim=1) - goal).abs()"))),
        ("the plans that cost most are kept", slip(CEM, ("stable=True)", "stable=True, descending=True)"))),
        ("of equal costs the later plan is kept: the earlier one is cheaper", slip(CEM, (BEST, "distance.amin(dim=1).flip(0).argsort(stable=True)[:elites].neg() + len(plans) - 1"))),
        ("one elite too many is kept", slip(CEM, ("[:elites]", "[:elites + 1]"))),
        ("costs are rounded, so that plans which differ tie", slip(CEM, (NEAREST, f"{NEAREST}.round(decimals=3)"))),
        ("the std is divided by one less than the number of elites, as torch does unless it is told otherwise", slip(CEM, ("correction=0", "correction=min(1, elites - 1)"))),
        ("the spread is that around the old mean; take the std of the elites", slip(CEM, ("best.std(dim=0, correction=0)", "((best - mean) ** 2).mean(dim=0).sqrt()"))),
        ("the spread is a variance: take its root", slip(CEM, ("best.std(dim=0, correction=0)", "best.var(dim=0, correction=0)"))),
        ("one spread stands for all numbers of the plan: each number has its own", slip(CEM, ("best.std(dim=0, correction=0)", "best.std(correction=0).expand_as(mean)"))),
        ("keep is the share of the old, and here it is that of the new", slip(CEM, ("keep * mean + (1 - keep) *", "(1 - keep) * mean + keep *"), ("keep * spread + (1 - keep) *", "(1 - keep) * spread + keep *"))),
        ("keep is ignored: the new mean and spread are those of the elites", slip(CEM, ("keep * mean + (1 - keep) *", ""), ("keep * spread + (1 - keep) *", ""))),
        ("only the mean moves a part of the way; the spread does too", slip(CEM, ("keep * spread + (1 - keep) *", ""))),
        ("only the spread moves a part of the way; the mean does too", slip(CEM, ("keep * mean + (1 - keep) *", ""))),
        ("all plans are averaged: only the elites count", slip(CEM, ("[:elites]", ""))),
        ("the mean is the cheapest plan; it should be that of all elites", slip(CEM, ("best.mean(dim=0)", "best[0]"))),
    ),
    (
        "def cem_round(mean, spread, noise, goal, elites, keep):\n    plans = [torch.clip(mean + spread * one, -1.0, 1.0) for one in noise] + [mean]\n    found = []\n    for number, plan in enumerate(plans):\n        place = torch.zeros_like(goal)\n        nearest = math.inf\n        for action in plan:\n            place = place + action\n            nearest = min(nearest, float(((place - goal) ** 2).sum()))\n        found.append((nearest, number))\n    chosen = [plans[number] for _, number in sorted(found)[:elites]]\n    middle = sum(chosen) / elites\n    std = (sum((plan - middle) ** 2 for plan in chosen) / elites) ** 0.5\n    return {'mean': keep * mean + (1 - keep) * middle, 'spread': keep * spread + (1 - keep) * std}",
        "def cem_round(mean, spread, noise, goal, elites, keep):\n    m, s, e, g = (x.numpy().astype(np.float64) for x in (mean, spread, noise, goal))\n    plans = np.concatenate([np.clip(m + s * e, -1, 1), m[None]])\n    d = np.linalg.norm(np.cumsum(plans, axis=1) - g, axis=2).min(axis=1).round(9)\n    best = plans[np.argsort(d, kind='stable')[:elites]]\n    return dict(spread=keep * s + (1 - keep) * best.std(axis=0), mean=keep * m + (1 - keep) * np.mean(best, axis=0))",
        "def cem_round(mean, spread, noise, goal, elites, keep):\n    drawn = torch.addcmul(mean, spread, noise).clip(-1, 1)\n    plans = torch.vstack([drawn, mean.unsqueeze(0)])\n    lower = torch.tril(torch.ones(len(mean), len(mean)))\n    places = torch.einsum('ts,psa->pta', lower, plans)\n    cost = torch.einsum('pta,pta->pt', places - goal, places - goal).min(dim=1).values\n    order = torch.sort(cost, stable=True).indices\n    std, middle = torch.std_mean(plans[order[:elites]], dim=0, unbiased=False)\n    return {'mean': torch.lerp(middle, mean, keep), 'spread': torch.lerp(std, spread, keep)}",
        "def cem_round(mean, spread, noise, goal, elites, keep):\n    rest = 1 - keep\n    pool = torch.cat((torch.maximum(torch.minimum(mean + noise * spread, torch.tensor(1.0)), torch.tensor(-1.0)), mean[None]), 0)\n    cost = [min(sum(x * x for x in (step - goal).tolist()) for step in plan.cumsum(0)) for plan in pool]\n    ranked = sorted(range(len(pool)), key=cost.__getitem__)\n    top = pool[ranked[:elites]]\n    m = einops.reduce(top, 'e h a -> h a', 'mean')\n    v = einops.reduce((top - m) ** 2, 'e h a -> h a', 'mean')\n    return {'mean': mean * keep + m * rest, 'spread': spread * keep + v.sqrt() * rest}",
        "def cem_round(mean, spread, noise, goal, elites, keep):\n    S, H, A = noise.shape\n    plans = torch.empty(S + 1, H, A)\n    plans[:S] = (noise * spread + mean).clamp(min=-1, max=1)\n    plans[S] = mean\n    cost = torch.full((S + 1,), math.inf)\n    place = torch.zeros(S + 1, A)\n    for h in range(H):\n        place = place + plans[:, h]\n        cost = torch.minimum(cost, (place - goal).square().sum(-1))\n    left, best = cost.clone(), []\n    for _ in range(elites):\n        number = int((left == left.min()).nonzero()[0])\n        best.append(plans[number])\n        left[number] = math.inf\n    best = torch.stack(best)\n    return {'mean': best.mean(0) + keep * (mean - best.mean(0)), 'spread': best.std(0, unbiased=False) * (1 - keep) + spread * keep}",
        "def cem_round(mean, spread, noise, goal, elites, keep):\n    plans = torch.cat([(mean[None] + spread[None] * noise).clamp(-1.0, 1.0), mean[None]]).double()\n    gap = (torch.cumsum(plans, 1) - goal.double()).pow(2).sum(-1).min(-1)[0]\n    index = np.lexsort((np.arange(len(plans)), gap.numpy()))[:elites]\n    kept = plans[torch.from_numpy(index)]\n    return {'mean': (keep * mean.double() + (1 - keep) * kept.mean(0)).float(), 'spread': (keep * spread.double() + (1 - keep) * (kept.pow(2).mean(0) - kept.mean(0).pow(2)).clamp_min(0).sqrt()).float()}",
    ),
    equivalent={
        '((plans.cumsum(dim=1) - goal) ** 2).sum(dim=2) -> ((plans.cumsum(dim=1) - goal) ** 2).mean(dim=2)': 'means are sums divided by A, and rank the plans alike',
        'distance.amin(dim=1).argsort(stable=True) -> distance.amin(dim=1).argsort()': 'on some machines torch sorts stably without being told',
        'plans.cumsum(dim=1) - goal -> goal - plans.cumsum(dim=1)': 'squares do not depend on the sign',
        'True -> False': 'on some machines torch sorts stably without being told',
    },
)  # fmt: skip

# --- shadow_gaps ---


def points(rng: Rng, n: int, dim: int, count: int, m: int, digits: int | None = None) -> dict[str, Any]:
    """Points off the middle and of uneven width, columns of very different lengths, values of t in unequal steps around a middle that is not 0."""
    z = rng.normal(rng.uniform(-0.6, 0.6, dim), rng.uniform(0.4, 1.4, dim), (n, dim))
    directions = rng.normal(size=(dim, count)) * np.exp(rng.uniform(-1.2, 1.2, count))
    t = np.sort(rng.uniform(-2.2, 1.6, m)) + 0.15 * np.arange(m)
    return {"z": tensor(z, digits), "directions": tensor(directions, digits), "t": tensor(t, digits)}


GAPS = {
    "the gap has the mean cosine and the mean sine, each squared": {"z": tensor([[0.5], [1.5]]), "directions": tensor([[1.0]]), "t": tensor([1.0, 2.0])},
    "the mean over points comes before the square": {"z": tensor([[-1.0], [1.0]]), "directions": tensor([[1.0]]), "t": tensor([1.0, 1.5])},
    "columns are brought to length 1": {"z": tensor([[0.5, 1.0], [1.0, -0.5]]), "directions": tensor([[3.0, 0.0], [4.0, 0.00002]]), "t": tensor([0.5, 1.0])},
    "what chance would give is subtracted": {"z": tensor([[2.0]]), "directions": tensor([[2.0]]), "t": tensor([-1.0, 1.0])},
    "the weight is exp(-t²/2)": {"z": tensor([[0.0], [3.0]]), "directions": tensor([[1.0]]), "t": tensor([0.0, 2.0])},
    "the integral follows the trapezoid rule, also in unequal steps": {"z": tensor([[1.0], [2.0], [-0.5]]), "directions": tensor([[1.0]]), "t": tensor([-0.5, 0.0, 2.0])},
    "each direction has its own number": points(SEEN, 4, 3, 2, 3, digits=1),
}  # fmt: skip


def gaps_cases(rng: Rng) -> Drawn:
    """One point and many, one axis and many, one direction and many, two values of t and many; points that are normal, and far from it."""
    square, mean, length, chance, weight, rule, own = GAPS
    far = points(rng, some(rng, 5, 9), 2, 3, 5)
    still = points(rng, some(rng, 5, 9), 3, 2, 4)
    normal = points(rng, some(rng, 40, 60), 4, 3, 9)
    even = points(rng, some(rng, 6, 12), 3, 2, 2)
    short, away = points(rng, some(rng, 5, 9), 3, 4, 4), points(rng, some(rng, 5, 9), 3, 2, 5)
    return [
        (square, points(rng, some(rng, 4, 9), 1, 1, 6)),
        (mean, points(rng, some(rng, 6, 12), some(rng, 2, 5), 3, some(rng, 6, 9))),
        (mean, {**still, "z": torch.ones(len(still["z"]), 1) * still["z"][:1]}),
        (length, points(rng, some(rng, 4, 9), some(rng, 4, 7), 5, 4)),
        (length, points(rng, 5, 3, 3, 4)),
        (length, {**short, "directions": short["directions"] * tensor(rng.permutation([2e-7, 1e-3, 0.05, 4000.0]))}),
        (length, {**away, "z": tensor(away["z"].numpy() + rng.choice([-20.0, 20.0], 3))}),
        (chance, points(rng, 1, 3, 2, 5)),
        (chance, points(rng, 2, 1, 3, 3)),
        (chance, {**normal, "z": tensor(rng.normal(size=normal["z"].shape))}),
        (weight, {**far, "z": 3 * far["z"]}),
        (rule, points(rng, some(rng, 4, 7), 2, 2, 2)),
        (rule, {**even, "t": tensor(np.linspace(-2, 3, some(rng, 8, 15)))}),
        (own, points(rng, 3, 2, 7, 4)),
        (own, points(rng, 4, 4, 4, 4)),
    ]  # fmt: skip


GAP = "shadow_gaps"
UNIT, SQUARES = (
    "(directions / directions.norm(dim=0))",
    "(angle.cos().mean(dim=0) - wanted) ** 2 + angle.sin().mean(dim=0) ** 2",
)
INTEGRAL = "torch.trapezoid((gap - chance) * wanted, t)"
SHADOW_GAPS = Exercise(
    GAP,
    ("minivjepa.objective.sigreg",),
    GAPS,
    gaps_cases,
    (
        ("the columns are taken as they are: bring each to length 1", slip(GAP, (UNIT, "directions"))),
        ("the rows of directions are brought to length 1; the columns should be", slip(GAP, ("norm(dim=0)", "norm(dim=1, keepdim=True)"))),
        ("a small number is added to the lengths, which changes short columns: they may have any length above 0", slip(GAP, ("directions.norm(dim=0)", "(directions.norm(dim=0) + 1e-6)"))),
        ("all columns are divided by the length of the whole matrix: each has its own length", slip(GAP, ("norm(dim=0)", "norm()"))),
        ("the sine is missing: a shadow to one side of 0 would pass for a centered one", slip(GAP, (" + angle.sin().mean(dim=0) ** 2", ""))),
        ("the squares are averaged over points; average the cosines and the sines, then square", slip(GAP, (SQUARES, "((angle.cos() - wanted) ** 2 + angle.sin() ** 2).mean(dim=0)"))),
        ("the gaps are absolute values: square them", slip(GAP, (SQUARES, "(angle.cos().mean(dim=0) - wanted).abs() + angle.sin().mean(dim=0).abs()"))),
        ("the points are centered first, so that a mean off 0 is not seen", slip(GAP, ("(z @", "((z - z.mean(dim=0)) @"))),
        ("the shadows are standardized first, so that neither their mean nor their width is seen", slip(GAP, ("angle = (z @ (directions / directions.norm(dim=0)))[..., None] * t", "x = z @ (directions / directions.norm(dim=0))\n    angle = ((x - x.mean(dim=0)) / (x.std(dim=0, correction=0) + 1e-6))[..., None] * t"))),
        ("nothing is subtracted for chance", slip(GAP, ("gap - chance", "gap"))),
        ("what is subtracted is not divided by n", slip(GAP, (" / len(z)", ""))),
        ("chance is subtracted once, after the integral, as if it were the same for every t", slip(GAP, (INTEGRAL, "torch.trapezoid(gap * wanted, t) - (1 - math.exp(-1)) / len(z)"))),
        ("chance is subtracted without the weight: it is a part of the gap", slip(GAP, ("(gap - chance) * wanted", "gap * wanted - chance"))),
        ("chance is (1 - exp(-t²/2)) / n here; it is (1 - exp(-t²)) / n", slip(GAP, ("(1 - torch.exp(-(t**2)))", "(1 - wanted)"))),
        ("what is subtracted is divided by n - 1", slip(GAP, ("/ len(z)", "/ (len(z) - 1)"))),
        ("the result is multiplied by n, as in the package", slip(GAP, ("return ", "return len(z) * "))),
        ("the weight is missing", slip(GAP, ("(gap - chance) * wanted", "gap - chance"))),
        ("the weight is exp(-t²); it is exp(-t²/2)", slip(GAP, ("* wanted, t", "* wanted**2, t"))),
        ("a normal shadow's cosine is taken for exp(-t²); it is exp(-t²/2)", slip(GAP, (".mean(dim=0) - wanted", ".mean(dim=0) - wanted**2"))),
        ("the values are added up: integrate, which takes the widths of the steps", slip(GAP, (INTEGRAL, "((gap - chance) * wanted).sum(dim=1)"))),
        ("all steps are given the same width: they can be unequal", slip(GAP, (INTEGRAL, "torch.trapezoid((gap - chance) * wanted, dx=float(t[-1] - t[0]) / (len(t) - 1))"))),
        ("this is the mean over t; integrate", slip(GAP, (INTEGRAL, "((gap - chance) * wanted).mean(dim=1)"))),
        ("each step is given the value at its left end: take the mean of both ends", slip(GAP, (INTEGRAL, "(((gap - chance) * wanted)[:, :-1] * t.diff()).sum(dim=1)"))),
        ("t is taken to lie evenly around 0, and only its upper half is used, twice", slip(GAP, (INTEGRAL, "2 * torch.trapezoid(((gap - chance) * wanted)[:, t >= 0], t[t >= 0])"))),
        ("the directions are averaged: return a number for each", slip(GAP, (INTEGRAL, f"{INTEGRAL}.mean()"))),
        ("the mean runs over the directions; it should run over the points", slip(GAP, ("cos().mean(dim=0)", "cos().mean(dim=1)"), ("sin().mean(dim=0)", "sin().mean(dim=1)"))),
    ),
    (
        "def shadow_gaps(z, directions, t):\n    n, K = len(z), directions.shape[1]\n    out = []\n    for k in range(K):\n        column = directions[:, k]\n        x = z @ column / column.norm()\n        values = []\n        for s in t:\n            gap = (torch.cos(s * x).mean() - torch.exp(-s * s / 2)) ** 2 + torch.sin(s * x).mean() ** 2\n            values.append((gap - (1 - torch.exp(-s * s)) / n) * torch.exp(-s * s / 2))\n        out.append(sum((t[i + 1] - t[i]) * (values[i] + values[i + 1]) / 2 for i in range(len(t) - 1)))\n    return torch.stack(out)",
        "def shadow_gaps(z, directions, t):\n    x = z.double() @ F.normalize(directions.double(), dim=0)\n    s = t.double()\n    phi = torch.exp(1j * x[:, :, None] * s).mean(0)\n    w = torch.exp(-s * s / 2)\n    y = w * ((phi - w).abs() ** 2 - (1 - w * w) / len(z))\n    return ((y[:, 1:] + y[:, :-1]) / 2 * s.diff()).sum(-1)",
        "def shadow_gaps(z, directions, t):\n    z, d, t = (a.numpy().astype(np.float64) for a in (z, directions, t))\n    x = z @ (d / np.sqrt((d ** 2).sum(axis=0, keepdims=True)))\n    a = np.einsum('nk,m->knm', x, t)\n    w = np.exp(-t ** 2 / 2)\n    gap = (np.cos(a).mean(1) - w) ** 2 + np.sin(a).mean(1) ** 2 - (1 - np.exp(-t ** 2)) / x.shape[0]\n    y = gap * w\n    widths = np.diff(t)\n    return torch.from_numpy((y[:, :-1] * widths / 2 + y[:, 1:] * widths / 2).sum(axis=1))",
        "def shadow_gaps(z, directions, t):\n    lengths = torch.sqrt(torch.sum(directions ** 2, 0))\n    angle = torch.einsum('nd,dk,m->nkm', z, directions / lengths, t)\n    real, imaginary = einops.reduce(angle.cos(), 'n k m -> k m', 'mean'), einops.reduce(angle.sin(), 'n k m -> k m', 'mean')\n    target = torch.exp(-0.5 * t.square())\n    chance = -torch.expm1(-t.square()) / z.shape[0]\n    y = target * (real.square() - 2 * real * target + target.square() + imaginary.square() - chance)\n    ends = torch.zeros(len(t))\n    ends[1:] += t.diff() / 2\n    ends[:-1] += t.diff() / 2\n    return y @ ends",
        "def shadow_gaps(z, directions, t):\n    shadows = torch.stack([z @ (c / torch.linalg.vector_norm(c)) for c in directions.T])\n    w = (-t.pow(2) / 2).exp()\n    c = torch.stack([(shadows * s).cos().mean(1) for s in t], dim=1)\n    s = torch.stack([(shadows * s).sin().mean(1) for s in t], dim=1)\n    inside = ((c - w).pow(2) + s.pow(2)) * w - (1 - w.pow(2)) * w / len(z)\n    return torch.trapz(inside, t, dim=1)",
        "def shadow_gaps(z, directions, t):\n    n = len(z)\n    result = []\n    for column in directions.T.tolist():\n        length = math.hypot(*column)\n        x = [sum(a * b for a, b in zip(point, column)) / length for point in z.tolist()]\n        y = []\n        for s in t.tolist():\n            c = math.fsum(math.cos(s * v) for v in x) / n\n            d = math.fsum(math.sin(s * v) for v in x) / n\n            y.append(math.exp(-s * s / 2) * ((c - math.exp(-s * s / 2)) ** 2 + d * d - (1 - math.exp(-s * s)) / n))\n        result.append(float(np.trapezoid(y, t.tolist())) if hasattr(np, 'trapezoid') else float(np.trapz(y, t.tolist())))\n    return torch.tensor(result)",
    ),
    equivalent={
        'angle.cos().mean(dim=0) - wanted -> wanted - angle.cos().mean(dim=0)': 'squares do not depend on the sign',
    },
)  # fmt: skip

# --- one_term ---


def world(rng: Rng, clips: int, times: int, dim: int, count: int, m: int, weight: float, digits: int | None = None) -> dict[str, Any]:  # fmt: skip
    """Latents whose times differ in middle and width, guesses that are off, and a penalty that counts."""
    seen = points(rng, clips, dim, count, m, digits)
    z = rng.normal(rng.uniform(-0.8, 0.8, (1, times, dim)), rng.uniform(0.4, 1.3, (1, times, 1)), (clips, times, dim))
    guess = z[:, 1:] + rng.normal(0.3, 0.7, (clips, times - 1, dim))
    return {"z": tensor(z, digits), "guess": tensor(guess, digits), "directions": seen["directions"], "t": seen["t"], "weight": weight}  # fmt: skip


TERMS = {
    "a guess wants to be the latent of the next time": {"z": tensor([[[0.0], [1.0], [3.0]]]), "guess": tensor([[[0.5], [4.0]]]), "directions": tensor([[1.0]]), "t": tensor([0.0, 1.0]), "weight": 0.0},
    "the error is the mean of all squared differences": {"z": tensor([[[0.0, 1.0], [2.0, -1.0]], [[1.0, 1.0], [0.0, 3.0]]]), "guess": tensor([[[1.0, 1.0]], [[1.5, 0.0]]]), "directions": tensor([[1.0], [0.0]]), "t": tensor([0.5, 1.0]), "weight": 0.0},
    "gradient flows through both sides of the error": world(SEEN, 2, 2, 1, 1, 2, 0.0, digits=1),
    "the penalty is taken at each time by itself, for all times": {"z": tensor([[[0.5], [-2.0]], [[1.5], [-1.0]]]), "guess": tensor([[[-2.0]], [[-1.0]]]), "directions": tensor([[1.0]]), "t": tensor([0.5, 1.5]), "weight": 2.0},
    "the penalty is that of exercise 6": world(SEEN, 3, 2, 2, 2, 3, 4.0, digits=1),
    "the penalty can be below 0": {"z": tensor([[[0.0], [0.25]]]), "guess": tensor([[[0.5]]]), "directions": tensor([[2.0]]), "t": tensor([1.0, 2.0]), "weight": 2.0},
    "the penalty is averaged over times and directions": world(SEEN, 2, 3, 2, 3, 3, 8.0, digits=1),
}  # fmt: skip


def terms_cases(rng: Rng) -> Drawn:
    """Two times and many, one clip and many, penalties that weigh nothing, little and much."""
    after, squared, both, each, exercise, below, mean = TERMS
    low, off = world(rng, some(rng, 1, 3), 3, 2, 2, 4, 5.0), world(rng, 3, 3, 2, 2, 3, 1.0)
    weights = rng.permutation([1.5, 3.0, 6.0, 10.0]).tolist()
    return [
        (after, world(rng, some(rng, 1, 3), some(rng, 4, 6), 2, 1, 2, 0.0)),
        (squared, world(rng, 2, 3, some(rng, 2, 4), 2, 3, 0.0)),
        (both, world(rng, some(rng, 2, 4), 2, 2, 2, 3, 0.5)),
        (each, world(rng, some(rng, 3, 6), 3, 2, 2, 4, weights[0])),
        (each, world(rng, 1, 4, 2, 3, 3, weights[1])),
        (exercise, world(rng, some(rng, 6, 10), 2, 3, 2, some(rng, 4, 7), weights[2])),
        (exercise, world(rng, 4, 4, 4, 4, 4, 20.0)),
        (below, {**low, "z": 0.1 * low["z"], "guess": 0.1 * low["guess"]}),
        (mean, world(rng, 2, some(rng, 3, 6), 2, some(rng, 4, 6), 3, weights[3])),
        (squared, {**off, "guess": 4 * off["guess"] + 5.0}),
    ]  # fmt: skip


TERM = "one_term"
ERROR, PENALTY = "((guess - z[:, 1:]) ** 2).mean()", "torch.trapezoid((gap - chance) * wanted, t).mean()"
ONE_TERM = Exercise(
    TERM,
    ("minivjepa.objective.sigreg",),
    TERMS,
    terms_cases,
    (
        ("the latents that guesses want to be are detached: LeWorldModel has no stop-gradient", slip(TERM, ("guess - z[:, 1:]", "guess - z[:, 1:].detach()"))),
        ("the guesses are detached: nothing would learn to guess", slip(TERM, ("(guess -", "(guess.detach() -"))),
        ("the penalty is detached: it would push nothing", slip(TERM, (f"weight * {PENALTY}", f"weight * {PENALTY}.detach()"))),
        ("the latents are detached in the penalty, so that it pushes nothing", slip(TERM, ("angle = (z @", "angle = (z.detach() @"))),
        ("guesses are compared with the latents they were made from; they want to be the next ones", slip(TERM, ("z[:, 1:]", "z[:, :-1]"))),
        ("these are absolute differences: square them", slip(TERM, (ERROR, "(guess - z[:, 1:]).abs().mean()"))),
        ("the squared differences are added up: take their mean", slip(TERM, (ERROR, "((guess - z[:, 1:]) ** 2).sum()"))),
        ("the squares are summed over the features and averaged over the rest: take the mean of all", slip(TERM, (ERROR, "((guess - z[:, 1:]) ** 2).sum(dim=-1).mean()"))),
        ("the latents of all times are put together for the penalty: take each time by itself", slip(TERM, ("angle = (z @", "z = z.flatten(0, 1)\n    angle = (z @"))),
        ("the penalty is taken along the times of each clip; take it across clips at each time", slip(TERM, ("angle = (z @", "z = z.transpose(0, 1)\n    angle = (z @"))),
        ("only the latents that guesses want to be are in the penalty; all times are", slip(TERM, ("angle = (z @", "z = z[:, 1:]\n    angle = (z @"))),
        ("the last time is not in the penalty; all times are", slip(TERM, ("angle = (z @", "z = z[:, :-1]\n    angle = (z @"))),
        ("the penalty is that of the guesses; take the latents", slip(TERM, ("angle = (z @", "angle = (guess @"))),
        ("the penalty is that of each clip's mean over times: take each time by itself", slip(TERM, ("angle = (z @", "z = z.mean(dim=1)\n    angle = (z @"))),
        ("the penalties are added up over times and directions: take their mean", slip(TERM, (PENALTY, PENALTY.replace(".mean()", ".sum()")))),
        ("the penalties of the times are added up: take the mean over times and directions", slip(TERM, (PENALTY, PENALTY.replace(".mean()", ".mean(dim=-1).sum()")))),
        ("the weight is ignored", slip(TERM, ("weight * ", ""))),
        ("the penalty is subtracted", slip(TERM, ("error + weight", "error - weight"))),
        ("the weight stands at the error; it belongs to the penalty", slip(TERM, ("error + weight *", "weight * error +"))),
        ("a penalty below 0 is taken for 0; it may be below", slip(TERM, (PENALTY, f"{PENALTY}.clamp_min(0)"))),
        ("the columns of directions are taken as they are: exercise 6 brings each to length 1", slip(TERM, ("(directions / directions.norm(dim=0))", "directions"))),
        ("the lengths of the columns are detached: nothing is to be", slip(TERM, ("directions.norm(dim=0)", "directions.norm(dim=0).detach()"))),
        ("nothing is subtracted for chance: the penalty is that of exercise 6", slip(TERM, ("gap - chance", "gap"))),
        ("the penalty is multiplied by the number of clips, as in the package; that of exercise 6 is not", slip(TERM, ("error + weight *", "error + len(z) * weight *"))),
        ("the penalty is made of the values of t only once their gradient is cut: detach nothing", slip(TERM, ("    angle =", "    t = t.detach()\n    angle ="))),
    ),
    (
        "def one_term(z, guess, directions, t, weight):\n    def gaps(points):\n        x = points @ (directions / directions.norm(dim=0))\n        w = torch.exp(-t * t / 2)\n        c, s = torch.cos(x[:, :, None] * t).mean(0), torch.sin(x[:, :, None] * t).mean(0)\n        y = ((c - w) ** 2 + s ** 2 - (1 - torch.exp(-t * t)) / len(points)) * w\n        return torch.trapezoid(y, t, dim=1)\n    penalties = [gaps(z[:, k]) for k in range(z.shape[1])]\n    return F.mse_loss(guess, z[:, 1:]) + weight * torch.stack(penalties).mean()",
        "def one_term(z, guess, directions, t, weight):\n    B, T, D = z.shape\n    total = 0.0\n    for b in range(B):\n        for k in range(T - 1):\n            for d in range(D):\n                total = total + (guess[b, k, d] - z[b, k + 1, d]) ** 2\n    u = F.normalize(directions, dim=0)\n    w = torch.exp(-t.square() / 2)\n    penalty = 0.0\n    for k in range(T):\n        x = z[:, k] @ u\n        for column in x.T:\n            phi = torch.stack([torch.stack([(column * s).cos().mean(), (column * s).sin().mean()]) for s in t])\n            y = ((phi[:, 0] - w) ** 2 + phi[:, 1] ** 2 - (1 - w ** 2) / B) * w\n            penalty = penalty + ((y[1:] + y[:-1]) * (t[1:] - t[:-1]) / 2).sum()\n    return total / (B * (T - 1) * D) + weight * penalty / (T * u.shape[1])",
        "def one_term(z, guess, directions, t, weight):\n    lengths = directions.square().sum(dim=0).sqrt()\n    x = torch.einsum('btd,dk->tbk', z, directions) / lengths\n    angle = torch.einsum('tbk,m->tbkm', x, t)\n    w = torch.exp(-0.5 * t ** 2)\n    gap = (torch.mean(torch.cos(angle), dim=1) - w).pow(2) + torch.mean(torch.sin(angle), dim=1).pow(2)\n    y = w * (gap + torch.expm1(-t ** 2) / z.size(0))\n    return (z[:, 1:] - guess).pow(2).mean() + torch.trapz(y, t).mean().mul(weight)",
        "def one_term(z, guess, directions, t, weight):\n    z64, d64, t64 = z.double(), directions.double(), t.double()\n    phi = torch.exp(1j * (z64 @ (d64 / torch.linalg.vector_norm(d64, dim=0))).unsqueeze(-1) * t64).mean(0)\n    w = torch.exp(-t64 * t64 / 2)\n    gap = (phi.real - w) ** 2 + phi.imag ** 2\n    y = w * gap - w * (1 - torch.exp(-t64 * t64)) / z.shape[0]\n    penalty = (0.5 * (y[..., 1:] + y[..., :-1]) * t64.diff()).sum(-1)\n    return torch.square(guess.double() - z64[:, 1:]).mean() + weight * penalty.mean()",
        "def one_term(z, guess, directions, t, weight):\n    times = z.unbind(dim=1)\n    error = torch.stack([(g - after) ** 2 for g, after in zip(guess.unbind(dim=1), times[1:])]).mean()\n    u = torch.stack([column / column.norm() for column in directions.T], dim=1)\n    w = (-(t ** 2) / 2).exp()\n    parts = []\n    for points in times:\n        angle = (points @ u).T[:, :, None] * t\n        gap = (angle.cos().sum(dim=1) / len(points) - w) ** 2 + (angle.sin().sum(dim=1) / len(points)) ** 2\n        parts.append(torch.trapezoid((gap - (1 - w * w) / len(points)) * w, x=t, dim=-1))\n    return error + weight * sum(part.mean() for part in parts) / len(parts)",
        "def one_term(z, guess, directions, t, weight):\n    flat = einops.rearrange(z, 'b s d -> (b s) d') @ (directions / (directions ** 2).sum(0, keepdim=True) ** 0.5)\n    angle = einops.rearrange(flat, '(b s) k -> s k b', s=z.shape[1])[..., None] * t\n    c, s = einops.reduce(angle.cos(), 's k b m -> s k m', 'mean'), einops.reduce(angle.sin(), 's k b m -> s k m', 'mean')\n    w = torch.exp(t ** 2 / -2)\n    y = ((c - w) ** 2 + s * s) * w - (w - w ** 3) / len(z)\n    widths = t.diff()\n    penalty = y[..., 1:] @ widths / 2 + y[..., :-1] @ widths / 2\n    return ((guess - z.narrow(1, 1, z.shape[1] - 1)) ** 2).mean() + weight * penalty.mean()",
    ),
    adapter="gradients",
    equivalent={
        'angle.cos().mean(dim=0) - wanted -> wanted - angle.cos().mean(dim=0)': 'squares do not depend on the sign',
        'guess - z[:, 1:] -> z[:, 1:] - guess': 'squares do not depend on the sign',
    },
)  # fmt: skip

EXERCISES = [ANGLES_OF, TURN_PAIRS, OFFSET_SPREAD, DUEL, CEM_ROUND, SHADOW_GAPS, ONE_TERM]
