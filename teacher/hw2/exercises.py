"""Homework 2: the cases of every exercise, the mistakes that people make, and right answers in other styles.

Visible inputs are quarters, short to write down.  Hidden ones have every kind that tells a wrong answer from a right one in every seed,
and nothing that hangs on the last digit: where a rule is about an exact number (a tie, a zero, a limit), the numbers in it are exact.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
from assignment import Exercise, function_of, given_code
from torch import Tensor

Draw = Callable[..., Tensor]  # numbers or reals


def numbers(rng: np.random.Generator, *shape: int, scale: float = 1.0) -> Tensor:
    """Random quarters from -2 to 2, times `scale`, float32: short to write down."""
    return torch.tensor(rng.integers(-8, 9, shape) / 4 * scale, dtype=torch.float32)


def reals(rng: np.random.Generator, *shape: int, scale: float = 1.0) -> Tensor:
    """Normal random numbers with three decimals, times `scale`, float32: half precision does not hold them."""
    return torch.tensor(np.round(rng.standard_normal(shape), 3) * scale, dtype=torch.float32)


def is_telling(row: np.ndarray, kept: int, first: np.ndarray | None) -> bool:
    """Whether the first `kept` ids of a row are not in order, not their own inverse, and not those of the first clip."""
    ids = row[:kept]
    if kept > 1 and (np.diff(ids) > 0).all():
        return False
    if kept == len(row):
        return kept < 3 or ((row[row] != np.arange(kept)).any() and (first is None or (row != first).any()))
    return first is None or set(ids) != set(first[:kept])


def some_ids(rng: np.random.Generator, clips: int, tokens: int, kept: int) -> Tensor:
    """For each clip, `kept` of its token ids, in an order that tells them apart."""
    rows: list[np.ndarray] = []
    while len(rows) < clips:
        row = rng.permutation(tokens)
        if is_telling(row, kept, rows[0] if rows else None):
            rows.append(row)
    return torch.from_numpy(np.stack(rows)[:, :kept])


def between(rng: np.random.Generator, low: int, high: int) -> int:
    """A whole number from low to high, both included."""
    return int(rng.integers(low, high + 1))


SEEN = np.random.default_rng(2)  # of the visible inputs
EYE = torch.eye(2)


# --- embed_kept ---

EMBED = "def embed_kept(tubelets, ids, weight, bias, positions):\n    clip = torch.arange(len(ids))[:, None]\n    kept = tubelets[clip, ids]\n    return kept @ weight.T + bias + positions[ids]"
KEPT_ONLY = "only the kept tubelets are embedded, and the hidden ones have no part in the result"
IN_ORDER = "the rows keep the order of ids"
OWN_IDS = "each clip keeps tubelets of its own"
LINEAR = "a tubelet is embedded as tubelet @ weight.T + bias"
AS_PIXELS = "the pixels are embedded as they are"
PLACES = "each tubelet gets the position of its id"


def embed_inputs(
    rng: np.random.Generator, clips: int, tokens: int, kept: int, values: int, dim: int, draw: Draw = reals
) -> dict:
    """Clips of different brightness, and an embedding.  draw: numbers or reals."""
    brightness = torch.from_numpy(rng.permutation(clips) * 2.0 - clips + 0.5).float()[:, None, None]
    return {
        "tubelets": draw(rng, clips, tokens, values) + brightness, "ids": some_ids(rng, clips, tokens, kept),
        "weight": draw(rng, dim, values), "bias": draw(rng, dim), "positions": draw(rng, tokens, dim),
    }  # fmt: skip


def embed_hidden(rng: np.random.Generator) -> list[tuple[str, dict]]:
    """Many and few clips, tubelets, values and features; one of each; all kept; more tubelets than a byte counts."""
    side, many, values = between(rng, 3, 5), between(rng, 5, 7), between(rng, 5, 7)
    bright = embed_inputs(rng, 3, 7, 4, 3, 2)
    bright["tubelets"] = bright["tubelets"] * 10 + 300
    return [
        *((OWN_IDS, embed_inputs(rng, many, 9, 5, values, 3)) for _ in range(2)),
        (AS_PIXELS, bright),
        (KEPT_ONLY, embed_inputs(rng, 1, 7, between(rng, 4, 6), 5, between(rng, 6, 11))),
        (LINEAR, embed_inputs(rng, 2, 5, 3, side, side)),
        (AS_PIXELS, embed_inputs(rng, between(rng, 2, 4), 6, 1, 3, 2)),
        (IN_ORDER, embed_inputs(rng, 2, between(rng, 4, 6), 4, 1, 3) if rng.random() < 0.5 else embed_inputs(rng, 2, 5, 5, 1, 3)),
        (IN_ORDER, embed_inputs(rng, 2, 5, 5, between(rng, 2, 4), 1)),
        (PLACES, embed_inputs(rng, 1, 1, 1, between(rng, 1, 3), 2)),
        (PLACES, embed_inputs(rng, 2, between(rng, 280, 310), 40, 2, 2)),
    ]  # fmt: skip


EMBED_KEPT = Exercise(
    "embed_kept",
    ("minivjepa.tubelets.gather_tokens", "minivjepa.tubelets.TubeletEmbedding", "minivjepa.encoder.Encoder"),
    {
        KEPT_ONLY: {"tubelets": torch.tensor([[[1.0, 3.0], [50.0, 50.0], [5.0, 7.0]]]), "ids": torch.tensor([[2, 0]]), "weight": torch.tensor([[1.0, 0.0], [1.0, 1.0]]),
                       "bias": torch.tensor([0.0, 0.5]), "positions": torch.tensor([[10.0, 0.0], [20.0, 0.0], [30.0, 0.0]])},
        IN_ORDER: embed_inputs(SEEN, 1, 3, 3, 2, 2, numbers),
        OWN_IDS: embed_inputs(SEEN, 2, 4, 2, 2, 1, numbers),
        AS_PIXELS: embed_inputs(SEEN, 3, 4, 2, 2, 2, numbers),
        LINEAR: embed_inputs(SEEN, 1, 3, 2, 2, 2, numbers) | {"positions": torch.zeros(3, 2)},
        PLACES: embed_inputs(SEEN, 1, 4, 2, 1, 2, numbers),
    },
    embed_hidden,
    (
        ("positions are counted 0, 1, 2 ... along the kept list; a tubelet has the position of its id, the place that it had in the clip", EMBED.replace("positions[ids]", "positions[:ids.shape[1]]")),
        ("all clips get the positions of the first: each clip has ids of its own", EMBED.replace("positions[ids]", "positions[ids[0]]")),
        ("all clips keep the tubelets that the first one keeps: each clip has ids of its own", EMBED.replace("tubelets[clip, ids]", "tubelets[:, ids[0]]")),
        ("all clips get the pixels of the first: each has pixels of its own", EMBED.replace("tubelets[clip, ids]", "tubelets[0][ids]")),
        ("all tubelets are embedded, the hidden ones too: return those that ids names, in their order", EMBED.replace("kept = tubelets[clip, ids]", "kept = tubelets").replace("positions[ids]", "positions")),
        ("the mean of all tubelets is subtracted, so that hidden pixels leak into what the student sees: the pixels are embedded as they are", EMBED.replace("tubelets[clip, ids]", "tubelets[clip, ids] - tubelets.mean(dim=(1, 2), keepdim=True)")),
        ("a mean is subtracted from the pixels: they are embedded as they are", EMBED.replace("    return", "    kept = kept - kept.mean(dim=(1, 2), keepdim=True)\n    return")),
        ("the mean of the kept tubelets is subtracted from each, so that one that is kept by itself is all zeros: the pixels are embedded as they are", EMBED.replace("    return", "    kept = kept - kept.mean(dim=1, keepdim=True)\n    return")),
        ("the bias is missing", EMBED.replace(" + bias", "")),
        ("the positions are missing: without them nobody knows where a tubelet was", EMBED.replace(" + positions[ids]", "")),
        ("the result is right, but positions is another than before: an operation in place has changed the input; make a new tensor", EMBED.replace(" + bias + positions[ids]", " + positions.add_(bias)[ids]")),
        ("the first K tubelets are embedded, and not those that ids names", EMBED.replace("tubelets[clip, ids]", "tubelets[:, :ids.shape[1]]")),
        ("the rows are sorted by id; they keep the order of ids", EMBED.replace("    kept = tubelets", "    ids = ids.sort(dim=1).values\n    kept = tubelets")),
        ("the positions stand in the order of sorted ids, and the tubelets in that of ids: both in that of ids", EMBED.replace("positions[ids]", "positions[ids.sort(dim=1).values]")),
    ),
    (
        "def embed_kept(tubelets, ids, weight, bias, positions):\n    rows = []\n    for pixels, own in zip(tubelets, ids):\n        rows.append(pixels[own] @ weight.T + bias + positions[own])\n    return torch.stack(rows)",
        "def embed_kept(tubelets, ids, weight, bias, positions):\n    kept = tubelets.gather(1, ids[..., None].expand(-1, -1, tubelets.shape[-1]))\n    return torch.einsum('bkv,dv->bkd', kept, weight) + bias + torch.nn.functional.embedding(ids, positions)",
        "def embed_kept(tubelets, ids, weight, bias, positions):\n    x, i = tubelets.numpy(), ids.numpy()\n    kept = np.take_along_axis(x, i[:, :, None], axis=1)\n    return torch.from_numpy(kept @ weight.numpy().T + bias.numpy() + positions.numpy()[i])",
        "def embed_kept(tubelets, ids, weight, bias, positions):\n    out = []\n    for b, own in enumerate(ids.tolist()):\n        out.append([(weight.double() @ tubelets[b, i].double() + bias + positions[i]).tolist() for i in own])\n    return torch.tensor(out)",
        "def embed_kept(tubelets, ids, weight, bias, positions):\n    embedded = torch.nn.functional.linear(tubelets, weight, bias) + positions\n    return torch.stack([clip.index_select(0, own) for clip, own in zip(embedded, ids)])",
        "def embed_kept(tubelets, ids, weight, bias, positions):\n    chosen = torch.nn.functional.one_hot(ids, tubelets.shape[1]).float()\n    return torch.baddbmm(chosen @ positions + bias, chosen @ tubelets, weight.T.expand(len(ids), -1, -1))",
        "def embed_kept(tubelets, ids, weight, bias, positions):\n    B, N, values = tubelets.shape\n    flat = tubelets.reshape(B * N, values)[(ids + N * torch.arange(B).unsqueeze(1)).flatten()].view(B, -1, values)\n    return flat.matmul(weight.t()).add(bias).add(positions[ids.flatten()].view(B, -1, len(bias)))",
    ),
)  # fmt: skip


# --- attend ---

ATTEND = """def attend(x, weights, heads, temperature, real):
    d = x.shape[2] // heads
    q, k, v = (einops.rearrange(x @ weights[name], 'B n (d head) -> B head n d', head=heads) for name in 'qkv')
    score = q @ k.transpose(2, 3) / (temperature * d ** 0.5)
    weight = score.masked_fill(~real[:, None, None], -math.inf).softmax(dim=3)
    weight = weight.masked_fill(~real[:, None, :, None], 0.0)
    mixed = einops.rearrange(weight @ v, 'B head n d -> B n (d head)')
    return mixed @ weights['out'], weight.mean(dim=1)"""
MASK = ".masked_fill(~real[:, None, None], -math.inf)"
ROWS = "    weight = weight.masked_fill(~real[:, None, :, None], 0.0)\n"
SOFTMAX = "the weights of a token that looks are the softmax of its scores, over those who are looked at"
SCORE = "the score is the dot product, divided by (temperature times the root of d)"
MATRICES = "all four matrices are used as x @ W"
HEADS = "feature f belongs to head f % heads, on the way in and on the way out"
NO_PADDING = "nobody looks at padding, and the weights of the real tokens add up to 1"
PADDING_ROWS = "the rows of padding are zeros in both results"
ALL_PADDING = "a clip that is all padding has zeros in both results"
LARGE_SCORES = "scores may be large, of either sign"
MEAN_WEIGHTS = "the weights are averaged over heads; the row is the token that looks"


def attend_inputs(
    rng: np.random.Generator, lengths: tuple[int, ...], n: int, heads: int, d: int, heat: float, draw: Draw = reals
) -> dict:
    """Clips with `lengths` real tokens each, filled up to n with padding at any place, and weights.  Padding has numbers too."""
    dim = heads * d
    real = torch.from_numpy(np.stack([rng.permutation(n) < length for length in lengths]))
    matrices = {
        name: draw(rng, dim, dim, scale=1 / 2 if draw is numbers else 1 / dim**0.5) for name in ("q", "k", "v", "out")
    }
    return {
        "x": draw(rng, len(lengths), n, dim),
        "weights": matrices,
        "heads": heads,
        "temperature": heat,
        "real": real,
    }


def large_scores(rng: np.random.Generator, heads: int, n: int, draw: Draw = reals, padding: float = 512.0) -> dict:
    """Two clips with one token of padding each.  The scores of a token that looks differ by some halves, and those of padding by more.

    They lie around half a million, above or below 0, another number for each token that looks: exact in float32, also where the root
    of the scale goes into the queries and the keys, as in torch's own attention.  padding: below 0, and
    a token whose scores are far below 0 has one far above 0 with padding.
    """
    given = attend_inputs(rng, (n - 1, n - 1), n, heads, 16, 0.25, draw)
    large, _, small, _ = torch.eye(16 * heads).split([heads, heads, 2 * heads, 12 * heads])
    x = torch.from_numpy(rng.integers(-1, 2, (2, n, 16 * heads))).float()
    for clip, real in zip(x, given["real"]):
        sizes = rng.permutation([-4096.0, 1024.0, 4096.0, -256.0, 256.0][: n - 1])
        clip[real, :heads] = torch.from_numpy(sizes).float()[:, None]
        clip[:, heads : 2 * heads] = torch.where(real, 256.0, padding)[:, None]
    nothing, rest = torch.zeros(heads, 16 * heads), torch.zeros(12 * heads, 16 * heads)
    turned = {"q": torch.cat([large, nothing, small, rest]) / 2, "k": torch.cat([nothing, large, small, rest])}
    values = torch.cat([nothing, nothing, given["weights"]["v"][2 * heads :]])
    return given | {"x": x, "weights": given["weights"] | turned | {"v": values}}


def attend_hidden(rng: np.random.Generator) -> list[tuple[str, dict]]:
    """One and several heads, clips, tokens and features of a head; padding anywhere, nowhere, everywhere; scores that are large."""
    heat = float(rng.choice([0.37, 0.8, 1.9, 3.3]))
    return [
        *((NO_PADDING, attend_inputs(rng, (5, 3, between(rng, 1, 6)), 6, 3, 4, heat)) for _ in range(2)),
        (SCORE, attend_inputs(rng, (4, 7), 7, 2, between(rng, 5, 7), 1.5)),
        (HEADS, attend_inputs(rng, (3, 2, 5, 1), 5, between(rng, 4, 5), 2, 0.25)),
        (ALL_PADDING, attend_inputs(rng, tuple(rng.permutation([0, 3, 2])), 4, 2, 3, 0.7)),
        (ALL_PADDING, attend_inputs(rng, (0, 1), 1, 2, 2, 1.0)),
        (PADDING_ROWS, attend_inputs(rng, (between(rng, 2, 4),), 11, 2, 3, 0.5)),
        (MATRICES, attend_inputs(rng, (5, 5), 5, 1, between(rng, 3, 5), 1.0)),
        (MEAN_WEIGHTS, attend_inputs(rng, (4,), 4, between(rng, 5, 7), 1, 0.6)),
        (SOFTMAX, attend_inputs(rng, (1,), 1, 2, 2, 2.0)),
        (LARGE_SCORES, large_scores(rng, between(rng, 1, 3), between(rng, 4, 6))),
        (LARGE_SCORES, attend_inputs(rng, (3, 4), 4, 2, 2, 1 / 32)),
        (LARGE_SCORES, large_scores(rng, 2, 3, numbers)),
        (LARGE_SCORES, large_scores(rng, 1, 6, padding=-384.0)),
    ]  # fmt: skip


ATTEND_EXERCISE = Exercise(
    "attend",
    ("minivjepa.transformer.Attention", "minivjepa.transformer.Block", "minivjepa.encoder.Encoder"),
    {
        SOFTMAX: {"x": torch.tensor([[[1.0, 0.0], [0.0, 2.0]]]), "weights": {"q": EYE, "k": EYE, "v": EYE, "out": EYE}, "heads": 2, "temperature": 1.0, "real": torch.tensor([[True, True]])},
        SCORE: {"x": torch.tensor([[[1.0, 0.0, 1.0, 1.0], [0.0, 2.0, 0.0, 1.0]]]), "weights": dict.fromkeys(("q", "k", "v", "out"), torch.eye(4)), "heads": 1, "temperature": 2.0, "real": torch.tensor([[True, True]])},
        MATRICES: attend_inputs(SEEN, (2,), 2, 1, 2, 1.0, numbers),
        HEADS: attend_inputs(SEEN, (2,), 2, 2, 2, 1.0, numbers),
        NO_PADDING: attend_inputs(SEEN, (2,), 3, 1, 2, 1.0, numbers) | {"real": torch.tensor([[True, False, True]])},
        PADDING_ROWS: attend_inputs(SEEN, (1, 2), 2, 1, 2, 0.5, numbers),
        ALL_PADDING: attend_inputs(SEEN, (0, 2), 2, 1, 2, 1.0, numbers),
        LARGE_SCORES: large_scores(SEEN, 1, 3, numbers),
        MEAN_WEIGHTS: attend_inputs(SEEN, (2,), 2, 2, 1, 0.5, numbers),
    },
    attend_hidden,
    (
        ("the first features go to the first head, as in the package; here feature f belongs to head f % heads", ATTEND.replace("(d head)", "(head d)")),
        ("the heads are split in the interleaved way, and put together in blocks: what a head takes home goes to the places that its features came from", ATTEND.replace("'B head n d -> B n (d head)'", "'B head n d -> B n (head d)'")),
        ("the softmax runs over those who look; the weights of one who looks add up to 1, over those who are looked at", ATTEND.replace("real[:, None, None], -math.inf).softmax(dim=3)", "real[:, None, :, None], -1e9).softmax(dim=2)").replace(ROWS, "    weight = weight * (real[:, None, None] & real[:, None, :, None])\n")),
        ("the scores are not divided by the root of d: long vectors have large dot products, and the softmax takes all for one token", ATTEND.replace("temperature * d ** 0.5", "temperature")),
        ("the scores are divided by the root of D, and a head has only D / heads features", ATTEND.replace("d ** 0.5", "x.shape[2] ** 0.5")),
        ("the scores are divided by d, and not by its root", ATTEND.replace("d ** 0.5", "d")),
        ("the temperature is ignored", ATTEND.replace("temperature * d", "d")),
        ("the scores are multiplied by the temperature; a high temperature makes weights more alike, so divide", ATTEND.replace("/ (temperature * d ** 0.5)", "* temperature / d ** 0.5")),
        ("the weights are used like those of nn.Linear, transposed; here they are used as x @ W", ATTEND.replace("weights[name]", "weights[name].T").replace("weights['out']", "weights['out'].T")),
        ("padding is looked at: a token that is not there has a weight", ATTEND.replace(MASK, "")),
        ("padding is taken out after the softmax, so that the other weights add up to less than 1: take it out before", ATTEND.replace(f"score{MASK}.softmax(dim=3)", "score.softmax(dim=3) * real[:, None, None]")),
        ("the score of padding is set to 0, and the softmax gives a score of 0 a weight like any other", ATTEND.replace("-math.inf", "0.0")),
        ("the score of padding is a number like -20 or -10000: where the scores of real tokens are lower still, all look at padding; take minus infinity", ATTEND.replace("-math.inf", "-20.0")),
        ("padding is taken to stand at the end of a clip; real says where it stands", ATTEND.replace("    d = x", "    real = torch.arange(x.shape[1]) < real.sum(dim=1, keepdim=True)\n    d = x")),
        ("the rows of padding are not zeros: padding looks at others too", ATTEND.replace(ROWS, "").replace("-math.inf", "-1e9")),
        ("the rows of padding are zeros in the vectors and not in the weights that you return", ATTEND.replace(ROWS, "").replace("-math.inf", "-1e9").replace("return mixed @ weights['out']", "return mixed * real[..., None] @ weights['out']")),
        ("a clip that is all padding gives nan: a softmax over nothing but minus infinities is nan, and nan times 0 is nan too; put zeros in their place", ATTEND.replace(ROWS, "    weight = weight * real[:, None, :, None]\n")),
        ("padding is taken out after the softmax, and the rest divided by its sum: where padding has by far the largest score, nothing is left to divide", ATTEND.replace(MASK, "").replace(ROWS, "    weight = weight * real[:, None, None]\n    weight = (weight / (weight.sum(dim=3, keepdim=True) + 1e-9)).masked_fill(~real[:, None, :, None], 0.0)\n")),
        ("the softmax divides exp(score) by their sum, and with large scores exp is infinite, or zero for all: use torch's softmax, or subtract the largest score of a row first", ATTEND.replace(f"score{MASK}.softmax(dim=3)", "score.exp() * real[:, None, None]\n    weight = weight / weight.sum(dim=3, keepdim=True)")),
        ("the mask is turned around: real is true where there is a token", ATTEND.replace("~real[:, None, None], -math.inf", "real[:, None, None], -1e9")),
        ("what the heads take home is not multiplied by \"out\"", ATTEND.replace("mixed @ weights['out']", "mixed")),
        ("the weights are summed over heads, so that a row adds up to the number of heads: average them", ATTEND.replace("weight.mean(dim=1)", "weight.sum(dim=1)")),
        ("two things are asked, and only the vectors are returned", ATTEND.replace(", weight.mean(dim=1)", "")),
        ("these are only the first head's weights: average over heads", ATTEND.replace("weight.mean(dim=1)", "weight[:, 0]")),
        ("rows and columns of the weights are exchanged: the row is the token that looks", ATTEND.replace("weight.mean(dim=1)", "weight.mean(dim=1).transpose(1, 2)")),
    ),
    (
        "def attend(x, weights, heads, temperature, real):\n    B, n, D = x.shape\n    q, k, v = ((x @ weights[name]).reshape(B, n, D // heads, heads).permute(0, 3, 1, 2) for name in 'qkv')\n    there = real[:, None, None].expand(B, heads, n, n)\n    whole = torch.eye(n).expand(B, heads, n, n)\n    taken, looks = (torch.nn.functional.scaled_dot_product_attention(q / temperature, k, w, attn_mask=there).masked_fill(~real[:, None, :, None], 0) for w in (v, whole))\n    return taken.permute(0, 2, 3, 1).reshape(B, n, D) @ weights['out'], looks.mean(1)",
        "def attend(x, weights, heads, temperature, real):\n    root = (temperature * (x.shape[2] // heads) ** 0.5) ** 0.5\n    q, k, v = (einops.rearrange(x @ weights[name], 'B n (d head) -> B head n d', head=heads) for name in 'qkv')\n    score = (q / root) @ (k / root).mT\n    weight = score.masked_fill(~real[:, None, None], -math.inf).softmax(dim=-1).masked_fill(~real[:, None, :, None], 0)\n    return einops.rearrange(weight @ v, 'B head n d -> B n (d head)') @ weights['out'], weight.mean(dim=1)",
        "def attend(x, weights, heads, temperature, real):\n    B, n, D = x.shape\n    out, looks = torch.zeros(B, n, D), torch.zeros(B, n, n)\n    for b in range(B):\n        there = real[b].nonzero().flatten()\n        if len(there) == 0:\n            continue\n        q, k, v = (x[b, there] @ weights[name] for name in 'qkv')\n        home = torch.zeros(len(there), D)\n        for h in range(heads):\n            score = q[:, h::heads] @ k[:, h::heads].T / temperature / math.sqrt(D // heads)\n            score = torch.exp(score - score.max(dim=1, keepdim=True).values)\n            weight = score / score.sum(dim=1, keepdim=True)\n            home[:, h::heads] = weight @ v[:, h::heads]\n            looks[b, there[:, None], there] += weight / heads\n        out[b, there] = home @ weights['out']\n    return out, looks",
        "def attend(x, weights, heads, temperature, real):\n    B, n, D = x.shape\n    d = D // heads\n    q, k, v = ((x @ weights[name]).reshape(B, n, d, heads) for name in 'qkv')\n    score = torch.einsum('bidh,bjdh->bijh', q, k) / (temperature * d ** 0.5)\n    score = score.masked_fill(~real[:, None, :, None], torch.finfo(score.dtype).min)\n    weight = torch.exp(score - score.amax(dim=2, keepdim=True)) * real[:, None, :, None]\n    weight = weight / weight.sum(dim=2, keepdim=True).clamp(min=1e-9) * real[:, :, None, None]\n    mixed = torch.einsum('bijh,bjdh->bidh', weight, v).reshape(B, n, D)\n    return mixed @ weights['out'], weight.mean(dim=3)",
        "def attend(x, weights, heads, temperature, real):\n    w = {name: part.numpy().astype(float) for name, part in weights.items()}\n    x, there = x.numpy().astype(float), real.numpy()\n    d = x.shape[2] // heads\n    out, looks = np.zeros(x.shape), 0\n    for h in range(heads):\n        q, k, v = (x @ w[name][:, h::heads] for name in 'qkv')\n        score = np.where(there[:, None], q @ k.swapaxes(1, 2) / temperature / np.sqrt(d), -1e30)\n        weight = np.exp(score - score.max(axis=2, keepdims=True))\n        weight = weight / weight.sum(axis=2, keepdims=True) * there[:, :, None]\n        out = out + weight @ v @ w['out'][h::heads]\n        looks = looks + weight / heads\n    return torch.from_numpy(out), torch.from_numpy(looks)",
        "def attend(x, weights, heads, temperature, real):\n    q, k, v = (torch.stack((x @ weights[name]).split(heads, dim=-1), dim=-1).transpose(1, 2) for name in 'qkv')\n    far = torch.zeros_like(real, dtype=torch.float32).masked_fill(~real, -1e9)\n    look = torch.softmax(q @ k.mT / (temperature * q.shape[-1] ** 0.5) + far[:, None, None, :], -1)\n    look = torch.nan_to_num(look) * real[:, None, :, None].float()\n    home = (look @ v).permute(0, 2, 3, 1).flatten(2)\n    return [home @ weights['out'], look.sum(1) / heads]",
        "def attend(x, weights, heads, temperature, real):\n    d = x.shape[2] // heads\n    x, w = x.double(), {name: matrix.double() for name, matrix in weights.items()}\n    order = [f for h in range(heads) for f in range(h, heads * d, heads)]\n    q, k, v = ((x @ w[name])[..., order].unflatten(2, (heads, d)).transpose(1, 2) for name in 'qkv')\n    both = real[:, None, :, None] & real[:, None, None, :]\n    weight = torch.where(both, q @ k.transpose(2, 3) / temperature / d ** 0.5, -torch.inf).softmax(dim=3).nan_to_num(0)\n    mixed = (weight @ v).transpose(1, 2).flatten(2)\n    return mixed @ w['out'][order], weight.mean(dim=1)",
        "def attend(x, weights, heads, temperature, real):\n    B, n, D = x.shape\n    out, looks = [], []\n    for clip, there in zip(x, real.tolist()):\n        q, k, v = clip @ weights['q'], clip @ weights['k'], clip @ weights['v']\n        rows, seen = [], []\n        for i in range(n):\n            if not there[i]:\n                rows.append(torch.zeros(D))\n                seen.append(torch.zeros(n))\n                continue\n            home, mean = torch.zeros(D), torch.zeros(n)\n            others = [j for j in range(n) if there[j]]\n            for h in range(heads):\n                scores = torch.stack([q[i, h::heads] @ k[j, h::heads] for j in others]) / (temperature * (D / heads) ** 0.5)\n                share = scores.log_softmax(0).exp()\n                home[h::heads] = sum(s * v[j, h::heads] for s, j in zip(share, others))\n                mean[others] += share / heads\n            rows.append(home @ weights['out'])\n            seen.append(mean)\n        out.append(torch.stack(rows))\n        looks.append(torch.stack(seen))\n    return torch.stack(out), torch.stack(looks)",
    ),
)  # fmt: skip


# --- predict ---

PREDICT = """def predict(context, context_ids, target_ids, weights, group, rows):
    places = weights['positions']
    seen = context @ weights['enter'] + places[context_ids]
    asked = weights['mask_tokens'][group] + places[target_ids]
    out = body(torch.cat([seen, asked], dim=1)) @ weights['leave']
    clip = torch.arange(len(out))[:, None]
    ids = torch.cat([context_ids, target_ids], dim=1)
    if rows == 'hidden':
        return out[:, context.shape[1]:]
    return out[clip, ids.argsort(dim=1)]"""
MASKED = "a hidden tubelet goes in as the mask token of this group plus the position of its id"
SEEN_ONES = "a kept tubelet goes in as its vector times enter plus the position of its id"
GROUP = "the mask token is that of `group`, also when there are several"
TOGETHER = "all rows of a clip go through body together, and those of other clips do not"
LEAVE = "what comes out of body is multiplied by leave"
GUESSES = 'with rows "hidden" the guesses stand in the order of target_ids'
BY_ID = 'with rows "all" the row of tubelet 5 is row 5, kept or hidden'
CLIPS_IDS = "each clip has ids of its own"
NONE_KEPT = "K may be 0"
NONE_HIDDEN = 'M may be 0 with rows "all"'


def predict_inputs(
    rng: np.random.Generator,
    clips: int,
    counts: tuple,
    widths: tuple,
    groups: int,
    group: int,
    rows: str,
    draw: Draw = reals,
) -> dict:
    """A context, its ids, the others, and a predictor's weights.  counts: K and M.  widths: D and P."""
    (kept, hidden), (dim, inner) = counts, widths
    ids = some_ids(rng, clips, kept + hidden, kept + hidden)
    while kept + hidden > 3 and any(
        (part.diff() > 0).all() for row in ids for part in (row[:kept], row[kept:]) if len(part) > 1
    ):
        ids = some_ids(rng, clips, kept + hidden, kept + hidden)  # neither list of a clip is in order
    weights = {
        "enter": draw(rng, dim, inner, scale=0.5), "leave": draw(rng, inner, dim),
        "mask_tokens": draw(rng, groups, inner, scale=0.5), "positions": draw(rng, kept + hidden, inner, scale=0.5),
    }  # fmt: skip
    return {
        "context": draw(rng, clips, kept, dim, scale=0.5), "context_ids": ids[:, :kept], "target_ids": ids[:, kept:],
        "weights": weights, "group": group, "rows": rows,
    }  # fmt: skip


