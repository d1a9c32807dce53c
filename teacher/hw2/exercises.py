"""Homework 2: the cases of every exercise, the mistakes that people make, and right answers in other styles."""

import math

import numpy as np
import torch
from assignment import Exercise


def numbers(rng: np.random.Generator, *shape: int, scale: float = 1.0) -> torch.Tensor:
    """Random quarters from -2 to 2, times `scale`, float32: short to write down."""
    return torch.from_numpy((rng.integers(-8, 9, shape) / 4 * scale).astype(np.float32))


def some_ids(rng: np.random.Generator, clips: int, tokens: int, kept: int) -> torch.Tensor:
    """For each clip, `kept` of its token ids, in any order."""
    return torch.from_numpy(np.stack([rng.permutation(tokens)[:kept] for _ in range(clips)]))


SEEN = np.random.default_rng(2)  # of the visible inputs


EMBED = "def embed_kept(tubelets, ids, weight, bias, positions):\n    clip = torch.arange(len(ids))[:, None]\n    kept = tubelets[clip, ids]\n    kept = kept - kept.mean(dim=(1, 2), keepdim=True)\n    return kept @ weight.T + bias + positions[ids]"
MEAN = "kept.mean(dim=(1, 2), keepdim=True)"


def embed_inputs(rng: np.random.Generator, clips: int, tokens: int, kept: int, values: int, dim: int) -> dict:
    """Clips of different brightness, and an embedding."""
    brightness = torch.from_numpy(rng.permutation(clips) - clips / 2).float()[:, None, None]
    return {
        "tubelets": numbers(rng, clips, tokens, values) + brightness, "ids": some_ids(rng, clips, tokens, kept),
        "weight": numbers(rng, dim, values), "bias": numbers(rng, dim), "positions": numbers(rng, tokens, dim),
    }  # fmt: skip


EMBED_KEPT = Exercise(
    "embed_kept",
    ("minivjepa.tubelets.gather_tokens", "minivjepa.tubelets.TubeletEmbedding", "minivjepa.encoder.Encoder"),
    (
        {"tubelets": torch.tensor([[[1.0, 3.0], [50.0, 50.0], [5.0, 7.0]]]), "ids": torch.tensor([[2, 0]]), "weight": torch.tensor([[1.0, 0.0], [1.0, 1.0]]),
         "bias": torch.tensor([0.0, 0.5]), "positions": torch.tensor([[10.0, 0.0], [20.0, 0.0], [30.0, 0.0]])},
        embed_inputs(SEEN, 2, 5, 3, 2, 3),
        embed_inputs(SEEN, 3, 6, 2, 3, 2),
    ),
    lambda rng: [embed_inputs(rng, 4, 9, 5, 6, 5), embed_inputs(rng, 5, 8, 3, 2, 7), embed_inputs(rng, 1, 7, 6, 5, 2)],
    (
        ("the mean is taken over all tubelets, the hidden ones too, so that hidden pixels leak into what the student sees: take the kept ones first", EMBED.replace(MEAN, "tubelets.mean(dim=(1, 2), keepdim=True)")),
        ("positions are counted 0, 1, 2 ... along the kept list; a tubelet has the position of its id, the place that it had in the clip", EMBED.replace("positions[ids]", "positions[:ids.shape[1]]")),
        ("all clips get the positions of the first: each clip has ids of its own", EMBED.replace("positions[ids]", "positions[ids[0]]")),
        ("all clips keep the tubelets that the first one keeps: each clip has ids of its own", EMBED.replace("tubelets[clip, ids]", "tubelets[:, ids[0]]")),
        ("this is one mean for the whole batch: each clip has its own, or its vectors would depend on what else is in the batch", EMBED.replace(MEAN, "kept.mean()")),
        ("this is a mean for every tubelet; asked is one number for each clip, over all its kept tubelets", EMBED.replace(MEAN, "kept.mean(dim=2, keepdim=True)")),
        ("this is a mean for every place in a tubelet; asked is one number for each clip, over all values", EMBED.replace(MEAN, "kept.mean(dim=1, keepdim=True)")),
        ("no mean is subtracted: do it before you embed", EMBED.replace(f"kept - {MEAN}", "kept")),
        ("the bias is missing", EMBED.replace(" + bias", "")),
        ("the mean is subtracted from the embedded vectors; it belongs to the pixels, before they are embedded", EMBED.replace(f"kept - {MEAN}", "kept @ weight.T + bias").replace("kept @ weight.T + bias + positions[ids]", "kept - kept.mean(dim=(1, 2), keepdim=True) + positions[ids]")),
        ("the positions are missing: without them nobody knows where a tubelet was", EMBED.replace(" + positions[ids]", "")),
        ("the result is right, but tubelets is another than before: an operation in place has changed the input; make a new tensor", EMBED.replace("    kept = kept -", "    tubelets -=").replace("return kept @", "return tubelets[clip, ids] @")),
        ("the first K tubelets are embedded, and not those that ids names", EMBED.replace("tubelets[clip, ids]", "tubelets[:, :ids.shape[1]]")),
    ),
    (
        "def embed_kept(tubelets, ids, weight, bias, positions):\n    rows = []\n    for pixels, own in zip(tubelets, ids):\n        kept = pixels[own]\n        rows.append((kept - kept.mean()) @ weight.T + bias + positions[own])\n    return torch.stack(rows)",
        "def embed_kept(tubelets, ids, weight, bias, positions):\n    kept = tubelets.gather(1, ids[..., None].expand(-1, -1, tubelets.shape[-1]))\n    kept = kept - einops.reduce(kept, 'B K v -> B 1 1', 'mean')\n    return torch.einsum('bkv,dv->bkd', kept, weight) + bias + torch.nn.functional.embedding(ids, positions)",
        "def embed_kept(tubelets, ids, weight, bias, positions):\n    x, i = tubelets.numpy(), ids.numpy()\n    kept = np.take_along_axis(x, i[:, :, None], axis=1)\n    kept = kept - kept.reshape(len(kept), -1).mean(axis=1)[:, None, None]\n    return torch.from_numpy(kept @ weight.numpy().T + bias.numpy() + positions.numpy()[i])",
    ),
)  # fmt: skip