def predict_hidden(rng: np.random.Generator) -> list[tuple[str, dict]]:
    """Both kinds of rows; one and several clips, groups, tubelets; nothing kept, nothing hidden; more tubelets than a byte counts."""
    few, side = between(rng, 2, 4), between(rng, 2, 4)
    return [
        *((BY_ID, predict_inputs(rng, 3, (4, 3), (5, 3), 3, 2, "all")) for _ in range(2)),
        (GROUP, predict_inputs(rng, 2, (3, between(rng, 5, 7)), (2, 4), 3, 1, "hidden")),
        (CLIPS_IDS, predict_inputs(rng, between(rng, 3, 5), (5, 3), (3, 5), 4, 3, "hidden")),
        (CLIPS_IDS, predict_inputs(rng, 2, (few, 5), (4, 2), 2, 1, "all")),
        (LEAVE, predict_inputs(rng, 2, (3, 2), (side, side), 2, 0, "hidden")),
        (SEEN_ONES, predict_inputs(rng, 1, (6, 1), (1, 2), 1, 0, "hidden")),
        (GUESSES, predict_inputs(rng, 1, (2, 5), (3, 3), 2, 0, "hidden")),
        (MASKED, predict_inputs(rng, 2, (1, 4), (2, 1), 2, 1, "all")),
        (NONE_KEPT, predict_inputs(rng, 2, (0, few + 1), (3, 2), 2, 0, "hidden")),
        (NONE_KEPT, predict_inputs(rng, 3, (0, few + 2), (2, 3), 2, 1, "all")),
        (NONE_HIDDEN, predict_inputs(rng, 2, (few + 1, 0), (2, 3), 2, 1, "all")),
        (TOGETHER, predict_inputs(rng, 1, (between(rng, 100, 150), 170), (2, 2), 1, 0, "all")),
    ]  # fmt: skip


ONE = torch.ones(1, 1)
PREDICT_EXERCISE = Exercise(
    "predict",
    ("minivjepa.predictor.Predictor", "minivjepa.tubelets.gather_tokens"),
    {
        MASKED: {"context": torch.tensor([[[0.5]]]), "context_ids": torch.tensor([[1]]), "target_ids": torch.tensor([[2, 0]]),
                 "weights": {"enter": ONE, "leave": ONE, "mask_tokens": torch.tensor([[-1.0], [0.0]]), "positions": torch.tensor([[0.0], [0.25], [1.0]])}, "group": 0, "rows": "hidden"},
        SEEN_ONES: predict_inputs(SEEN, 1, (2, 1), (2, 2), 1, 0, "hidden", numbers),
        GROUP: predict_inputs(SEEN, 1, (1, 1), (1, 2), 4, 2, "hidden", numbers),
        TOGETHER: predict_inputs(SEEN, 2, (2, 1), (1, 2), 1, 0, "hidden", numbers),
        LEAVE: predict_inputs(SEEN, 1, (1, 2), (2, 2), 1, 0, "hidden", numbers),
        GUESSES: predict_inputs(SEEN, 1, (2, 3), (1, 2), 1, 0, "hidden", numbers),
        BY_ID: predict_inputs(SEEN, 1, (2, 2), (2, 2), 1, 0, "all", numbers),
        CLIPS_IDS: predict_inputs(SEEN, 2, (2, 2), (1, 2), 2, 1, "all", numbers),
        NONE_KEPT: predict_inputs(SEEN, 1, (0, 2), (1, 2), 1, 0, "hidden", numbers),
        NONE_HIDDEN: predict_inputs(SEEN, 1, (3, 0), (1, 2), 1, 0, "all", numbers),
    },
    predict_hidden,
    (
        ("kept tubelets go in without their positions: the predictor does not know where they were", PREDICT.replace(" + places[context_ids]", "")),
        ("mask tokens go in without positions, so that every hidden tubelet gets the same guess", PREDICT.replace("asked = weights['mask_tokens'][group] + places[target_ids]", "asked = weights['mask_tokens'][group].expand(*target_ids.shape, -1)")),
        ("the mask token is missing: a hidden tubelet goes in as mask token plus position", PREDICT.replace("weights['mask_tokens'][group] + ", "")),
        ("the mask token is always that of group 0", PREDICT.replace("[group]", "[0]")),
        ("kept tubelets get the mask token too: they have something of their own to say", PREDICT.replace("+ places[context_ids]", "+ places[context_ids] + weights['mask_tokens'][group]")),
        ("hidden tubelets get the positions 0, 1, 2 ...: take those of their ids", PREDICT.replace("places[target_ids]", "places[:target_ids.shape[1]].expand(len(context), -1, -1)")),
        ("kept tubelets get the positions 0, 1, 2 ...: take those of their ids", PREDICT.replace("places[context_ids]", "places[:context_ids.shape[1]]")),
        ("rows and positions are listed in different orders: the one has the kept first, the other the hidden", PREDICT.replace("seen = context @ weights['enter'] + places[context_ids]", "seen = context @ weights['enter']").replace("asked = weights['mask_tokens'][group] + places[target_ids]", "asked = weights['mask_tokens'][group].expand(*target_ids.shape, -1)").replace("torch.cat([seen, asked], dim=1)", "torch.cat([seen, asked], dim=1) + places[torch.cat([target_ids, context_ids], dim=1)]")),
        ("all clips get the ids of the first", PREDICT.replace("    places =", "    context_ids, target_ids = context_ids[:1].expand_as(context_ids), target_ids[:1].expand_as(target_ids)\n    places =")),
        ("the rows that come back are not those of the hidden tubelets: count from the end that they stand at", PREDICT.replace("out[:, context.shape[1]:]", "out[:, :target_ids.shape[1]]")),
        ("the hidden rows go through body without the kept ones, so that a guess cannot depend on the context", PREDICT.replace("body(torch.cat([seen, asked], dim=1))", "torch.cat([body(part) if part.shape[1] else part for part in (seen, asked)], dim=1)")),
        ("the rows of all clips go through body as one clip, so that a guess depends on what else is in the batch", PREDICT.replace("body(torch.cat([seen, asked], dim=1))", "body(torch.cat([seen, asked], dim=1).flatten(0, 1)[None]).unflatten(1, (len(seen), -1))[0]")),
        ("with rows \"all\" the rows stand as they went in, kept before hidden: put them in the order of ids", PREDICT.replace("out[clip, ids.argsort(dim=1)]", "out")),
        ("with rows \"all\" the list of ids is used as it stands: it says which id a row has, and you need which row an id has", PREDICT.replace("ids.argsort(dim=1)", "ids")),
        ("rows is ignored: with \"all\" every row is asked for, in the order of ids", PREDICT.replace("if rows == 'hidden':", "if True:")),
        ("the guesses are sorted by id; with rows \"hidden\" they stand in the order of target_ids", PREDICT.replace("out[:, context.shape[1]:]", "out[clip, context.shape[1] + target_ids.argsort(dim=1)]")),
        ("what comes out of body is returned as it is: multiply by leave", PREDICT.replace(" @ weights['leave']", "")),
    ),
    (
        "def predict(context, context_ids, target_ids, weights, group, rows):\n    B, K, D = context.shape\n    full = torch.zeros(B, len(weights['positions']), weights['enter'].shape[1])\n    for b in range(B):\n        full[b, context_ids[b]] = context[b] @ weights['enter']\n        full[b, target_ids[b]] = weights['mask_tokens'][group]\n    out = body(full + weights['positions']) @ weights['leave']\n    return out if rows == 'all' else torch.stack([o[i] for o, i in zip(out, target_ids)])",
        "def predict(context, context_ids, target_ids, weights, group, rows):\n    ids = torch.cat([target_ids, context_ids], dim=1)\n    mask = weights['mask_tokens'][group].expand(*target_ids.shape, -1)\n    x = torch.cat([mask, torch.einsum('bkd,dp->bkp', context, weights['enter'])], dim=1)\n    out = body(x + weights['positions'][ids]) @ weights['leave']\n    if rows == 'hidden':\n        return out[:, :target_ids.shape[1]]\n    return torch.empty_like(out).scatter(1, ids[..., None].expand_as(out), out)",
        "def predict(context, context_ids, target_ids, weights, group, rows):\n    clips = []\n    for z, seen, asked in zip(context, context_ids.tolist(), target_ids.tolist()):\n        x = [z[i] @ weights['enter'] + weights['positions'][place] for i, place in enumerate(seen)]\n        x += [weights['mask_tokens'][group] + weights['positions'][place] for place in asked]\n        out = body(torch.stack(x)[None])[0] @ weights['leave']\n        row = {place: i for i, place in enumerate(seen + asked)}\n        wanted = asked if rows == 'hidden' else sorted(row)\n        clips.append(torch.stack([out[row[place]] for place in wanted]))\n    return torch.stack(clips)",
        "def predict(context, context_ids, target_ids, weights, group, rows):\n    B, K, D = context.shape\n    M = target_ids.shape[1]\n    x = torch.empty(B, K + M, weights['enter'].shape[1], dtype=torch.float64)\n    x[:, :K] = (context.double() @ weights['enter'].double())\n    x[:, K:] = weights['mask_tokens'][group]\n    ids = torch.hstack([context_ids, target_ids])\n    for b in range(B):\n        for row, place in enumerate(ids[b]):\n            x[b, row] += weights['positions'][place]\n    out = body(x) @ weights['leave'].double()\n    if rows != 'all':\n        return out[:, K:K + M]\n    result = torch.zeros_like(out)\n    for b in range(B):\n        result[b, ids[b]] = out[b]\n    return result",
        "def predict(context, context_ids, target_ids, weights, group, rows):\n    w = {name: value.numpy().astype(float) for name, value in weights.items()}\n    context, first, second = context.numpy(), context_ids.numpy(), target_ids.numpy()\n    seen = np.einsum('bkd,dp->bkp', context, w['enter']) + w['positions'][first]\n    asked = w['mask_tokens'][group] + w['positions'][second]\n    x = np.concatenate([seen, asked], axis=1)\n    out = np.tanh(x + x.mean(axis=1, keepdims=True)) @ w['leave']\n    if rows == 'hidden':\n        return torch.from_numpy(out[:, seen.shape[1]:])\n    order = np.argsort(np.concatenate([first, second], axis=1), axis=1)\n    return torch.from_numpy(np.take_along_axis(out, order[:, :, None], axis=1))",
        "def predict(context, context_ids, target_ids, weights, group, rows):\n    N = len(weights['positions'])\n    turn = lambda ids: torch.nn.functional.one_hot(ids, N).float().mT\n    entered = turn(context_ids) @ (context @ weights['enter'])\n    masked = turn(target_ids).sum(dim=2)[:, :, None] * weights['mask_tokens'][group]\n    out = body(entered + masked + weights['positions']) @ weights['leave']\n    return out.gather(1, target_ids[:, :, None].repeat(1, 1, out.shape[2])) if rows == 'hidden' else out",
    ),
)  # fmt: skip


# --- latent_loss ---

LOSS = """def latent_loss(guesses, features, ids, weights, eps):
    clip = torch.arange(len(features))[:, None]
    centred = features - features.mean(dim=-1, keepdim=True)
    h = centred / (features.var(dim=-1, correction=0, keepdim=True) + eps).sqrt()
    losses = [(z - h[clip, i]).abs().mean() for z, i in zip(guesses, ids)]
    return sum(w * loss for w, loss in zip(weights, losses)) / sum(weights)"""
NORMALISED = "centred / (features.var(dim=-1, correction=0, keepdim=True) + eps).sqrt()"
WEIGHTED = "sum(w * loss for w, loss in zip(weights, losses)) / sum(weights)"
PLUS_EPS = "a vector is divided by the root of its variance plus eps"
CENTRED = "the mean of each vector is subtracted"
OVER_D = "the variance divides by D, not by D - 1"
BY_ITSELF = "each vector is normalized by itself"
ALL_ALIKE = "a vector whose numbers are all alike becomes zeros"
AS_THEY_ARE = "the guesses are compared as they are"
AT_IDS = "a guess is compared with the vector at its id, in its own clip"
ABSOLUTE = "the loss of a group is the mean absolute difference, over features too"
GROUP_WEIGHTS = "each group counts as much as weights says, however many tubelets it has"
ANY_SUM = "the weights need not add up to 1"