ATTEND = """def attend(x, weights, heads, temperature, real):
    n, d = x.shape[1], x.shape[2] // heads
    q, k, v = (einops.rearrange(x @ weights[name], 'B n (d head) -> B head n d', head=heads) for name in 'qkv')
    score = q @ k.transpose(2, 3) / (temperature * d ** 0.5)
    weight = score.masked_fill(~real[:, None, None], -math.inf).softmax(dim=3)
    weight = weight * real[:, None, :, None]
    mixed = einops.rearrange(weight @ v, 'B head n d -> B n (d head)')
    return mixed @ weights['out'], weight.mean(dim=1)"""
MASK = ".masked_fill(~real[:, None, None], -math.inf)"


def attend_inputs(rng: np.random.Generator, lengths: tuple[int, ...], heads: int, d: int, heat: float) -> dict:
    """Clips with `lengths` real tokens each, filled up with padding at any place, and weights."""
    n, dim = max(lengths), heads * d
    real = torch.from_numpy(np.stack([rng.permutation(n) < length for length in lengths]))
    matrices = {name: numbers(rng, dim, dim, scale=1 / dim**0.5) for name in ("q", "k", "v", "out")}
    x = numbers(rng, len(lengths), n, dim)
    return {"x": x, "weights": matrices, "heads": heads, "temperature": heat, "real": real}


EYE = torch.eye(2)
ATTEND_EXERCISE = Exercise(
    "attend",
    ("minivjepa.transformer.Attention", "minivjepa.transformer.Block", "minivjepa.encoder.Encoder"),
    (
        {"x": torch.tensor([[[1.0, 0.0], [0.0, 2.0]]]), "weights": {"q": EYE, "k": EYE, "v": EYE, "out": EYE}, "heads": 2, "temperature": 1.0, "real": torch.tensor([[True, True]])},
        attend_inputs(SEEN, (2, 2), 2, 2, 1.0),
        attend_inputs(SEEN, (2, 3), 2, 2, 2.0),
    ),
    lambda rng: [attend_inputs(rng, (5, 3, 6), 3, 4, 0.5), attend_inputs(rng, (4, 7), 2, 5, 1.5), attend_inputs(rng, (3, 2, 5, 1), 4, 2, 3.0)],
    (
        ("the first features go to the first head, as in the package; here feature f belongs to head f % heads", ATTEND.replace("(d head)", "(head d)")),
        ("the heads are split in the interleaved way, and put together in blocks: what a head takes home goes to the places that its features came from", ATTEND.replace("'B head n d -> B n (d head)'", "'B head n d -> B n (head d)'")),
        ("the softmax runs over those who look; the weights of one who looks add up to 1, over those who are looked at", ATTEND.replace("real[:, None, None], -math.inf).softmax(dim=3)", "real[:, None, :, None], -math.inf).softmax(dim=2)").replace("weight = weight * real[:, None, :, None]", "weight = weight * real[:, None, None]")),
        ("the scores are not divided by the root of d: long vectors have large dot products, and the softmax takes all for one token", ATTEND.replace("temperature * d ** 0.5", "temperature")),
        ("the scores are divided by the root of D, and a head has only D / heads features", ATTEND.replace("d ** 0.5", "x.shape[2] ** 0.5")),
        ("the temperature is ignored", ATTEND.replace("temperature * d", "d")),
        ("the scores are multiplied by the temperature; a high temperature makes weights more alike, so divide", ATTEND.replace("/ (temperature * d ** 0.5)", "* temperature / d ** 0.5")),
        ("the weights are used like those of nn.Linear, transposed; here they are used as x @ W", ATTEND.replace("weights[name]", "weights[name].T").replace("weights['out']", "weights['out'].T")),
        ("padding is looked at: a token that is not there has a weight", ATTEND.replace(MASK, "")),
        ("padding is taken out after the softmax, so that the other weights add up to less than 1: take it out before", ATTEND.replace(f"score{MASK}.softmax(dim=3)", "score.softmax(dim=3) * real[:, None, None]")),
        ("the score of padding is set to 0, and the softmax gives a score of 0 a weight like any other", ATTEND.replace("-math.inf", "0.0")),
        ("the rows of padding are not zeros: padding looks at others too", ATTEND.replace("    weight = weight * real[:, None, :, None]\n", "")),
        ("the rows of padding are zeros in the vectors and not in the weights that you return", ATTEND.replace("    weight = weight * real[:, None, :, None]\n", "").replace("return mixed @ weights['out']", "return mixed * real[..., None] @ weights['out']")),
        ("the mask is turned around: real is true where there is a token", ATTEND.replace("~real[:, None, None], -math.inf", "real[:, None, None], -1e9")),
        ("what the heads take home is not multiplied by \"out\"", ATTEND.replace("mixed @ weights['out']", "mixed")),
        ("the weights are summed over heads, so that a row adds up to the number of heads: average them", ATTEND.replace("weight.mean(dim=1)", "weight.sum(dim=1)")),
        ("two things are asked, and only the vectors are returned", ATTEND.replace(", weight.mean(dim=1)", "")),
        ("these are the weights of the first head alone: average over heads", ATTEND.replace("weight.mean(dim=1)", "weight[:, 0]")),
        ("rows and columns of the weights are exchanged: the row is the token that looks", ATTEND.replace("weight.mean(dim=1)", "weight.mean(dim=1).transpose(1, 2)")),
    ),
    (
        "def attend(x, weights, heads, temperature, real):\n    B, n, D = x.shape\n    out, looks = torch.zeros(B, n, D), torch.zeros(B, n, n)\n    for b in range(B):\n        there = real[b].nonzero().flatten()\n        q, k, v = (x[b, there] @ weights[name] for name in 'qkv')\n        home = torch.zeros(len(there), D)\n        for h in range(heads):\n            score = torch.exp(q[:, h::heads] @ k[:, h::heads].T / temperature / math.sqrt(D // heads))\n            weight = score / score.sum(dim=1, keepdim=True)\n            home[:, h::heads] = weight @ v[:, h::heads]\n            looks[b, there[:, None], there] += weight / heads\n        out[b, there] = home @ weights['out']\n    return out, looks",
        "def attend(x, weights, heads, temperature, real):\n    B, n, D = x.shape\n    d = D // heads\n    q, k, v = ((x @ weights[name]).reshape(B, n, d, heads) for name in 'qkv')\n    score = torch.einsum('bidh,bjdh->bijh', q, k) / (temperature * d ** 0.5)\n    weight = torch.exp(score - score.amax(dim=2, keepdim=True)) * real[:, None, :, None]\n    weight = weight / weight.sum(dim=2, keepdim=True) * real[:, :, None, None]\n    mixed = torch.einsum('bijh,bjdh->bidh', weight, v).reshape(B, n, D)\n    return mixed @ weights['out'], weight.mean(dim=3)",
        "def attend(x, weights, heads, temperature, real):\n    w = {name: part.numpy().astype(float) for name, part in weights.items()}\n    x, there = x.numpy().astype(float), real.numpy()\n    d = x.shape[2] // heads\n    out, looks = np.zeros(x.shape), 0\n    for h in range(heads):\n        q, k, v = (x @ w[name][:, h::heads] for name in 'qkv')\n        score = np.where(there[:, None], q @ k.swapaxes(1, 2) / temperature / np.sqrt(d), -1e30)\n        weight = np.exp(score - score.max(axis=2, keepdims=True))\n        weight = weight / weight.sum(axis=2, keepdims=True) * there[:, :, None]\n        out = out + weight @ v @ w['out'][h::heads]\n        looks = looks + weight / heads\n    return torch.from_numpy(out), torch.from_numpy(looks)",
    ),
)  # fmt: skip

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