def loss_inputs(
    rng: np.random.Generator,
    clips: int,
    tokens: int,
    sizes: tuple[int, ...],
    dim: int,
    eps: float,
    draw: Draw = reals,
    size: float = 1.0,
) -> dict:
    """Features of different size and mean, and guesses for groups of different size.  size: of all features."""
    own = torch.from_numpy(rng.choice([0.5, 1.0, 2.0], (clips, tokens, 1))).float()
    weights = (
        (rng.permutation(len(sizes)) + 1).astype(float) / 2
        if draw is numbers
        else rng.uniform(0.2, 3, len(sizes)).round(2)
    )
    return {
        "guesses": [draw(rng, clips, count, dim, scale=1 + number) for number, count in enumerate(sizes)],
        "features": (draw(rng, clips, tokens, dim) * own + 1.0) * size, "ids": [some_ids(rng, clips, tokens, count) for count in sizes],
        "weights": weights.tolist(), "eps": eps,
    }  # fmt: skip


def with_flat_vectors(given: dict) -> dict:
    """The same with every other token of constant features: exact numbers, so that nothing is left when their mean is subtracted."""
    features = given["features"].clone()
    features[:, ::2] = torch.tensor([3.0, -0.5])[torch.arange(features[:, ::2].shape[1]) % 2][:, None]
    return given | {"features": features}


def near_guess(rng: np.random.Generator) -> dict:
    """One vector and a guess near it, so near that the loss tells whether the vector was kept in float16."""
    while True:
        given = loss_inputs(rng, 1, 1, (1,), 2, 0.1)
        x = given["features"]
        h = (x - x.mean()) / (x.var(correction=0) + 0.1).sqrt()
        off = h.half().float() - h
        if off.abs().min() > 1.7e-4:
            return given | {"guesses": [h - 0.1 * off.sign()]}


def far_from_zero(rng: np.random.Generator) -> dict:
    """Features that float16 holds with two digits after the point, which the loss shows."""
    while True:
        given = loss_inputs(rng, 1, 3, (1, 2), 4, 0.2)
        given["features"] += 29
        losses = []
        for x in (given["features"], given["features"].half().float()):
            h = torch.nn.functional.layer_norm(x, (4,), eps=0.2)
            losses.append(
                sum(w * (z - h[0, i]).abs().mean() for w, z, i in zip(given["weights"], given["guesses"], given["ids"]))
            )
        if abs(losses[0] - losses[1]) > 2e-3 * sum(given["weights"]):
            return given


def loss_hidden(rng: np.random.Generator) -> list[tuple[str, dict]]:
    """One and several groups, clips, tubelets and features; large and small features and eps; constant vectors; a weight of 0."""
    idle = loss_inputs(rng, 2, 6, (3, 2, 4), 4, 0.3)
    group = between(rng, 0, 1)
    idle["weights"][group], idle["guesses"][group] = 0.0, idle["guesses"][group] * 1000
    three = (rng.permutation(3) + 0.5).tolist()
    whole = loss_inputs(rng, 2, 5, (4, 1), 3, 0.2) | {"weights": [int(w) for w in rng.permutation([1, 3])]}
    far = loss_inputs(rng, 2, 5, (2, 3), 4, 0.5)
    far["guesses"] = [guess * 60000 for guess in far["guesses"]]
    pairs = loss_inputs(rng, 2, 5, (3,), 2, 1e-6)
    # where two numbers are nearly alike, the result hangs on their last digits
    while pairs["features"].std(dim=-1).min() < 0.1:
        pairs = loss_inputs(rng, 2, 5, (3,), 2, 1e-6)
    peaks = loss_inputs(rng, 2, 4, (3, 2), 23, 0.1)
    peaks["features"][..., between(rng, 0, 22)] *= 40
    return [
        *((GROUP_WEIGHTS, loss_inputs(rng, 3, 9, (5, 2, 7), 6, 0.1) | {"weights": three}) for _ in range(2)),
        (ANY_SUM, loss_inputs(rng, 1, 7, (3, 6), 5, 1.0) | {"weights": [float(rng.choice([0.05, 0.1])), float(rng.choice([0.2, 0.3]))]}),
        (AT_IDS, loss_inputs(rng, 4, 8, (2, 4, 3, 1), between(rng, 2, 4), 0.75)),
        (OVER_D, pairs | {"weights": [float(rng.choice([0.4, 2.5]))]}),
        (PLUS_EPS, loss_inputs(rng, 2, 4, (2, 3), 4, 2.0, size=0.05)),
        (PLUS_EPS, loss_inputs(rng, 2, 4, (2, 3), 4, 1e-8, size=0.005)),
        (BY_ITSELF, peaks),
        (CENTRED, loss_inputs(rng, 2, between(rng, 5, 7), (5, 3), 7, 3.0, size=20)),
        (ALL_ALIKE, with_flat_vectors(loss_inputs(rng, 2, 6, (4, 3), 4, float(rng.choice([0.05, 0.5]))))),
        (BY_ITSELF, loss_inputs(rng, 1, 1, (1, 1), between(rng, 3, 5), 0.4)),
        (GROUP_WEIGHTS, idle),
        (ANY_SUM, whole),
        (ABSOLUTE, far),
        (AS_THEY_ARE, loss_inputs(rng, 2, 3, (2, 1), 5, 0.6)),
        (AS_THEY_ARE, near_guess(rng)),
        (CENTRED, far_from_zero(rng)),
    ]  # fmt: skip


LATENT_LOSS = Exercise(
    "latent_loss",
    ("minivjepa.objective.latent_distance", "minivjepa.objective.normalise_targets", "minivjepa.tubelets.gather_tokens"),
    {
        PLUS_EPS: {"guesses": [torch.tensor([[[0.0, 1.0]]])], "features": torch.tensor([[[5.0, 5.0], [1.0, 3.0]]]), "ids": [torch.tensor([[1]])], "weights": [1.0], "eps": 1.0},
        CENTRED: {"guesses": [torch.tensor([[[0.0, 0.0]]])], "features": torch.tensor([[[30.01, 31.03]]]), "ids": [torch.tensor([[0]])], "weights": [2.0], "eps": 0.25},
        OVER_D: loss_inputs(SEEN, 1, 2, (1,), 2, 0.25, numbers),
        BY_ITSELF: loss_inputs(SEEN, 1, 3, (2,), 3, 0.25, numbers),
        ALL_ALIKE: {"guesses": [torch.tensor([[[0.0, 2.0], [1.0, 0.0]]])], "features": torch.tensor([[[4.0, 4.0], [1.0, 2.0]]]), "ids": [torch.tensor([[1, 0]])], "weights": [1.0], "eps": 0.25},
        AS_THEY_ARE: loss_inputs(SEEN, 1, 2, (2,), 3, 0.5, numbers),
        AT_IDS: loss_inputs(SEEN, 2, 4, (2, 1), 3, 0.25, numbers),
        ABSOLUTE: loss_inputs(SEEN, 1, 3, (2,), 2, 0.5, numbers) | {"guesses": [torch.tensor([[[5.0, -4.0], [0.5, 3.0]]])]},
        GROUP_WEIGHTS: loss_inputs(SEEN, 1, 4, (3, 1, 1), 2, 0.25, numbers),
        ANY_SUM: loss_inputs(SEEN, 1, 3, (1, 2), 2, 0.25, numbers) | {"weights": [4, 1]},
    },
    loss_hidden,
    (
        ("the features are not normalized: the encoder could make the loss small by making them small", LOSS.replace(NORMALISED, "features")),
        ("eps is added to the standard deviation; it belongs under the root, to the variance", LOSS.replace(NORMALISED, "centred / (features.std(dim=-1, correction=0, keepdim=True) + eps)")),
        ("eps is left out, and a vector whose numbers are all alike would be divided by zero", LOSS.replace(NORMALISED, "centred / (features.var(dim=-1, correction=0, keepdim=True) + 1e-12).sqrt()")),
        ("eps is taken for the smallest variance that may be; it is added to each", LOSS.replace(NORMALISED, "centred / features.var(dim=-1, correction=0, keepdim=True).clamp(min=eps).sqrt()")),
        ("the variance divides by D - 1, as var does when it is not told otherwise", LOSS.replace("correction=0, ", "")),
        ("each vector is divided by its standard deviation, and its mean is not subtracted", LOSS.replace("h = centred", "h = features")),
        ("each vector is divided by its variance and not by its standard deviation", LOSS.replace(" + eps).sqrt()", " + eps)")),
        ("features are normalized along the tubelets; each vector is to be normalized by itself", LOSS.replace("dim=-1", "dim=1")),
        ("all vectors of a clip share one mean and one standard deviation; each has its own", LOSS.replace("dim=-1", "dim=(1, 2)")),
        ("the guesses are normalized too: only the target's side is", LOSS.replace("(z - h[clip, i])", "((z - z.mean(dim=-1, keepdim=True)) / (z.var(dim=-1, correction=0, keepdim=True) + eps).sqrt() - h[clip, i])")),
        ("guesses are compared with the first tubelets, and not with those of their ids", LOSS.replace("h[clip, i]", "h[:, :i.shape[1]]")),
        ("all clips are compared at the ids of the first: each clip hides others", LOSS.replace("h[clip, i]", "h[:, i[0]]")),
        ("this is one mean over the tubelets of all groups, in which a large group counts more: one mean for each group, then the mean of these", "def latent_loss(guesses, features, ids, weights, eps):\n    clip = torch.arange(len(features))[:, None]\n    centred = features - features.mean(dim=-1, keepdim=True)\n    h = centred / (features.var(dim=-1, correction=0, keepdim=True) + eps).sqrt()\n    return (torch.cat(guesses, dim=1) - h[clip, torch.cat(ids, dim=1)]).abs().mean()"),
        ("a group counts by its weight and also by its number of tubelets: only its weight counts", LOSS.replace(WEIGHTED, "sum(w * loss * i.shape[1] for w, loss, i in zip(weights, losses, ids)) / sum(w * i.shape[1] for w, i in zip(weights, ids))")),
        ("all groups count alike: weights is ignored", LOSS.replace(WEIGHTED, "sum(losses) / len(losses)")),
        ("a weighted mean is divided by the sum of the weights", LOSS.replace(" / sum(weights)", "")),
        ("the weighted losses are divided by the number of groups; divide by the sum of the weights", LOSS.replace("/ sum(weights)", "/ len(weights)")),
        ("these are squared differences; return absolute ones", LOSS.replace(".abs()", ".square()")),
        ("the result is right, but features is another than before: an operation in place has changed the input; make a new tensor", LOSS.replace("centred = features -", "features -=").replace("h = centred /", "h = features /")),
        ("the features are kept in float16, which has too few digits", LOSS.replace("    centred =", "    features = features.half().float()\n    centred =")),
        ("the differences are summed over features: take the mean over them too", LOSS.replace(".abs().mean()", ".abs().sum(dim=-1).mean()")),
    ),
    (
        "def latent_loss(guesses, features, ids, weights, eps):\n    total = 0.0\n    for w, group, where in zip(weights, guesses, ids):\n        errors = []\n        for b in range(len(group)):\n            for m, token in enumerate(where[b].tolist()):\n                h = features[b, token].numpy()\n                h = (h - h.mean()) / (h.var() + eps) ** 0.5\n                errors.append(np.abs(group[b, m].numpy() - h).mean())\n        total += w * np.mean(errors)\n    return float(total / sum(weights))",
        "def latent_loss(guesses, features, ids, weights, eps):\n    variance, mean = torch.var_mean(features, dim=2, correction=0, keepdim=True)\n    h = (features - mean) * (variance + eps).rsqrt()\n    picked = [h.gather(1, i.unsqueeze(-1).expand(-1, -1, h.shape[2])) for i in ids]\n    losses = torch.stack([torch.nn.functional.l1_loss(z, t) for z, t in zip(guesses, picked)])\n    w = torch.tensor(weights)\n    return (w / w.sum()) @ losses",
        "def latent_loss(guesses, features, ids, weights, eps):\n    centred = features - einops.reduce(features, 'B N D -> B N 1', 'mean')\n    root = (einops.reduce(centred ** 2, 'B N D -> B N 1', 'mean') + eps) ** 0.5\n    rows = (centred / root).flatten(0, 1)\n    first = torch.arange(len(features))[:, None] * features.shape[1]\n    losses = [torch.norm(z - rows[i + first], p=1).item() / z.numel() for z, i in zip(guesses, ids)]\n    return torch.tensor(np.average(losses, weights=weights))",
        "def latent_loss(guesses, features, ids, weights, eps):\n    x = features.double()\n    above = weight = 0\n    for z, i, w in zip(guesses, ids, weights):\n        t = torch.stack([clip[own] for clip, own in zip(x, i)])\n        t = t - t.sum(dim=2, keepdim=True) / t.shape[2]\n        t = t / ((t * t).sum(dim=2, keepdim=True) / t.shape[2] + eps) ** 0.5\n        above, weight = above + w * torch.mean(torch.abs(t - z)), weight + w\n    return above / weight",
        "def latent_loss(guesses, features, ids, weights, eps):\n    h = features.numpy()\n    h = (h - h.mean(-1, keepdims=True)) / np.sqrt(np.var(h, axis=-1, keepdims=True) + eps)\n    each = [np.abs(z.numpy() - np.take_along_axis(h, i.numpy()[..., None], axis=1)).mean() for z, i in zip(guesses, ids)]\n    return np.dot(each, weights) / np.sum(weights)",
        "def latent_loss(guesses, features, ids, weights, eps):\n    h = torch.nn.functional.layer_norm(features, features.shape[-1:], eps=eps)\n    share = [w / sum(weights) for w in weights]\n    clips = [sum(s * (z[b] - h[b, i[b]]).abs().mean() for s, z, i in zip(share, guesses, ids)) for b in range(len(h))]\n    return torch.stack(clips).mean()",
    ),
    equivalent={
        "zip(weights, losses) -> zip(losses, weights)": "a product is the same in either order",
        "guess - normalised[clip, where] -> normalised[clip, where] - guess": "an absolute difference is the same in either order",
    },
)  # fmt: skip


# --- student_loss ---

STUDENT = """def student_loss(tokens, encoder, teacher, predictor, kept, hidden, own, stop):
    seen = encode(tokens, kept, encoder)
    guess = ask(seen, kept, hidden, predictor)
    matrix = encoder if own else teacher
    whole = encode(tokens, None, matrix)
    if stop:
        whole = whole.detach()
    return distance(guess, whole, hidden)"""