def predict_inputs(
    rng: np.random.Generator, clips: int, counts: tuple, widths: tuple, groups: int, group: int, rows: str
) -> dict:
    """A context, its ids, the others, and a predictor's weights.  counts: K and M.  widths: D and P."""
    (kept, hidden), (dim, inner) = counts, widths
    ids = some_ids(rng, clips, kept + hidden, kept + hidden)
    weights = {
        "enter": numbers(rng, dim, inner, scale=0.5), "leave": numbers(rng, inner, dim),
        "mask_tokens": numbers(rng, groups, inner, scale=0.5), "positions": numbers(rng, kept + hidden, inner, scale=0.5),
    }  # fmt: skip
    return {
        "context": numbers(rng, clips, kept, dim, scale=0.5), "context_ids": ids[:, :kept], "target_ids": ids[:, kept:],
        "weights": weights, "group": group, "rows": rows,
    }  # fmt: skip


ONE = torch.ones(1, 1)
PREDICT_EXERCISE = Exercise(
    "predict",
    ("minivjepa.predictor.Predictor", "minivjepa.tubelets.gather_tokens"),
    (
        {"context": torch.tensor([[[0.5]]]), "context_ids": torch.tensor([[1]]), "target_ids": torch.tensor([[2, 0]]),
         "weights": {"enter": ONE, "leave": ONE, "mask_tokens": torch.tensor([[-1.0], [0.0]]), "positions": torch.tensor([[0.0], [0.25], [1.0]])}, "group": 0, "rows": "hidden"},
        predict_inputs(SEEN, 2, (2, 3), (2, 3), 2, 1, "hidden"),
        predict_inputs(SEEN, 2, (3, 2), (2, 3), 2, 0, "all"),
    ),
    lambda rng: [
        predict_inputs(rng, 3, (4, 3), (5, 3), 3, 2, "all"), predict_inputs(rng, 2, (3, 6), (2, 4), 3, 1, "hidden"),
        predict_inputs(rng, 4, (5, 3), (3, 5), 4, 2, "hidden"), predict_inputs(rng, 2, (3, 5), (4, 2), 2, 1, "all"),
    ],
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
        ("the hidden rows go through body without the kept ones, so that a guess cannot depend on the context", PREDICT.replace("body(torch.cat([seen, asked], dim=1))", "torch.cat([body(seen), body(asked)], dim=1)")),
        ("with rows \"all\" the rows stand as they went in, kept before hidden: put them in the order of ids", PREDICT.replace("out[clip, ids.argsort(dim=1)]", "out")),
        ("with rows \"all\" the list of ids is used as it stands: it says which id a row has, and you need which row an id has", PREDICT.replace("ids.argsort(dim=1)", "ids")),
        ("rows is ignored: with \"all\" every row is asked for, in the order of ids", PREDICT.replace("if rows == 'hidden':", "if True:")),
        ("the guesses are sorted by id; with rows \"hidden\" they stand in the order of target_ids", PREDICT.replace("out[:, context.shape[1]:]", "out[clip, context.shape[1] + target_ids.argsort(dim=1)]")),
    ),
    (
        "def predict(context, context_ids, target_ids, weights, group, rows):\n    B, K, D = context.shape\n    full = torch.zeros(B, len(weights['positions']), weights['enter'].shape[1])\n    for b in range(B):\n        full[b, context_ids[b]] = context[b] @ weights['enter']\n        full[b, target_ids[b]] = weights['mask_tokens'][group]\n    out = body(full + weights['positions']) @ weights['leave']\n    return out if rows == 'all' else torch.stack([o[i] for o, i in zip(out, target_ids)])",
        "def predict(context, context_ids, target_ids, weights, group, rows):\n    ids = torch.cat([target_ids, context_ids], dim=1)\n    mask = weights['mask_tokens'][group].expand(*target_ids.shape, -1)\n    x = torch.cat([mask, torch.einsum('bkd,dp->bkp', context, weights['enter'])], dim=1)\n    out = body(x + weights['positions'][ids]) @ weights['leave']\n    if rows == 'hidden':\n        return out[:, :target_ids.shape[1]]\n    return torch.empty_like(out).scatter(1, ids[..., None].expand_as(out), out)",
        "def predict(context, context_ids, target_ids, weights, group, rows):\n    clips = []\n    for z, seen, asked in zip(context, context_ids.tolist(), target_ids.tolist()):\n        x = [z[i] @ weights['enter'] + weights['positions'][place] for i, place in enumerate(seen)]\n        x += [weights['mask_tokens'][group] + weights['positions'][place] for place in asked]\n        out = body(torch.stack(x)[None])[0] @ weights['leave']\n        row = {place: i for i, place in enumerate(seen + asked)}\n        wanted = asked if rows == 'hidden' else sorted(row)\n        clips.append(torch.stack([out[row[place]] for place in wanted]))\n    return torch.stack(clips)",
    ),
)  # fmt: skip

LOSS = """def latent_loss(guesses, features, ids, weights, eps):
    clip = torch.arange(len(features))[:, None]
    centred = features - features.mean(dim=-1, keepdim=True)
    h = centred / (features.std(dim=-1, correction=0, keepdim=True) + eps)
    losses = [(z - h[clip, i]).abs().mean() for z, i in zip(guesses, ids)]
    return sum(w * loss for w, loss in zip(weights, losses)) / sum(weights)"""
NORMALISED = "centred / (features.std(dim=-1, correction=0, keepdim=True) + eps)"


def loss_inputs(
    rng: np.random.Generator, clips: int, tokens: int, sizes: tuple[int, ...], dim: int, eps: float
) -> dict:
    """Features of different size and mean, and guesses for groups of different size."""
    size = torch.from_numpy(rng.choice([0.5, 1.0, 2.0], (clips, tokens, 1))).float()
    weights = (rng.permutation(len(sizes)) + 1).astype(float) / 2
    return {
        "guesses": [numbers(rng, clips, count, dim, scale=1 + number) for number, count in enumerate(sizes)],
        "features": numbers(rng, clips, tokens, dim) * size + 1.0, "ids": [some_ids(rng, clips, tokens, count) for count in sizes],
        "weights": weights.tolist(), "eps": eps,
    }  # fmt: skip


LATENT_LOSS = Exercise(
    "latent_loss",
    ("minivjepa.objective.latent_distance", "minivjepa.objective.normalise_targets", "minivjepa.tubelets.gather_tokens"),
    (
        {"guesses": [torch.tensor([[[0.0, 1.0]]])], "features": torch.tensor([[[5.0, 5.0], [1.0, 3.0]]]), "ids": [torch.tensor([[1]])], "weights": [1.0], "eps": 1.0},
        loss_inputs(SEEN, 2, 5, (2, 4), 3, 0.25),
        loss_inputs(SEEN, 3, 4, (3, 1), 4, 0.5),
    ),
    lambda rng: [loss_inputs(rng, 3, 9, (5, 2, 7), 6, 0.1), loss_inputs(rng, 1, 7, (3, 6), 5, 1.0), loss_inputs(rng, 4, 8, (2, 4, 3, 1), 2, 0.75)],
    (
        ("the features are not normalised: the encoder could make the loss small by making them small", LOSS.replace(NORMALISED, "features")),
        ("eps stands under the root, with the variance, as in the package; here it is added to the standard deviation", LOSS.replace(NORMALISED, "centred / (features.var(dim=-1, correction=0, keepdim=True) + eps).sqrt()")),
        ("eps is left out, and a vector whose numbers are all alike would be divided by zero", LOSS.replace(NORMALISED, "centred / (features.std(dim=-1, correction=0, keepdim=True) + 1e-6)")),
        ("the standard deviation divides by D - 1, as std does when it is not told otherwise", LOSS.replace("correction=0, ", "")),
        ("each vector is divided by its standard deviation, and its mean is not subtracted", LOSS.replace("h = centred", "h = features")),
        ("each vector is divided by its variance and not by its standard deviation", LOSS.replace("features.std(", "features.var(")),
        ("features are normalised along the tubelets; each vector is to be normalised by itself", LOSS.replace("dim=-1", "dim=1")),
        ("all vectors of a clip share one mean and one standard deviation; each has its own", LOSS.replace("dim=-1", "dim=(1, 2)")),
        ("the guesses are normalised too: only the target's side is", LOSS.replace("(z - h[clip, i])", "((z - z.mean(dim=-1, keepdim=True)) / (z.std(dim=-1, correction=0, keepdim=True) + eps) - h[clip, i])")),
        ("guesses are compared with the first tubelets, and not with those of their ids", LOSS.replace("h[clip, i]", "h[:, :i.shape[1]]")),
        ("all clips are compared at the ids of the first: each clip hides others", LOSS.replace("h[clip, i]", "h[:, i[0]]")),
        ("this is one mean over the tubelets of all groups, in which a large group counts more: one mean for each group, then the mean of these", "def latent_loss(guesses, features, ids, weights, eps):\n    clip = torch.arange(len(features))[:, None]\n    centred = features - features.mean(dim=-1, keepdim=True)\n    h = centred / (features.std(dim=-1, correction=0, keepdim=True) + eps)\n    return (torch.cat(guesses, dim=1) - h[clip, torch.cat(ids, dim=1)]).abs().mean()"),
        ("all groups count alike: weights is ignored", LOSS.replace("sum(w * loss for w, loss in zip(weights, losses)) / sum(weights)", "sum(losses) / len(losses)")),
        ("a weighted mean is divided by the sum of the weights", LOSS.replace(" / sum(weights)", "")),
        ("the weighted losses are divided by the number of groups; divide by the sum of the weights", LOSS.replace("/ sum(weights)", "/ len(weights)")),
        ("these are squared differences; asked are absolute ones", LOSS.replace(".abs()", ".square()")),
        ("the result is right, but features is another than before: an operation in place has changed the input; make a new tensor", LOSS.replace("centred = features -", "features -=").replace("h = centred / (features.std(dim=-1, correction=0, keepdim=True) + eps)", "h = features / (features.std(dim=-1, correction=0, keepdim=True) + eps)")),
        ("the differences are summed over features: take the mean over them too", LOSS.replace(".abs().mean()", ".abs().sum(dim=-1).mean()")),
    ),
    (
        "def latent_loss(guesses, features, ids, weights, eps):\n    total = 0.0\n    for w, group, where in zip(weights, guesses, ids):\n        errors = []\n        for b in range(len(group)):\n            for m, token in enumerate(where[b].tolist()):\n                h = features[b, token].numpy()\n                h = (h - h.mean()) / (h.std() + eps)\n                errors.append(np.abs(group[b, m].numpy() - h).mean())\n        total += w * np.mean(errors)\n    return float(total / sum(weights))",
        "def latent_loss(guesses, features, ids, weights, eps):\n    variance, mean = torch.var_mean(features, dim=2, correction=0, keepdim=True)\n    h = (features - mean) / (variance.sqrt() + eps)\n    picked = [h.gather(1, i.unsqueeze(-1).expand(-1, -1, h.shape[2])) for i in ids]\n    losses = torch.stack([torch.nn.functional.l1_loss(z, t) for z, t in zip(guesses, picked)])\n    w = torch.tensor(weights)\n    return (w / w.sum()) @ losses",
        "def latent_loss(guesses, features, ids, weights, eps):\n    centred = features - einops.reduce(features, 'B N D -> B N 1', 'mean')\n    root = einops.reduce(centred ** 2, 'B N D -> B N 1', 'mean') ** 0.5\n    rows = (centred / (root + eps)).flatten(0, 1)\n    first = torch.arange(len(features))[:, None] * features.shape[1]\n    losses = [torch.norm(z - rows[i + first], p=1).item() / z.numel() for z, i in zip(guesses, ids)]\n    return torch.tensor(np.average(losses, weights=weights))",
    ),
)  # fmt: skip