CUT = "    if stop:\n        whole = whole.detach()\n"
INLINE = "(guess - whole[:, hidden].mean(dim=1)).abs().mean()"  # what `distance` returns
encode, ask = (function_of(given_code("hw2"), "", name) for name in ("encode", "ask"))
BY_TEACHER = "the target is made with `teacher` where own is false"
BY_ENCODER = "the target is made with `encoder` where own is true"
KEPT_HIDDEN = "the guess is made of the kept tokens, and the distance is that at the hidden ones"
TOGETHER_ENCODED = (
    "what is encoded together sees each other: the student's tokens only the kept ones, the target's the whole clip"
)
ASKED = "the guess is what `ask` returns for these kept and hidden ids"
L1 = "the loss is what `distance` returns: the mean absolute difference, over clips and features"
STOPPED = "with stop no gradient flows back through the target, to no matrix and to no token"
STOPPED_OWN = "with stop and own the encoder has its gradient from the guess alone"
FLOWS = "without stop gradient flows through guess and target"


def student_inputs(
    rng: np.random.Generator,
    clips: int,
    kept: int,
    hidden: int,
    inputs: int,
    dim: int,
    own: bool,
    stop: bool,
    draw: Draw = reals,
    more: int = 1,
    scale: float = 1.0,
) -> dict:
    """Tokens, three matrices and who keeps what.  more: tokens that are neither kept nor guessed."""
    while True:
        ids = torch.from_numpy(rng.permutation(kept + hidden + more))
        given = {
            "tokens": draw(rng, clips, kept + hidden + more, inputs), "encoder": draw(rng, inputs, dim, scale=0.5),
            "teacher": draw(rng, inputs, dim, scale=0.5), "predictor": draw(rng, dim, dim, scale=scale),
            "kept": ids[:kept], "hidden": ids[kept:kept + hidden], "own": own, "stop": stop,
        }  # fmt: skip
        seen = encode(given["tokens"], given["kept"], given["encoder"])
        guess = ask(seen, given["kept"], given["hidden"], given["predictor"])
        target = encode(given["tokens"], None, given["encoder"] if own else given["teacher"])[:, given["hidden"]].mean(
            dim=1
        )
        far = given["hidden"].float().mean() - given["kept"].float().mean()
        # the sign of a difference does not hang on the last digit, and `ask` gives another guess for ids that are exchanged
        if (guess - target).abs().min() > 1e-3 and far != 0:
            return given


def student_hidden(rng: np.random.Generator) -> list[tuple[str, dict]]:
    """All four kinds of target, at several sizes; one clip, token, feature; every token used or many unused; large features."""
    square = between(rng, 3, 5)
    return [
        (STOPPED_OWN, student_inputs(rng, 3, 4, 2, 3, 5, True, True, scale=3.0)),
        (BY_ENCODER, student_inputs(rng, 2, 3, 4, 5, 3, True, False)),
        *((STOPPED, student_inputs(rng, 4, 2, 3, 2, 4, False, True)) for _ in range(2)),
        (FLOWS, student_inputs(rng, 1, 3, 5, 4, 2, False, False, scale=5.0)),
        (ASKED, student_inputs(rng, 2, 2, 2, square, square, False, True, more=0, scale=4.0)),
        (TOGETHER_ENCODED, student_inputs(rng, 3, 1, between(rng, 2, 6), 1, 2, False, False)),
        (L1, student_inputs(rng, 2, 2, 3, 3, 4, True, False, scale=60.0)),
        (KEPT_HIDDEN, student_inputs(rng, 2, between(rng, 2, 6), 1, 2, 1, True, True, more=7)),
        (BY_TEACHER, student_inputs(rng, 1, 1, 1, 3, 3, False, bool(rng.random() < 0.5))),
    ]  # fmt: skip


STUDENT_LOSS = Exercise(
    "student_loss",
    ("minivjepa.vjepa.VJEPA", "minivjepa.objective.latent_distance"),
    {
        BY_TEACHER: {"tokens": torch.tensor([[[1.0], [0.5]]]), "encoder": torch.tensor([[1.0]]), "teacher": torch.tensor([[-1.0]]), "predictor": torch.tensor([[1.0]]),
                     "kept": torch.tensor([0]), "hidden": torch.tensor([1]), "own": False, "stop": True},
        BY_ENCODER: student_inputs(SEEN, 1, 1, 1, 2, 2, True, False, numbers, more=0),
        KEPT_HIDDEN: student_inputs(SEEN, 1, 2, 1, 2, 2, False, True, numbers),
        TOGETHER_ENCODED: student_inputs(SEEN, 1, 2, 2, 1, 2, False, True, numbers, more=0),
        ASKED: student_inputs(SEEN, 1, 1, 1, 2, 2, False, True, numbers, more=0),
        L1: student_inputs(SEEN, 4, 1, 1, 2, 2, False, True, numbers, more=0),
        STOPPED: student_inputs(SEEN, 1, 1, 2, 2, 2, False, True, numbers, more=0),
        STOPPED_OWN: student_inputs(SEEN, 2, 1, 2, 2, 1, True, True, numbers),
        FLOWS: student_inputs(SEEN, 1, 1, 2, 2, 2, False, False, numbers),
    },
    student_hidden,
    (
        ("gradient flows through the target although stop is true: it would move the target to meet the guess", STUDENT.replace("if stop:", "if False:")),
        ("the target is always cut off; where stop is false gradient flows through it", STUDENT.replace("if stop:", "if True:")),
        ("stop is turned around", STUDENT.replace("if stop:", "if not stop:")),
        ("the guess is cut off in place of the target, so that the student cannot learn", STUDENT.replace("whole = whole.detach()", "guess = guess.detach()")),
        ("only the matrix of the target is cut off, and gradient still goes back through the tokens: cut off the target itself", STUDENT.replace(CUT, "").replace("None, matrix)", "None, matrix.detach() if stop else matrix)")),
        ("only the tokens of the target are cut off, and gradient still reaches the matrix that makes it: cut off the target itself", STUDENT.replace(CUT, "").replace("encode(tokens, None", "encode(tokens.detach() if stop else tokens, None")),
        ("with stop the loss has no gradient at all: only the target is to be cut off, not the guess", STUDENT.replace("    return distance", "        guess = guess.detach()\n    return distance")),
        ("what goes into the predictor is cut off, so that the predictor learns and the encoder does not", STUDENT.replace("ask(seen,", "ask(seen.detach(),")),
        ("gradient reaches the tokens only through the target: those of the guess are cut off", STUDENT.replace("encode(tokens, kept", "encode(tokens.detach(), kept")),
        ("the target is cut off only where the teacher makes it; stop means the encoder's target too", STUDENT.replace("if stop:", "if stop and not own:")),
        ("the target is cut off only where the encoder makes it; stop means the teacher's target too", STUDENT.replace("if stop:", "if stop and own:")),
        ("the target always comes from the teacher: where own is true it comes from the encoder", STUDENT.replace("encoder if own else teacher", "teacher")),
        ("own is turned around: where it is true the encoder makes the target", STUDENT.replace("encoder if own else teacher", "teacher if own else encoder")),
        ("the student sees all tokens, the hidden ones too: encode the kept ones for the guess", STUDENT.replace("encode(tokens, kept, encoder)", "encode(tokens, None, encoder)")),
        ("the kept features are picked after the whole clip was encoded, so that they have seen what is hidden: encode the kept tokens by themselves", STUDENT.replace("encode(tokens, kept, encoder)", "encode(tokens, None, encoder)[:, kept]")),
        ("hidden tokens are set to 0 and encoded with the kept ones, which see the zeros: encode the kept tokens by themselves", STUDENT.replace("encode(tokens, kept, encoder)", "encode(tokens.index_fill(1, hidden, 0.0), None, encoder)[:, kept]")),
        ("the target's features come from the hidden tokens by themselves: encode the whole clip", STUDENT.replace("encode(tokens, None, matrix)", "torch.zeros_like(tokens @ matrix).index_copy(1, hidden, encode(tokens, hidden, matrix))")),
        ("where own is true the whole clip is encoded once for guess and target, so that the student sees what is hidden", STUDENT.replace("encode(tokens, kept, encoder)", "encode(tokens, None, encoder)[:, kept] if own else encode(tokens, kept, encoder)")),
        ("the predictor is told the hidden ids for the kept ones, and the kept for the hidden", STUDENT.replace("ask(seen, kept, hidden", "ask(seen, hidden, kept")),
        ("the predictor is told the kept ids twice, and not what it has to guess", STUDENT.replace("ask(seen, kept, hidden", "ask(seen, kept, kept")),
        ("the guess is compared with the target at the kept ids, so that there is nothing to guess", STUDENT.replace("whole, hidden)", "whole, kept)")),
        ("the guess is compared with the target at all ids; only the hidden ones are to be guessed", STUDENT.replace("whole, hidden)", "whole, torch.arange(tokens.shape[1]))")),
        ("the target goes through the predictor too: only the guess does", STUDENT.replace("None, matrix)", "None, matrix) @ predictor")),
        ("differences are averaged over clips before their absolute values are taken, so that they cancel", STUDENT.replace("distance(guess, whole, hidden)", INLINE.replace(".abs()", ".mean(dim=0).abs()"))),
        ("the loss is a mean of squares; return the mean of absolute differences", STUDENT.replace("distance(guess, whole, hidden)", INLINE.replace(".abs()", ".square()"))),
    ),
    (
        "def student_loss(tokens, encoder, teacher, predictor, kept, hidden, own, stop, encode=encode, ask=ask, distance=distance):\n    network = encoder if own else teacher\n    if stop:\n        with torch.no_grad():\n            whole = encode(tokens, None, network)\n    else:\n        whole = encode(tokens, None, network)\n    seen = encode(tokens, kept, encoder)\n    return distance(ask(seen, kept, hidden, predictor), whole, hidden)",
        "def student_loss(tokens, encoder, teacher, predictor, kept, hidden, own, stop):\n    def features(x, matrix):\n        x = torch.einsum('bnf,fd->bnd', x, matrix)\n        return torch.tanh(x + x.mean(1)[:, None])\n    far = hidden.double().mean() - kept.double().mean()\n    guess = (features(tokens[:, kept], encoder).mean(1) + far.float() / 10) @ predictor\n    with torch.set_grad_enabled(not stop):\n        target = features(tokens, encoder if own else teacher)[:, hidden].mean(1)\n    return torch.nn.functional.l1_loss(guess, target)",
        "def student_loss(tokens, encoder, teacher, predictor, kept, hidden, own, stop, encode=encode, ask=ask, distance=distance):\n    if own:\n        teacher = encoder\n    target = encode(tokens, torch.arange(tokens.shape[1]), teacher)\n    target = target.data if stop else target\n    return distance(ask(encode(tokens, kept, encoder), kept, hidden, predictor), target, hidden)",
        "def student_loss(tokens, encoder, teacher, predictor, kept, hidden, own, stop, encode=encode, ask=ask, distance=distance):\n    seen_by_target = tokens.detach() if stop else tokens\n    whole = encode(seen_by_target, None, (teacher, encoder)[own])\n    student = encode(tokens, kept, encoder)\n    return distance(ask(seen=student, kept=kept, hidden=hidden, predictor=predictor), whole.detach() if stop else whole, hidden)",
        "def student_loss(tokens, encoder, teacher, predictor, kept, hidden, own, stop):\n    x = tokens.double()\n    seen = x[:, kept] @ encoder.double()\n    seen = (seen + einops.reduce(seen, 'B K D -> B 1 D', 'mean')).tanh()\n    far = sum(hidden.tolist()) / len(hidden) - sum(kept.tolist()) / len(kept)\n    guess = (einops.reduce(seen, 'B K D -> B D', 'mean') + far / 10) @ predictor.double()\n    matrix = (encoder if own else teacher).double()\n    if stop:\n        matrix, x = matrix.detach(), x.detach()\n    whole = x @ matrix + (x @ matrix).mean(dim=1, keepdim=True)\n    target = einops.reduce(whole.tanh().index_select(1, hidden), 'B M D -> B D', 'mean')\n    return (guess - target).abs().mean().float()",
        "def student_loss(tokens, encoder, teacher, predictor, kept, hidden, own, stop, encode=encode, ask=ask, distance=distance):\n    whole = encode(tokens, None, encoder if own else teacher)\n    guess = ask(encode(tokens, kept.clone(), encoder), kept, hidden, predictor)\n    target = whole.index_select(1, hidden).mean(dim=1)\n    return torch.linalg.vector_norm(guess - (target.detach().clone() if stop else target), ord=1) / guess.numel()",
        "def student_loss(tokens, encoder, teacher, predictor, kept, hidden, own, stop, encode=encode, ask=ask, distance=distance):\n    previous = torch.is_grad_enabled()\n    if stop:\n        torch.set_grad_enabled(False)\n    whole = encode(tokens, None, encoder if own else teacher)\n    torch.set_grad_enabled(previous)\n    off = ask(encode(tokens, kept, encoder), kept, hidden, predictor) - torch.stack([clip[hidden].mean(dim=0) for clip in whole])\n    return torch.where(off > 0, off, -off).mean()",
    ),
    adapter="gradients",
)  # fmt: skip


# --- follow ---

FOLLOW = """def follow(target, students, momenta, buffers):
    states = []
    for s, (student, momentum) in enumerate(zip(students, momenta)):
        new = {}
        for name, old in target.items():
            if name in buffers:
                new[name] = student[name].clone()
            else:
                new[name] = momentum * old + (1 - momentum) * student[name]
        states.append(new)
        target = new
    return states"""
AVERAGED = "a step gives momentum times target + (1 - momentum) times student"
GOES_ON = "each step goes on from what the step before has given"
OWN_STEP = "each step has its own momentum and its own student; a momentum may be 0 or 1"
TAKEN_OVER = "a buffer is the student's of this step, in the student's type"
ONLY_NAMED = (
    "buffers are the names in the list and no others, whatever a name looks like and whatever type a tensor has"
)
BY_NAME = "the student's dict may list its names in another order"
NO_STEP = "without a step the list is empty"