STUDENT = """def student_loss(tokens, encoder, teacher, predictor, kept, hidden, own, stop):
    z = torch.tanh(tokens[:, kept] @ encoder).mean(dim=1)
    guess = z @ predictor
    matrix = encoder if own else teacher
    target = torch.tanh(tokens[:, hidden] @ matrix).mean(dim=1)
    if stop:
        target = target.detach()
    return (guess - target).abs().mean()"""


def student_inputs(
    rng: np.random.Generator, clips: int, kept: int, hidden: int, inputs: int, dim: int, own: bool, stop: bool
) -> dict:
    """Tokens, three matrices and who keeps what."""
    ids = torch.from_numpy(rng.permutation(kept + hidden + 1))  # one token is neither kept nor guessed
    return {
        "tokens": numbers(rng, clips, kept + hidden + 1, inputs), "encoder": numbers(rng, inputs, dim, scale=0.5), "teacher": numbers(rng, inputs, dim, scale=0.5),
        "predictor": numbers(rng, dim, dim), "kept": ids[:kept], "hidden": ids[kept:-1], "own": own, "stop": stop,
    }  # fmt: skip


STUDENT_LOSS = Exercise(
    "student_loss",
    ("minivjepa.vjepa.VJEPA", "minivjepa.objective.latent_distance"),
    (
        {"tokens": torch.tensor([[[1.0], [0.5]]]), "encoder": torch.tensor([[1.0]]), "teacher": torch.tensor([[-1.0]]), "predictor": torch.tensor([[1.0]]),
         "kept": torch.tensor([0]), "hidden": torch.tensor([1]), "own": False, "stop": True},
        student_inputs(SEEN, 2, 1, 1, 2, 3, False, True),
        student_inputs(SEEN, 2, 1, 2, 2, 1, True, True),
        student_inputs(SEEN, 1, 1, 2, 2, 2, False, False),
    ),
    lambda rng: [
        student_inputs(rng, 3, 4, 2, 3, 5, True, True), student_inputs(rng, 2, 3, 4, 5, 3, True, False),
        student_inputs(rng, 4, 2, 3, 2, 4, False, True), student_inputs(rng, 1, 3, 5, 4, 2, False, False),
    ],
    (
        ("gradient flows through the target although stop is true: it would move the target to meet the guess", STUDENT.replace("if stop:", "if False:")),
        ("the target is always cut off; where stop is false gradient flows through it", STUDENT.replace("if stop:", "if True:")),
        ("stop is turned around", STUDENT.replace("if stop:", "if not stop:")),
        ("the guess is cut off in place of the target, so that the student cannot learn", STUDENT.replace("target = target.detach()", "guess = guess.detach()")),
        ("only the matrix of the target is cut off, and gradient still goes back through the tokens: cut off the target itself", STUDENT.replace("    if stop:\n        target = target.detach()\n", "").replace("@ matrix)", "@ (matrix.detach() if stop else matrix))")),
        ("only the tokens of the target are cut off, and gradient still reaches the matrix that makes it: cut off the target itself", STUDENT.replace("    if stop:\n        target = target.detach()\n", "").replace("tokens[:, hidden]", "(tokens.detach() if stop else tokens)[:, hidden]")),
        ("with stop the loss has no gradient at all: only the target is to be cut off, not the guess", STUDENT.replace("    return (guess - target)", "        guess = guess.detach()\n    return (guess - target)")),
        ("what goes into the predictor is cut off, so that the predictor learns and the encoder does not", STUDENT.replace("guess = z @", "guess = z.detach() @")),
        ("gradient reaches the tokens only through the target: those of the guess are cut off", STUDENT.replace("tokens[:, kept]", "tokens[:, kept].detach()")),
        ("the target always comes from the teacher: where own is true it comes from the encoder", STUDENT.replace("encoder if own else teacher", "teacher")),
        ("own is turned around: where it is true the encoder makes the target", STUDENT.replace("encoder if own else teacher", "teacher if own else encoder")),
        ("the target is made of the kept tokens, so that there is nothing to guess", STUDENT.replace("tokens[:, hidden]", "tokens[:, kept]")),
        ("the target is made of all tokens; only the hidden ones are to be guessed", STUDENT.replace("tokens[:, hidden]", "tokens")),
        ("the loss is a mean of squares; asked is the mean of absolute differences", STUDENT.replace(".abs()", ".square()")),
    ),
    (
        "def student_loss(tokens, encoder, teacher, predictor, kept, hidden, own, stop):\n    def features(ids, matrix):\n        return torch.tanh(torch.einsum('bnf,fd->bnd', tokens[:, ids], matrix))\n    guess = features(kept, encoder).mean(1) @ predictor\n    with torch.set_grad_enabled(not stop):\n        target = features(hidden, encoder if own else teacher).mean(1)\n    return torch.nn.functional.l1_loss(guess, target)",
        "def student_loss(tokens, encoder, teacher, predictor, kept, hidden, own, stop):\n    if own:\n        teacher = encoder\n    total = 0\n    for clip in tokens:\n        guess = sum(torch.tanh(clip[i] @ encoder) for i in kept) / len(kept) @ predictor\n        target = sum(torch.tanh(clip[i] @ teacher) for i in hidden) / len(hidden)\n        total = total + (guess - (target.data if stop else target)).abs().sum()\n    return total / (len(tokens) * encoder.shape[1])",
    ),
    adapter="gradients",
)  # fmt: skip

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