def follow_inputs(
    rng: np.random.Generator,
    steps: int,
    shapes: dict[str, tuple[int, ...]],
    momenta: list[float],
    counters: tuple[str, ...] = (),
    copied: tuple[str, ...] = (),
    draw: Draw = reals,
) -> dict:
    """A target and its student after some steps.

    shapes: of the tensors of real numbers.  counters: names of whole numbers.  copied: names in `shapes` that are buffers too.
    """
    names = [*shapes, *counters]

    def network(step: int) -> dict[str, Tensor]:
        drawn = {name: draw(rng, *shape) for name, shape in shapes.items()}
        drawn |= {name: torch.tensor(10 + 4 * step + number) for number, name in enumerate(counters)}
        return {names[i]: drawn[names[i]] for i in rng.permutation(len(names))}

    buffers = [*counters, *copied]
    return {
        "target": network(0), "students": [network(step) for step in range(1, steps + 1)], "momenta": momenta,
        "buffers": [buffers[i] for i in rng.permutation(len(buffers))],
    }  # fmt: skip


def follow_hidden(rng: np.random.Generator) -> list[tuple[str, dict]]:
    """No, one and many steps; no buffer, some, all; names that contain each other, with dots and without; numbers, vectors, more axes."""
    side = between(rng, 2, 4)
    some = [float(m) for m in rng.choice([0.9, 0.65, 0.3, 0.81, 0.995, 0.52], 4, replace=False)]
    flags = follow_inputs(rng, 2, {"gate": (3,)}, some[:2])
    for number, network in enumerate((flags["target"], *flags["students"])):
        network["mask"] = torch.tensor([number % 2 == 0, True, number == 1])
        network["table"] = torch.arange(3) * (number + 1)
    return [
        (TAKEN_OVER, follow_inputs(rng, 4, {"weight": (3, 2), "bias": (2,), "norm.mean": (2,)}, some, ("norm.count",), ("norm.mean",))),
        (ONLY_NAMED, follow_inputs(rng, 2, {"blocks.0.weight": (side, 2), "blocks.0.norm.weight": (side,), "norm": (1,), "scale": ()}, some[:2])),
        (ONLY_NAMED, follow_inputs(rng, 3, {"mean": (2,), "running.mean": (2,), "run": (2,), "other.mean": (1,), "Running.Mean": (2,), "_running": (1,), "num_batches": (1,)}, some[1:], ("count",), ("running.mean",))),
        (ONLY_NAMED, follow_inputs(rng, 2, {"mean": (2,), "running.mean": (2,), "mean.scale": (3,), "a.mean.b": (1,)}, some[:2], (), ("mean",))),
        (ONLY_NAMED, follow_inputs(rng, 2, {"norm.mean": (side,), "norm.count": (2,), "bias": (2, 1, 3), "batches": (2,)}, some[2:], ("steps.seen",), ("bias",))),
        (ONLY_NAMED, follow_inputs(rng, 2, {"level": (), "scale": (), "mean": (2,)}, some[1:3], ("count",), ("level", "mean"))),
        (ONLY_NAMED, follow_inputs(rng, 2, dict.fromkeys(("running_mean", "running_var", "num_batches_tracked", "position_ids", "mask", "counter", "table.flags", "buffers", "step", "fixed"), (2,)), some[1:3])),
        (ONLY_NAMED, follow_inputs(rng, 2, dict.fromkeys(("running.mean", "running_mean", "runningmean", "running.means", "old.running.mean"), (2,)), some[:2], (), ("running.mean",))),
        *((BY_NAME, follow_inputs(rng, 2, {name: (2,) for name in "abcdefg"}, some[:2], (), ("b", "c", "f", "g"))) for _ in range(2)),
        (OWN_STEP, follow_inputs(rng, 4, {"weight": (2, 2), "mean": (2,)}, [some[0], 1.0, 0.0, some[1]], (), ("mean",))),
        (TAKEN_OVER, flags | {"buffers": ["table", "mask"]}),
        (AVERAGED, follow_inputs(rng, 1, {"weight": (2, 2), "position": (3,), "kernel": (2, 1, 2, 2)}, some[:1], ("count",), ("position",))),
        (GOES_ON, follow_inputs(rng, between(rng, 10, 13), {"w": (1,), "large": (2,)}, [0.9] * 20, ("n",))),
        (NO_STEP, follow_inputs(rng, 0, {"weight": (2,)}, [], ("count",))),
    ]  # fmt: skip


def equal_counts(given: dict) -> dict:
    """The same with as many momenta as students, and large numbers under the name "large".

    All of one sign: where large numbers cancel, float32 and float64 differ by more than the tolerance, and both are right.
    """
    for network in (given["target"], *given["students"]):
        if "large" in network:
            network["large"] = 1000 * (1 + network["large"].abs())
    return given | {"momenta": given["momenta"][: len(given["students"])]}


FOLLOW_EXERCISE = Exercise(
    "follow",
    (),  # the package's ema_update works on modules
    {
        AVERAGED: {"target": {"weight": torch.tensor([0.0, 8.0])}, "students": [{"weight": torch.tensor([4.0, 4.0])}], "momenta": [0.75], "buffers": []},
        GOES_ON: {"target": {"weight": torch.tensor([0.0, 8.0])}, "students": [{"weight": torch.tensor([4.0, 4.0])}, {"weight": torch.tensor([8.0, 0.0])}], "momenta": [0.75, 0.5], "buffers": []},
        OWN_STEP: follow_inputs(SEEN, 4, {"weight": (1,), "mean": (1,)}, [0.5, 0.0, 1.0, 0.75], (), ("mean",), numbers),
        TAKEN_OVER: follow_inputs(SEEN, 2, {"weight": (2,), "norm.mean": (1,)}, [0.5, 0.75], ("norm.count",), ("norm.mean",), numbers),
        ONLY_NAMED: follow_inputs(SEEN, 1, {"norm.weight": (1,), "mean": (1,), "other.mean": (1,), "run": (1,), "running.mean": (1,), "a.running.mean": (2,), "running.mean.old": (2,), "running_mean": (3,), "running.scale": (), "mask.count": (1,)}, [0.25], (), ("running.mean",), numbers),
        BY_NAME: {"target": {"a": torch.tensor([1.0]), "b": torch.tensor([2.0])}, "students": [{"b": torch.tensor([4.0]), "a": torch.tensor([-1.0])}], "momenta": [0.5], "buffers": ["b"]},
        NO_STEP: {"target": {"weight": torch.tensor([1.0])}, "students": [], "momenta": [], "buffers": []},
    },
    lambda rng: [(rule, equal_counts(given)) for rule, given in follow_hidden(rng)],
    (
        ("the momentum is the share of the target that stays, and here it is the share of the student that comes in", FOLLOW.replace("momentum * old + (1 - momentum) * student[name]", "(1 - momentum) * old + momentum * student[name]")),
        ("all entries are the same tensors, changed in place, so that the earlier ones show the last step too: make new tensors", "def follow(target, students, momenta, buffers):\n    states = []\n    for student, momentum in zip(students, momenta):\n        for name in target:\n            if name in buffers:\n                target[name].copy_(student[name])\n            else:\n                target[name].mul_(momentum).add_(student[name], alpha=1 - momentum)\n        states.append(dict(target))\n    return states"),
        ("every step begins with the target of the start: go on from the step before", FOLLOW.replace("        target = new\n", "")),
        ("buffers are averaged too: half of a counter means nothing; take over the student's", FOLLOW.replace("if name in buffers:", "if False:")),
        ("buffers stay as they were in the target: take over the student's", FOLLOW.replace("student[name].clone()", "old.clone()")),
        ("buffers are left out of the result", FOLLOW.replace("new[name] = student[name].clone()", "continue").replace("target = new\n", "target = {**target, **new}\n")),
        ("every name with a dot is taken for a buffer; buffers are those of the list, whatever they are called", FOLLOW.replace("name in buffers", "'.' in name")),
        ("a name that is a part of a buffer's name is taken for one: compare whole names", FOLLOW.replace("name in buffers", "any(name in buffer for buffer in buffers)")),
        ("a name that ends as a buffer's does, after the last dot, is taken for one: compare whole names", FOLLOW.replace("name in buffers", "name.split('.')[-1] in [buffer.split('.')[-1] for buffer in buffers]")),
        ("whole numbers are taken for buffers and real numbers are averaged; a running mean can be in the list too", FOLLOW.replace("name in buffers", "not old.is_floating_point()")),
        ("tensors are matched by their place in the dict; the student may list its names in another order", FOLLOW.replace("        new = {}\n", "        new, student = {}, dict(zip(target, student.values()))\n")),
        ("all steps use the momentum of the first", FOLLOW.replace("        new = {}\n", "        new, momentum = {}, momenta[0]\n")),
        ("all steps follow the last student: each has its own", FOLLOW.replace("        new = {}\n", "        new, student = {}, students[-1]\n")),
        ("each step follows the student of the step before: the update comes after the step of the optimizer", FOLLOW.replace("        new = {}\n", "        new, student = {}, students[max(s - 1, 0)]\n")),
        ("the list begins with the target of the start; its first entry is the target after the first step", FOLLOW.replace("states = []", "states = [target]")),
        ("only the last target is returned: one for each step is asked", FOLLOW.replace("return states", "return states[-1] if states else []")),
        ("the first step takes over the student whole: it is a step like any other", FOLLOW.replace("        new = {}\n", "        new, momentum = {}, momentum if s else 0.0\n")),
        ("the student comes in whole and is not multiplied by 1 - momentum, so that weights grow", FOLLOW.replace("(1 - momentum) * student[name]", "student[name]")),
        ("a name that has a buffer's name in it is taken for one: compare whole names", FOLLOW.replace("name in buffers", "any(buffer in name for buffer in buffers)")),
        ("a name that looks like a counter, a mask or a running mean is taken for a buffer; buffers are those of the list, whatever they are called", FOLLOW.replace("name in buffers", "name in buffers or any(word in name for word in ('count', 'mask', 'running', 'num_batches'))")),
        ("names of buffers are used as patterns, in which a dot can be any letter: compare whole names", FOLLOW.replace("    states = []\n", "    import re\n    states = []\n").replace("name in buffers", "any(re.fullmatch(buffer, name) for buffer in buffers)")),
        ("the momenta are used from the last to the first", FOLLOW.replace("        new = {}\n", "        new, momentum = {}, momenta[-1 - s]\n")),
    ),
    (
        "def follow(target, students, momenta, buffers):\n    if not students:\n        return []\n    first, m = students[0], momenta[0]\n    new = {name: first[name].clone() if name in buffers else torch.lerp(first[name], old, m) for name, old in target.items()}\n    return [new] + follow(new, students[1:], momenta[1:], buffers)",
        "def follow(target, students, momenta, buffers):\n    now = {name: old.numpy().copy() for name, old in target.items()}\n    states = []\n    for m, student in zip(momenta, students):\n        for name in now:\n            theirs = student[name].numpy()\n            now[name] = theirs if name in buffers else now[name] + (1 - m) * (theirs - now[name])\n        states.append({name: torch.tensor(value) for name, value in now.items()})\n    return states",
        "def follow(target, students, momenta, buffers):\n    states = [{} for _ in students]\n    for name, start in target.items():\n        for s, student in enumerate(students):\n            if name in buffers:\n                states[s][name] = student[name]\n                continue\n            left = math.prod(momenta[:s + 1])\n            value = left * start\n            for j in range(s + 1):\n                value = value + (1 - momenta[j]) * math.prod(momenta[j + 1:s + 1]) * students[j][name]\n            states[s][name] = value\n    return states",
        "def follow(target, students, momenta, buffers):\n    def step(old, student, m):\n        averaged = {name: old[name].double() * m + student[name].double() * (1 - m) for name in old if name not in buffers}\n        return averaged | {name: student[name] for name in buffers if name in student}\n    states = [target]\n    for student, m in zip(students, momenta):\n        states.append(step(states[-1], student, m))\n    return states[1:]",
        "def follow(target, students, momenta, buffers):\n    import copy\n    states, now = [], copy.deepcopy(target)\n    for s in range(len(students)):\n        for name, theirs in students[s].items():\n            if name in set(buffers):\n                now[name].copy_(theirs)\n            else:\n                now[name].mul_(momenta[s]).add_(theirs, alpha=1 - momenta[s])\n        states.append(copy.deepcopy(now))\n    return states",
        "def follow(target, students, momenta, buffers):\n    import itertools\n    def step(old, now):\n        student, m = now\n        return {n: student[n] if n in buffers else student[n] + m * (old[n] - student[n]) for n in student}\n    return tuple(itertools.accumulate(zip(students, momenta), step, initial=target))[1:]",
    ),
    equivalent={"student[name].clone() -> student[name]": "nothing changes the student's tensors later, so the result is the same"},
)  # fmt: skip


# --- plan ---

PLAN = """def plan(steps, start, end, stretch, shape, left):
    momenta, updates = [], []
    for s in range(steps):
        p = min(1.0, s / (steps * stretch))
        if shape == 'cosine':
            p = (1 - math.cos(math.pi * p)) / 2
        m = start + (end - start) * p
        momenta.append(m)
        updates.append(-1 if m >= 1 else 1 if m <= left else math.ceil(math.log(left) / math.log(m)))
    return momenta, updates"""
UPDATES = "math.ceil(math.log(left) / math.log(m))"
LINE = 'step s has the momentum start + (end - start) p with "line", from step 0 on'
COSINE = 'with "cosine" the way is half a turn of the cosine'
STRETCHED = "the way is steps times stretch long, so that with a stretch above 1 the run ends before it"
AT_END = "from steps times stretch on the momentum stays at end, also where end is below 1"
FALLING = "the momentum may fall: start above end"
AT_MOST = "n updates are enough if exactly `left` is left"
ALMOST = "n updates are not enough if a little more than `left` is left"
SMALLEST = "n is the smallest that is enough, and at least 1, also for momentum 0"
NEVER = "-1 stands for momentum 1 only; a momentum near 1 has a large n"


def plan_inputs(rng: np.random.Generator, shape: str, start: float, end: float, stretch: float) -> dict:
    """A schedule whose numbers of updates do not hang on the last digit, and in which rounding down, up and to the nearest differ."""
    while True:
        steps, left = between(rng, 5, 11), round(float(rng.uniform(0.05, 0.7)), 2)
        share = np.minimum(1, np.arange(steps) / (steps * stretch))
        momentum = start + (end - start) * ((1 - np.cos(np.pi * share)) / 2 if shape == "cosine" else share)
        exact = math.log(left) / np.log(momentum[momentum < 1])
        if np.abs(exact - exact.round()).min() > 0.02 and ((exact > 1) & (exact % 1 < 0.5)).any():
            return {"steps": steps, "start": start, "end": end, "stretch": stretch, "shape": shape, "left": left}