def follow_inputs(rng: np.random.Generator, steps: int, rows: int, columns: int, momenta: list[float]) -> dict:
    """A target and its student after some steps: a matrix, a bias, a counter and a running mean."""

    def network(count: int) -> dict[str, torch.Tensor]:
        drawn = {"weight": (rows, columns), "bias": (columns,), "norm.mean": (columns,)}
        return {name: numbers(rng, *shape) for name, shape in drawn.items()} | {"norm.count": torch.tensor(count)}

    return {
        "target": network(10), "students": [network(11 + 4 * step) for step in range(steps)], "momenta": momenta,
        "buffers": ["norm.count", "norm.mean"],
    }  # fmt: skip


FOLLOW_EXERCISE = Exercise(
    "follow",
    (),  # the package's ema_update works on modules
    (
        {"target": {"weight": torch.tensor([0.0, 8.0])}, "students": [{"weight": torch.tensor([4.0, 4.0])}, {"weight": torch.tensor([8.0, 0.0])}], "momenta": [0.75, 0.5], "buffers": []},
        follow_inputs(SEEN, 3, 1, 2, [0.5, 0.75, 0.875]),
    ),
    lambda rng: [follow_inputs(rng, 4, 3, 2, [0.9, 0.6, 0.3, 0.8]), follow_inputs(rng, 2, 1, 4, [0.25, 0.7])],
    (
        ("the momentum is the share of the target that stays, and here it is the share of the student that comes in", FOLLOW.replace("momentum * old + (1 - momentum) * student[name]", "(1 - momentum) * old + momentum * student[name]")),
        ("all entries are the same tensors, changed in place, so that the earlier ones show the last step too: make new tensors", "def follow(target, students, momenta, buffers):\n    states = []\n    for student, momentum in zip(students, momenta):\n        for name in target:\n            if name in buffers:\n                target[name].copy_(student[name])\n            else:\n                target[name].mul_(momentum).add_(student[name], alpha=1 - momentum)\n        states.append(dict(target))\n    return states"),
        ("every step begins with the target of the start: go on from the step before", FOLLOW.replace("        target = new\n", "")),
        ("buffers are averaged too: half of a counter means nothing; take over the student's", FOLLOW.replace("if name in buffers:", "if False:")),
        ("buffers stay as they were in the target: take over the student's", FOLLOW.replace("student[name].clone()", "old.clone()")),
        ("buffers are left out of the result", FOLLOW.replace("new[name] = student[name].clone()", "continue").replace("target = new\n", "target = {**target, **new}\n")),
        ("all steps use the momentum of the first", FOLLOW.replace("        new = {}\n", "        new, momentum = {}, momenta[0]\n")),
        ("all steps follow the last student: each has its own", FOLLOW.replace("        new = {}\n", "        new, student = {}, students[-1]\n")),
        ("each step follows the student of the step before: the update comes after the step of the optimiser", FOLLOW.replace("        new = {}\n", "        new, student = {}, students[max(s - 1, 0)]\n")),
        ("the list begins with the target of the start; its first entry is the target after the first step", FOLLOW.replace("states = []", "states = [target]")),
        ("only the last target is returned: one for each step is asked", FOLLOW.replace("return states", "return states[-1]")),
        ("the first step takes over the student whole: it is a step like any other", FOLLOW.replace("        new = {}\n", "        new, momentum = {}, momentum if s else 0.0\n")),
        ("the student comes in whole and is not multiplied by 1 - momentum, so that weights grow", FOLLOW.replace("(1 - momentum) * student[name]", "student[name]")),
        ("the momenta are used from the last to the first", FOLLOW.replace("        new = {}\n", "        new, momentum = {}, momenta[-1 - s]\n")),
    ),
    (
        "def follow(target, students, momenta, buffers):\n    if not students:\n        return []\n    first, m = students[0], momenta[0]\n    new = {name: first[name] + 0 if name in buffers else torch.lerp(first[name], old, m) for name, old in target.items()}\n    return [new] + follow(new, students[1:], momenta[1:], buffers)",
        "def follow(target, students, momenta, buffers):\n    now = {name: old.numpy().copy() for name, old in target.items()}\n    states = []\n    for m, student in zip(momenta, students):\n        for name in now:\n            theirs = student[name].numpy()\n            if name in buffers:\n                now[name] = theirs\n            else:\n                now[name] += (1 - m) * (theirs - now[name])\n        states.append({name: torch.tensor(value) for name, value in now.items()})\n    return states",
        "def follow(target, students, momenta, buffers):\n    states = [{} for _ in students]\n    for name, start in target.items():\n        for s, student in enumerate(students):\n            if name in buffers:\n                states[s][name] = student[name]\n                continue\n            left = math.prod(momenta[:s + 1])\n            value = left * start\n            for j in range(s + 1):\n                value = value + (1 - momenta[j]) * math.prod(momenta[j + 1:s + 1]) * students[j][name]\n            states[s][name] = value\n    return states",
    ),
)  # fmt: skip

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