def slow_line(rng: np.random.Generator) -> dict:
    """A line so near 1 that a momentum with few digits needs another number of updates; no number hangs on the last digit."""
    while True:
        left = round(float(rng.uniform(0.2, 0.5)), 4)
        exact = math.log(left) / np.log(0.99999 + 1e-5 * np.arange(3) / 3)
        if np.abs(exact - exact.round()).min() > 0.1:
            return {"steps": 3, "start": 0.99999, "end": 1.0, "stretch": 1.0, "shape": "line", "left": left}


def plan_hidden(rng: np.random.Generator) -> list[tuple[str, dict]]:
    """Lines and cosines that rise and fall, to 1 and to less, that end before, at and after the run; ties; momenta 0, 1 and nearly 1."""
    low, high = round(float(rng.uniform(0.3, 0.7)), 2), round(float(rng.uniform(0.85, 0.97)), 3)
    little = round(float(rng.uniform(0.0101, 0.0149)), 4)
    updates = between(rng, 970_000, 999_000)  # so many leave no more than that
    near = math.exp(math.log(little) / (updates - 0.5))
    shapes = [str(shape) for shape in rng.permutation(["line", "cosine"])]
    even = {"steps": int(rng.choice([4, 8])), "stretch": 0.5, "shape": "line"}  # momenta of this line are exact
    return [
        (LINE, plan_inputs(rng, "line", low, high, 1.0)),
        (COSINE, plan_inputs(rng, "cosine", low, high, 1.0)),
        (STRETCHED, plan_inputs(rng, shapes[0], 0.4, 0.98, float(rng.choice([1.2, 1.5, 2.3])))),
        (STRETCHED, plan_inputs(rng, shapes[1], low, 0.99, float(rng.choice([0.71, 1.33])))),
        (AT_END, plan_inputs(rng, "line", low, high, float(rng.choice([0.3, 0.47, 0.62])))),
        (AT_END, plan_inputs(rng, "cosine", 0.6, 1.0, float(rng.choice([0.25, 0.5, 0.75])))),
        (FALLING, plan_inputs(rng, "line", 1.0, low, 0.55)),
        (FALLING, plan_inputs(rng, "cosine", high, low, float(rng.choice([0.55, 1.4])))),
        (AT_MOST, {**even, "start": 0.25, "end": 0.75, "left": float(rng.choice([0.0625, 0.25]))}),
        (AT_MOST, {**even, "start": 0.5, "end": 0.5, "left": float(rng.choice([0.25, 0.0625]))}),
        *((ALMOST, {**even, "start": 0.5, "end": 0.5, "left": left}) for left in (0.49999, 0.4999999, float(rng.choice([0.24999, 0.06249])))),
        (NEVER, slow_line(rng)),
        (SMALLEST, {**even, "start": 0.0, "end": 0.5, "left": 1e-290}),  # 0 is less than that, and a small number in its place is not
        (SMALLEST, {**even, "start": 0.0, "end": float(rng.choice([0.5, 1.0])), "left": float(rng.choice([0.6, 0.3, 0.9]))}),
        (NEVER, {"steps": 3, "start": 0.9, "end": near, "stretch": 0.5, "shape": shapes[0], "left": little}),
        (NEVER, {"steps": 2, "start": 0.9999999995, "end": 1.0, "stretch": 0.5, "shape": shapes[1], "left": 0.99985}),
        (NEVER, {"steps": 1, "start": float(rng.choice([0.9995, 0.99])), "end": 1.0, "stretch": 1.0, "shape": shapes[1], "left": 0.37}),
        (NEVER, {"steps": 1, "start": 1.0, "end": 1.0, "stretch": 3.0, "shape": shapes[0], "left": 0.4}),
    ]  # fmt: skip


PLAN_EXERCISE = Exercise(
    "plan",
    ("minivjepa.ema.momentum_at", "minivjepa.ema.half_life"),
    {
        LINE: {"steps": 4, "start": 0.5, "end": 0.9, "stretch": 1.0, "shape": "line", "left": 0.4},
        COSINE: {"steps": 4, "start": 0.6, "end": 1.0, "stretch": 1.0, "shape": "cosine", "left": 0.3},
        STRETCHED: {"steps": 6, "start": 0.9, "end": 0.99, "stretch": 1.25, "shape": "cosine", "left": 0.3},
        AT_END: {"steps": 5, "start": 0.4, "end": 0.8, "stretch": 0.5, "shape": "line", "left": 0.2},
        FALLING: {"steps": 3, "start": 1.0, "end": 0.7, "stretch": 0.5, "shape": "cosine", "left": 0.1},
        AT_MOST: {"steps": 2, "start": 0.25, "end": 0.75, "stretch": 1.0, "shape": "line", "left": 0.25},
        ALMOST: {"steps": 1, "start": 0.5, "end": 0.9, "stretch": 1.0, "shape": "line", "left": 0.2499},
        SMALLEST: {"steps": 2, "start": 0.0, "end": 0.5, "stretch": 1.0, "shape": "line", "left": 1e-20},
        NEVER: {"steps": 2, "start": 1.0, "end": 0.9999999995, "stretch": 0.5, "shape": "line", "left": 0.99985},
    },
    plan_hidden,
    (
        ("the end is reached one step too early: the way is steps * stretch long, and not (steps - 1) * stretch", PLAN.replace("(steps * stretch)", "max((steps - 1) * stretch, 0.5)")),
        ("the schedule is one step ahead: step 0 has the momentum start", PLAN.replace("s / (", "(s + 1) / (")),
        ("stretch is ignored", PLAN.replace("steps * stretch", "steps")),
        ("stretch works the wrong way round: a stretch above 1 makes the way longer, so that the run ends before it", PLAN.replace("s / (steps * stretch)", "s * stretch / steps")),
        ("the momentum does not stop at the end: the share of the way is at most 1", PLAN.replace("min(1.0, s / (steps * stretch))", "s / (steps * stretch)")),
        ("the momentum of a line stops at 1, and not at end: the share of the way is at most 1", PLAN.replace("        p = min(1.0, s / (steps * stretch))", "        p = s / (steps * stretch)\n        p = p if shape == 'line' else min(1.0, p)").replace("m = start + (end - start) * p", "m = min(1.0, start + (end - start) * p)")),
        ("the momentum is cut off at end from above, so that a momentum that falls is not; the share of the way is at most 1", PLAN.replace("m = start + (end - start) * p", "m = min(end, start + (end - start) * p)")),
        ("shape is ignored: the schedule is always a line", PLAN.replace("if shape == 'cosine':", "if False:")),
        ("shape is ignored: the schedule is always a cosine", PLAN.replace("if shape == 'cosine':", "if True:")),
        ("the schedule runs from end to start", PLAN.replace("m = start + (end - start) * p", "m = end + (start - end) * p")),
        ("with \"cosine\" the schedule runs from end to start: at p = 0 the cosine is 1", PLAN.replace("(1 - math.cos(math.pi * p)) / 2", "(1 + math.cos(math.pi * p)) / 2")),
        ("the cosine takes p for an angle in radians: p = 1 is half of a full turn", PLAN.replace("math.pi * p", "p")),
        ("this is the half-life whatever left says", PLAN.replace("m <= left", "m <= 0.5").replace("math.log(left)", "math.log(0.5)")),
        ("left is what is left of the old target, and here it is what is gone", PLAN.replace("m <= left", "m <= 1 - left").replace("math.log(left)", "math.log(1 - left)")),
        ("the number of updates is rounded down, so that more than left is left: round up", PLAN.replace(UPDATES, "max(1, math.floor(math.log(left) / math.log(m)))")),
        ("the number of updates is rounded to the nearest: sometimes more than left is left then; round up", PLAN.replace(UPDATES, "round(math.log(left) / math.log(m))")),
        ("n has to leave less than left; exactly left is enough", PLAN.replace("1 if m <= left else " + UPDATES, "1 if m < left else math.floor(math.log(left) / math.log(m)) + 1")),
        ("-1 also stands where n is large: a search that gives up too early, or a momentum near 1 that is taken for 1; only momentum 1 has no n", PLAN.replace(UPDATES, "next((n for n in range(1, 10001) if m ** n <= left), -1)")),
        ("the logarithm is taken of a small number in place of momentum 0, which has its own answer: 1", PLAN.replace("1 if m <= left else ", "").replace("math.log(m)", "math.log(max(m, 1e-12))")),
        ("a bit is taken off before rounding up, so that a little more than left is left: round up the number itself", PLAN.replace("math.ceil(math.log(left) / math.log(m))", "math.ceil(math.log(left) / math.log(m) - 0.01)")),
        ("this is 1 / (1 - momentum), a rule of thumb; return when at most left is left", PLAN.replace("1 if m <= left else " + UPDATES, "round(1 / (1 - m))")),
    ),
    (
        "def plan(steps, start, end, stretch, shape, left):\n    p = np.minimum(np.arange(steps) / (steps * stretch), 1)\n    if shape == 'line':\n        m = start + (end - start) * p\n    else:\n        m = end - (end - start) * (1 + np.cos(np.pi * p)) / 2\n    n = np.full(steps, -1)\n    moving = m < 1\n    with np.errstate(divide='ignore'):\n        n[moving] = np.maximum(1, np.ceil(np.log(left) / np.log(m[moving])))\n    return m.tolist(), n.tolist()",
        "def plan(steps, start, end, stretch, shape, left):\n    way = {'line': lambda p: p, 'cosine': lambda p: math.sin(math.pi * p / 2) ** 2}[shape]\n    shares = [way(min(s / stretch / steps, 1)) for s in range(steps)]\n    momenta = [(1 - p) * start + p * end for p in shares]\n    def wait(m):\n        old, n = m, 1\n        while old > left:\n            old, n = old * m, n + 1\n        return n\n    return momenta, [wait(m) if m < 1 else -1 for m in momenta]",
        "def plan(steps, start, end, stretch, shape, left):\n    momenta, updates = [], []\n    for s in range(steps):\n        p = min(1.0, s / (steps * stretch))\n        if shape == 'cosine':\n            momentum = end - (end - start) * (1 + math.cos(math.pi * p)) / 2\n        else:\n            momentum = start + (end - start) * p\n        n = 1\n        while momentum < 1 and momentum ** n > left:\n            n += 1\n        momenta.append(momentum)\n        updates.append(-1 if momentum >= 1 else n)\n    return momenta, updates",
        "def plan(steps, start, end, stretch, shape, left):\n    def n_of(m):\n        if m == 1:\n            return -1\n        high = 1\n        while m ** high > left:\n            high *= 2\n        low = 1\n        while low < high:\n            middle = (low + high) // 2\n            low, high = (low, middle) if m ** middle <= left else (middle + 1, high)\n        return low\n    momenta = []\n    for s in range(steps):\n        p = 1 if s >= steps * stretch else s / (steps * stretch)\n        momenta.append(start + (end - start) * p if shape == 'line' else end - (end - start) * (1 + math.cos(math.pi * p)) / 2)\n    return [momenta, [n_of(m) for m in momenta]]",
        "def plan(steps, start, end, stretch, shape, left):\n    p = (torch.arange(steps, dtype=torch.float64) / (steps * stretch)).clamp(max=1)\n    if shape == 'cosine':\n        p = 0.5 - 0.5 * torch.cos(torch.pi * p)\n    m = start + (end - start) * p\n    n = (math.log(left) / m.log()).ceil().clamp(min=1)\n    return m, torch.where(m < 1, n, -1).long()",
        "def plan(steps, start, end, stretch, shape, left):\n    import itertools\n    share = [min(1.0, s / (steps * stretch)) for s in range(steps)]\n    if shape == 'cosine':\n        share = [math.sin(math.pi / 2 * p) ** 2 for p in share]\n    momenta = [start if p == 0 else end if p == 1 else end * p + start * (1 - p) for p in share]\n    first = lambda m: next(n for n in itertools.count(1) if pow(m, n) <= left)\n    return tuple(momenta), tuple(first(m) if m != 1.0 else -1 for m in momenta)",
    ),
    equivalent={"min(1.0, s / (steps * stretch)) -> min(s / (steps * stretch), 1.0)": "the smaller of two is the same in either order"},
)  # fmt: skip


# --- audit ---

AUDIT = """def audit(weights, tokens, kept, hidden, stop):
    copies = {name: weight.clone().requires_grad_() for name, weight in weights.items()}
    toy_loss(copies, tokens, kept, hidden, stop).backward()
    counts = {}
    for name, copy in copies.items():
        row = counts.setdefault(name.split('.')[0], [0, 0, 0])
        g = copy.grad
        row[2 if g is None else 0 if bool((g != 0).any()) else 1] += 1
    return counts"""
PLACE = "2 if g is None else 0 if bool((g != 0).any()) else 1"
MOVES = "the first number counts tensors with a gradient that is not zero everywhere"
TINY = "a gradient that is small is not zero"
CANCEL = "numbers of a gradient that cancel in their sum are not zero"
ZEROS = "the second number counts tensors with a gradient of zeros, the third those without one"
PARTS = "a part is a name up to its first dot, and every part of weights is counted, in any order of names"
STOP = "with stop the target has no gradient, and without it has one"
FIRST_ZERO = "a gradient with some zeros in it is not zero everywhere"


def audit_inputs(
    rng: np.random.Generator,
    shape: tuple[int, int, int],
    stop: bool,
    fixed: dict[str, float] | None = None,
    more: tuple[str, ...] = (),
    times: dict[str, float] | None = None,
) -> dict:
    """shape: features of a token, D and P.  fixed: tensors that have one number everywhere.  more: tensors that the loss does not use.
    times: tensors that are multiplied by a number."""
    inputs, dim, inner = shape
    tokens = numbers(rng, 7, inputs) + 2.25  # all above 0 ...
    if inputs > 1:
        tokens[:, rng.integers(2) * (inputs - 1)] = (
            0.0  # ... but for one feature, the first or last, whose gradient is a row of zeros
        )
    weights = {
        "encoder.project": numbers(rng, inputs, dim).abs() + 0.25, "encoder.bias": numbers(rng, dim).abs() + 0.25,
        "predictor.enter": reals(rng, dim, inner), "predictor.mask_token": reals(rng, inner), "predictor.leave": reals(rng, inner, dim) / 4 + 0.03125,
        "predictor.offset": torch.tensor([512.0, -512.0] * dim)[:dim],  # guesses far above and below the target: for an even D this gradient adds up to 0
        "target.project": numbers(rng, inputs, dim).abs() + 0.25, "target.bias": numbers(rng, dim).abs() + 0.25,
    } | {name: numbers(rng, 2) for name in more}  # fmt: skip
    weights |= {name: torch.full_like(weights[name], value) for name, value in (fixed or {}).items()}
    weights |= {name: weights[name] * value for name, value in (times or {}).items()}
    ids, names = torch.from_numpy(rng.permutation(7)), list(weights)
    count = between(rng, 1, 5)
    weights = {names[i]: weights[names[i]] for i in rng.permutation(len(names))}
    return {"weights": weights, "tokens": tokens, "kept": ids[:count], "hidden": ids[count:], "stop": stop}


def perfect_guess(given: dict) -> dict:
    """The same with one hidden token that is guessed exactly, so that the loss and all its gradients are zero."""
    w, hidden = given["weights"], given["hidden"][:1]
    target = torch.relu(given["tokens"][hidden[0]] @ w["target.project"] + w["target.bias"])
    right = {"predictor.leave": torch.zeros_like(w["predictor.leave"]), "predictor.offset": target}
    return given | {"weights": {name: right.get(name, weight) for name, weight in w.items()}, "hidden": hidden}


def one_asleep(given: dict, unit: int) -> dict:
    """The same with one unit of the encoder and of the target that never wakes: its columns of gradients are zero."""
    weights = {name: weight.clone() for name, weight in given["weights"].items()}
    for part in ("encoder", "target"):
        weights[f"{part}.bias"][unit] = -999.0
    return given | {"weights": weights}


def one_feature(given: dict, number: int) -> dict:
    """The same with tokens that are zero but for one feature."""
    return given | {
        "tokens": given["tokens"] * torch.eye(given["tokens"].shape[1])[number]
        + torch.eye(given["tokens"].shape[1])[number]
    }


def audit_hidden(rng: np.random.Generator) -> list[tuple[str, dict]]:
    """Gradients that are there, tiny, zero in places, in sum or everywhere, and missing; parts and names of many kinds."""
    asleep = {"encoder.bias": -999.0}  # a bias so far down that its units never wake
    return [
        (ZEROS, audit_inputs(rng, (3, 4, 2), True, {"predictor.leave": 0.0}, ("head.weight", "head.norm.weight"))),
        (STOP, audit_inputs(rng, (4, 2, 5), False, asleep, ("encoder.spare",))),
        (PARTS, audit_inputs(rng, (2, 6, 3), False, {"predictor.leave": 0.0, "predictor.mask_token": 0.0}, ("probe.weight", "encoder_old.project", "old.encoder.bias", "Encoder.bias", "head1.bias", "head2.bias"))),
        (CANCEL, audit_inputs(rng, (5, 4, 4), True, {}, ("predictor.spare",))),
        (MOVES, audit_inputs(rng, (2, 3, between(rng, 1, 4)), False)),
        (TINY, audit_inputs(rng, (3, 2, between(rng, 1, 3)), True, times={"predictor.leave": float(rng.choice([1e-3, 1e-4]))})),
        (TINY, audit_inputs(rng, (2, 3, 2), False, times={"predictor.leave": float(rng.choice([1e-14, 1e-15]))})),
        (TINY, audit_inputs(rng, (2, 2, 2), True, times={"predictor.leave": 1e-18})),
        (TINY, audit_inputs(rng, (2, 3, 2), True, times={"predictor.leave": 1e-32})),  # the squares of its gradients are 0
        (ZEROS, audit_inputs(rng, (3, 3, 2), False, {"target.bias": -999.0, "predictor.enter": 0.0}, ("target.spare.weight",))),
        (STOP, perfect_guess(audit_inputs(rng, (2, 4, 2), bool(rng.random() < 0.5), {}, ("x.y.z", "x.y", "x.z")))),
        (FIRST_ZERO, one_feature(audit_inputs(rng, (3, 1, 2), True, {"predictor.enter": 0.5, "predictor.leave": -0.25}), 0)),
        (FIRST_ZERO, one_feature(audit_inputs(rng, (3, 1, 2), False, {"predictor.enter": 0.5, "predictor.leave": 0.25}), 2)),
        *((FIRST_ZERO, one_asleep(audit_inputs(rng, (3, 3, 2), False), unit)) for unit in (0, -1)),
        (FIRST_ZERO, audit_inputs(rng, (1, 1, 1), False, {"predictor.mask_token": 0.0}, ("a.weight",))),
        (FIRST_ZERO, audit_inputs(rng, (between(rng, 4, 6), 5, 3), True, asleep, ("target.a.b", "target.c", "predictor.enter.bias"))),
    ]  # fmt: skip


SMALL = {"encoder.project": torch.tensor([[1.0]]), "encoder.bias": torch.tensor([1.0]), "predictor.mask_token": torch.tensor([0.0]),
         "predictor.enter": torch.tensor([[1.0]]), "predictor.leave": torch.tensor([[0.0]]), "predictor.offset": torch.tensor([-1.0]),
         "target.project": torch.tensor([[1.0]]), "target.bias": torch.tensor([1.0])}  # fmt: skip
AUDIT_EXERCISE = Exercise(
    "audit",
    (),
    {
        ZEROS: {"weights": SMALL, "tokens": torch.tensor([[1.0], [2.0]]), "kept": torch.tensor([0]), "hidden": torch.tensor([1]), "stop": True},
        MOVES: {"weights": SMALL | {"predictor.leave": torch.tensor([[0.5]])}, "tokens": torch.tensor([[0.0], [2.0]]), "kept": torch.tensor([0]), "hidden": torch.tensor([1]), "stop": True},
        STOP: {"weights": SMALL, "tokens": torch.tensor([[1.0], [2.0]]), "kept": torch.tensor([0]), "hidden": torch.tensor([1]), "stop": False},
        TINY: audit_inputs(SEEN, (2, 2, 1), True, times={"predictor.leave": 2.0**-100}),
        CANCEL: audit_inputs(SEEN, (2, 2, 1), True),
        FIRST_ZERO: audit_inputs(SEEN, (3, 2, 2), True),
        PARTS: audit_inputs(SEEN, (2, 2, 1), False, {"encoder.bias": -99.0, "predictor.mask_token": 0.0}, ("probe.norm.weight", "encoder_old.project", "encoder.spare.bias")),
    },
    audit_hidden,
    (
        ("a gradient of zeros counts as a gradient here: look at its numbers, and not only whether it is there", AUDIT.replace(PLACE, "2 if g is None else 0")),
        ("tensors with a gradient of zeros are counted as tensors without one", AUDIT.replace(PLACE, "0 if g is not None and bool((g != 0).any()) else 2")),
        ("tensors without a gradient are counted as having zeros", AUDIT.replace(PLACE, "0 if g is not None and bool((g != 0).any()) else 1")),
        ("the numbers of a gradient are summed, and they can cancel: zero everywhere is something else than zero in sum", AUDIT.replace("bool((g != 0).any())", "float(g.sum()) != 0")),
        ("only a gradient with a sum above 0 counts here: a gradient can be negative, and its numbers can cancel", AUDIT.replace("bool((g != 0).any())", "float(g.sum()) > 0")),
        ("a small gradient is taken for zero, as allclose does: small is not zero", AUDIT.replace("bool((g != 0).any())", "not torch.allclose(g, torch.zeros_like(g), atol=1e-6)")),
        ("squares are looked at, as norm() does, and the square of a small number is 0 in float32: look at the numbers themselves", AUDIT.replace("bool((g != 0).any())", "float(g.norm()) > 0")),
        ("one zero is enough here to count a gradient as zeros: it has to be zero everywhere", AUDIT.replace(".any()", ".all()")),
        ("this looks at the weights, and not at their gradients, for zeros", AUDIT.replace("(g != 0)", "(copy != 0)")),
        ("this counts what wants a gradient (requires_grad), and not what got one", AUDIT.replace(PLACE, "0 if copy.requires_grad else 2")),
        ("single numbers are counted; return tensors", AUDIT.replace("+= 1", "+= copy.numel()")),
        ("the part is what stands before the first dot of a name, not what stands after it", AUDIT.replace("name.split('.')[0]", "name.split('.')[1]")),
        ("the part is cut at the last dot of a name: cut at the first", AUDIT.replace("name.split('.')[0]", "name.rsplit('.', 1)[0]")),
        ("names are sorted into encoder, predictor and target by how they begin: encoder_old is a part of its own", AUDIT.replace("name.split('.')[0]", "next((part for part in ('encoder', 'predictor', 'target') if name.startswith(part)), name.split('.')[0])")),
        ("tensors without a gradient are left out: they have a count too", AUDIT.replace("    for name, copy in copies.items():\n", "    for name, copy in copies.items():\n        if copy.grad is None:\n            continue\n")),
        ("only encoder, predictor and target are counted: weights may have other parts", AUDIT.replace("    return counts", "    return {part: counts[part] for part in ('encoder', 'predictor', 'target')}")),
        ("the gradient is always stopped at the target: hand stop on", AUDIT.replace("hidden, stop)", "hidden, True)", 2).replace("def audit(weights, tokens, kept, hidden, True)", "def audit(weights, tokens, kept, hidden, stop)")),
        ("the gradient is never stopped at the target: hand stop on", AUDIT.replace("hidden, stop)", "hidden, False)", 2).replace("def audit(weights, tokens, kept, hidden, False)", "def audit(weights, tokens, kept, hidden, stop)")),
        ("only the last tensor of each part is counted: add to what is there", AUDIT.replace("counts.setdefault(name.split('.')[0], [0, 0, 0])", "counts[name.split('.')[0]] = [0, 0, 0]")),
        ("the counts are right, but gradients are now switched on in the dict that came in: make copies with clone(), and put them into a new dict", AUDIT.replace("weight.clone()", "weight")),
    ),
    (
        "def audit(weights, tokens, kept, hidden, stop):\n    names = list(weights)\n    leaves = [weights[name].detach().clone().requires_grad_(True) for name in names]\n    loss = toy_loss(dict(zip(names, leaves)), tokens, kept, hidden, stop)\n    found = torch.autograd.grad(loss, leaves, allow_unused=True)\n    def state(g):\n        return 'none' if g is None else 'moves' if g.abs().max() > 0 else 'zeros'\n    states = [(name.partition('.')[0], state(g)) for name, g in zip(names, found)]\n    return {part: tuple(states.count((part, word)) for word in ('moves', 'zeros', 'none')) for part, _ in states}",
        "def audit(weights, tokens, kept, hidden, stop):\n    tracked = {}\n    for name in weights:\n        tracked[name] = torch.nn.Parameter(weights[name].clone())\n    toy_loss(tracked, tokens, kept, hidden, stop).backward()\n    table = {}\n    for name, p in tracked.items():\n        part = name[:name.index('.')]\n        moves, zeros, none = table.get(part, (0, 0, 0))\n        if p.grad is None:\n            none += 1\n        elif torch.count_nonzero(p.grad) == 0:\n            zeros += 1\n        else:\n            moves += 1\n        table[part] = (moves, zeros, none)\n    return table",
        "def audit(weights, tokens, kept, hidden, stop):\n    leaves = {name: torch.tensor(weight.tolist(), requires_grad=True) for name, weight in weights.items()}\n    toy_loss(leaves, tokens.clone(), kept, hidden, stop).backward()\n    counts = {}\n    for name in sorted(leaves):\n        grad = leaves[name].grad\n        kind = 2 if grad is None else int(not any(grad.flatten().tolist()))\n        part = name.split('.', 1)[0]\n        counts[part] = counts.get(part, np.zeros(3, int)) + np.eye(3, dtype=int)[kind]\n    return {part: three.tolist() for part, three in counts.items()}",
        "def audit(weights, tokens, kept, hidden, stop):\n    copies = {n: w.detach().clone().requires_grad_() for n, w in weights.items()}\n    with torch.enable_grad():\n        loss = toy_loss(copies, tokens, kept, hidden, stop)\n    loss.backward()\n    def three(part):\n        grads = [c.grad for n, c in copies.items() if n.split('.')[0] == part]\n        moved = [g for g in grads if g is not None and not torch.equal(g, torch.zeros_like(g))]\n        none = [g for g in grads if g is None]\n        return torch.tensor([len(moved), len(grads) - len(moved) - len(none), len(none)])\n    return {part: three(part) for part in {n.split('.')[0] for n in weights}}",
        "def audit(weights, tokens, kept, hidden, stop):\n    import collections\n    import re\n    copies = {name: weight.clone().requires_grad_() for name, weight in weights.items()}\n    toy_loss(weights=copies, tokens=tokens, kept=kept, hidden=hidden, stop=stop).backward()\n    counts = collections.defaultdict(lambda: [0, 0, 0])\n    for name, copy in copies.items():\n        part = re.match(r'[^.]*', name).group()\n        if copy.grad is None:\n            counts[part][2] += 1\n        elif copy.grad.abs().sum() == 0:\n            counts[part][1] += 1\n        else:\n            counts[part][0] += 1\n    return dict(counts)",
        "def audit(weights, tokens, kept, hidden, stop):\n    copies = {}\n    for name, weight in weights.items():\n        copies[name] = weight + 0\n        copies[name].requires_grad = True\n    toy_loss(copies, tokens, kept, hidden, stop).backward()\n    counts = {}\n    for name, copy in copies.items():\n        g = copy.grad\n        state = np.array([g is not None and g.abs().max().item() != 0, g is not None and g.abs().max().item() == 0, g is None])\n        part = name.split('.')[0]\n        counts[part] = counts.get(part, 0) + state.astype(int)\n    return {part: tuple(int(n) for n in three) for part, three in counts.items()}",
    ),
    equivalent={"tuple(numbers) -> numbers": "a list of three numbers is as good as a tuple"},
)  # fmt: skip

EXERCISES = [
    EMBED_KEPT, PLAN_EXERCISE, FOLLOW_EXERCISE, PREDICT_EXERCISE, LATENT_LOSS, STUDENT_LOSS, AUDIT_EXERCISE, ATTEND_EXERCISE
]  # fmt: skip