def plan_inputs(rng: np.random.Generator, shape: str, short: bool) -> dict:
    """A schedule whose numbers of updates do not hang on the last digit; short: it reaches its end before the run does."""
    while True:
        steps, left = int(rng.integers(5, 12)), float(rng.choice([0.1, 0.2, 0.3, 0.7]))
        start, end = float(rng.choice([0.5, 0.75])), 1.0 if short else float(rng.choice([0.9, 0.98, 0.99]))
        stretch = float(rng.choice([0.5, 0.75])) if short else float(rng.choice([1.2, 1.5]))
        share = np.minimum(1, np.arange(steps) / (steps * stretch))
        momentum = start + (end - start) * ((1 - np.cos(np.pi * share)) / 2 if shape == "cosine" else share)
        exact = math.log(left) / np.log(momentum[momentum < 1])
        if np.abs(exact - exact.round()).min() > 0.02:
            return {"steps": steps, "start": start, "end": end, "stretch": stretch, "shape": shape, "left": left}


PLAN_EXERCISE = Exercise(
    "plan",
    ("minivjepa.ema.momentum_at", "minivjepa.ema.half_life"),
    (
        {"steps": 4, "start": 0.5, "end": 1.0, "stretch": 1.0, "shape": "line", "left": 0.5},
        {"steps": 6, "start": 0.9, "end": 0.99, "stretch": 1.25, "shape": "cosine", "left": 0.3},
        {"steps": 5, "start": 0.0, "end": 1.0, "stretch": 0.5, "shape": "line", "left": 0.2},
    ),
    lambda rng: [plan_inputs(rng, "cosine", True), plan_inputs(rng, "line", False), plan_inputs(rng, "cosine", False), plan_inputs(rng, "line", True)],
    (
        ("the end is reached one step too early: the way is steps * stretch long, and not (steps - 1) * stretch", PLAN.replace("(steps * stretch)", "((steps - 1) * stretch)")),
        ("the schedule is one step ahead: step 0 has the momentum start", PLAN.replace("s / (", "(s + 1) / (")),
        ("stretch is ignored", PLAN.replace("steps * stretch", "steps")),
        ("stretch works the wrong way round: a stretch above 1 makes the way longer, so that the run ends before it", PLAN.replace("s / (steps * stretch)", "s * stretch / steps")),
        ("the momentum does not stop at the end: the share of the way is at most 1", PLAN.replace("min(1.0, s / (steps * stretch))", "s / (steps * stretch)")),
        ("shape is ignored: the schedule is always a line", PLAN.replace("if shape == 'cosine':", "if False:")),
        ("shape is ignored: the schedule is always a cosine", PLAN.replace("if shape == 'cosine':", "if True:")),
        ("the schedule runs from end to start", PLAN.replace("m = start + (end - start) * p", "m = end + (start - end) * p")),
        ("with \"cosine\" the schedule runs from end to start: at p = 0 the cosine is 1", PLAN.replace("(1 - math.cos(math.pi * p)) / 2", "(1 + math.cos(math.pi * p)) / 2")),
        ("the cosine takes p for an angle in radians: p = 1 is half of a full turn", PLAN.replace("math.pi * p", "p")),
        ("this is the half-life whatever left says", PLAN.replace("m <= left", "m <= 0.5").replace("math.log(left)", "math.log(0.5)")),
        ("left is what is left of the old target, and here it is what is gone", PLAN.replace("m <= left", "m <= 1 - left").replace("math.log(left)", "math.log(1 - left)")),
        ("the number of updates is rounded down, so that more than left is left: round up", PLAN.replace(UPDATES, "max(1, math.floor(math.log(left) / math.log(m)))")),
        ("the number of updates is rounded to the nearest: sometimes more than left is left then; round up", PLAN.replace(UPDATES, "round(math.log(left) / math.log(m))")),
        ("this is 1 / (1 - momentum), a rule of thumb; asked is when at most left is left", PLAN.replace("1 if m <= left else " + UPDATES, "round(1 / (1 - m))")),
    ),
    (
        "def plan(steps, start, end, stretch, shape, left):\n    p = np.minimum(np.arange(steps) / (steps * stretch), 1)\n    if shape == 'line':\n        m = start + (end - start) * p\n    else:\n        m = end - (end - start) * (1 + np.cos(np.pi * p)) / 2\n    n = np.full(steps, -1)\n    moving = m < 1\n    with np.errstate(divide='ignore'):\n        n[moving] = np.maximum(1, np.ceil(np.log(left) / np.log(m[moving])))\n    return m.tolist(), n.tolist()",
        "def plan(steps, start, end, stretch, shape, left):\n    way = {'line': lambda p: p, 'cosine': lambda p: math.sin(math.pi * p / 2) ** 2}[shape]\n    shares = [way(min(s / stretch / steps, 1)) for s in range(steps)]\n    momenta = [(1 - p) * start + p * end for p in shares]\n    def wait(m):\n        old, n = m, 1\n        while old > left:\n            old, n = old * m, n + 1\n        return n\n    return momenta, [wait(m) if m < 1 else -1 for m in momenta]",
    ),
)  # fmt: skip

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


def audit_inputs(
    rng: np.random.Generator, shape: tuple[int, int, int], zero: tuple[str, ...], more: tuple[str, ...], stop: bool
) -> dict:
    """shape: features of a token, D (even) and P.  zero: tensors that start at zero.  more: tensors that the loss does not use."""
    inputs, dim, inner = shape
    tokens = numbers(rng, 7, inputs) + 2.25  # all above 0 ...
    tokens[:, 0] = 0.0  # ... but for one feature, for which a gradient has a row of zeros
    weights = {
        "encoder.project": numbers(rng, inputs, dim).abs() + 0.25, "encoder.bias": numbers(rng, dim).abs() + 0.25,
        "predictor.enter": numbers(rng, dim, inner), "predictor.mask_token": numbers(rng, inner), "predictor.leave": numbers(rng, inner, dim) / 4 + 0.03125,
        "predictor.offset": torch.tensor([512.0, -512.0] * (dim // 2)),  # guesses far above and below the target: this gradient adds up to 0
        "target.project": numbers(rng, inputs, dim).abs() + 0.25, "target.bias": numbers(rng, dim).abs() + 0.25,
    } | {name: numbers(rng, 2) for name in more}  # fmt: skip
    for name in zero:  # a bias is set so far down that its units never wake
        weights[name] = torch.zeros_like(weights[name]) - (99.0 if name == "encoder.bias" else 0.0)
    ids = torch.from_numpy(rng.permutation(7))
    order = list(weights) if stop else sorted(weights)
    weights = {name: weights[name] for name in order}
    return {"weights": weights, "tokens": tokens, "kept": ids[:4], "hidden": ids[4:], "stop": stop}


AUDIT_EXERCISE = Exercise(
    "audit",
    (),
    (
        {"weights": {"encoder.project": torch.tensor([[1.0]]), "encoder.bias": torch.tensor([1.0]), "predictor.mask_token": torch.tensor([0.0]),
                     "predictor.enter": torch.tensor([[1.0]]), "predictor.leave": torch.tensor([[0.0]]), "predictor.offset": torch.tensor([-1.0]),
                     "target.project": torch.tensor([[1.0]]), "target.bias": torch.tensor([1.0])},
         "tokens": torch.tensor([[1.0], [2.0]]), "kept": torch.tensor([0]), "hidden": torch.tensor([1]), "stop": True},
        audit_inputs(SEEN, (3, 2, 2), (), (), True),
        audit_inputs(SEEN, (2, 2, 3), ("encoder.bias", "predictor.mask_token"), ("probe.norm.weight",), False),
    ),
    lambda rng: [
        audit_inputs(rng, (3, 4, 2), ("predictor.leave",), ("head.weight", "head.norm.weight"), True), audit_inputs(rng, (4, 2, 5), ("encoder.bias",), ("encoder.spare",), False),
        audit_inputs(rng, (2, 6, 3), ("predictor.leave", "predictor.mask_token"), ("probe.weight",), False), audit_inputs(rng, (5, 4, 4), (), ("predictor.spare",), True),
    ],
    (
        ("a gradient of zeros counts as a gradient here: look at its numbers, and not only whether it is there", AUDIT.replace(PLACE, "2 if g is None else 0")),
        ("tensors with a gradient of zeros are counted as tensors without one", AUDIT.replace(PLACE, "0 if g is not None and bool((g != 0).any()) else 2")),
        ("tensors without a gradient are counted as having zeros", AUDIT.replace(PLACE, "0 if g is not None and bool((g != 0).any()) else 1")),
        ("the numbers of a gradient are summed, and they can cancel: zero everywhere is something else than zero in sum", AUDIT.replace("bool((g != 0).any())", "float(g.sum()) != 0")),
        ("only a gradient with a sum above 0 counts here: a gradient can be negative, and its numbers can cancel", AUDIT.replace("bool((g != 0).any())", "float(g.sum()) > 0")),
        ("one zero is enough here to count a gradient as zeros: it has to be zero everywhere", AUDIT.replace(".any()", ".all()")),
        ("this looks at the weights, and not at their gradients, for zeros", AUDIT.replace("(g != 0)", "(copy != 0)")),
        ("this counts what wants a gradient (requires_grad), and not what got one", AUDIT.replace(PLACE, "0 if copy.requires_grad else 2")),
        ("single numbers are counted; asked are tensors", AUDIT.replace("+= 1", "+= copy.numel()")),
        ("the part is what stands before the first dot of a name, not what stands after it", AUDIT.replace("name.split('.')[0]", "name.split('.')[1]")),
        ("the part is cut at the last dot of a name: cut at the first", AUDIT.replace("name.split('.')[0]", "name.rsplit('.', 1)[0]")),
        ("tensors without a gradient are left out: they have a count too", AUDIT.replace("    for name, copy in copies.items():\n", "    for name, copy in copies.items():\n        if copy.grad is None:\n            continue\n")),
        ("only encoder, predictor and target are counted: weights may have other parts", AUDIT.replace("    return counts", "    return {part: counts[part] for part in ('encoder', 'predictor', 'target')}")),
        ("the gradient is always stopped at the target: hand stop on", AUDIT.replace("hidden, stop)", "hidden, True)", 2).replace("def audit(weights, tokens, kept, hidden, True)", "def audit(weights, tokens, kept, hidden, stop)")),
        ("the gradient is never stopped at the target: hand stop on", AUDIT.replace("hidden, stop)", "hidden, False)", 2).replace("def audit(weights, tokens, kept, hidden, False)", "def audit(weights, tokens, kept, hidden, stop)")),
        ("only the last tensor of each part is counted: add to what is there", AUDIT.replace("counts.setdefault(name.split('.')[0], [0, 0, 0])", "counts[name.split('.')[0]] = [0, 0, 0]")),
    ),
    (
        "def audit(weights, tokens, kept, hidden, stop):\n    names = list(weights)\n    leaves = [weights[name].detach().clone().requires_grad_(True) for name in names]\n    loss = toy_loss(dict(zip(names, leaves)), tokens, kept, hidden, stop)\n    found = torch.autograd.grad(loss, leaves, allow_unused=True)\n    def state(g):\n        return 'none' if g is None else 'moves' if g.abs().max() > 0 else 'zeros'\n    states = [(name.partition('.')[0], state(g)) for name, g in zip(names, found)]\n    return {part: tuple(states.count((part, word)) for word in ('moves', 'zeros', 'none')) for part, _ in states}",
        "def audit(weights, tokens, kept, hidden, stop):\n    tracked = {}\n    for name in weights:\n        tracked[name] = torch.nn.Parameter(weights[name].clone())\n    toy_loss(tracked, tokens, kept, hidden, stop).backward()\n    table = {}\n    for name, p in tracked.items():\n        part = name[:name.index('.')]\n        moves, zeros, none = table.get(part, (0, 0, 0))\n        if p.grad is None:\n            none += 1\n        elif torch.count_nonzero(p.grad) == 0:\n            zeros += 1\n        else:\n            moves += 1\n        table[part] = (moves, zeros, none)\n    return table",
    ),
)  # fmt: skip

EXERCISES = [
    EMBED_KEPT, ATTEND_EXERCISE, PREDICT_EXERCISE, LATENT_LOSS, STUDENT_LOSS, FOLLOW_EXERCISE, PLAN_EXERCISE, AUDIT_EXERCISE
]  # fmt: skip
