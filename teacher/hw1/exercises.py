"""Homework 1: the cases of every exercise, the mistakes that people make, and right answers in other styles."""

import numpy as np
import torch
from assignment import Exercise


def numbers(rng: np.random.Generator, *shape: int) -> torch.Tensor:
    """Uniform random numbers, float32."""
    return torch.from_numpy(rng.random(shape).astype(np.float32))


def clip(rng: np.random.Generator, *shape: int) -> torch.Tensor:
    """A clip in which every value is another whole number: easy to follow through an operation."""
    return torch.from_numpy(rng.permutation(int(np.prod(shape))).reshape(shape).astype(np.float32))


SEEN = np.random.default_rng(0)  # of the visible inputs

GRID_SHAPE = Exercise(
    "grid_shape",
    ("minivjepa.tubelets.Grid",),
    (
        {"frames": 16, "height": 224, "width": 224, "tubelet": 2, "patch": 16},
        {"frames": 8, "height": 64, "width": 96, "tubelet": 4, "patch": 8},
    ),
    lambda rng: [
        {"frames": int(rng.integers(9, 40)), "height": int(rng.integers(50, 90)), "width": int(rng.integers(100, 200)),
         "tubelet": int(rng.integers(2, 5)), "patch": int(rng.integers(7, 17))}
        for _ in range(4)
    ],
    (
        ("time is cut into tubelets too: divide the frames by the tubelet's depth", "def grid_shape(frames, height, width, tubelet, patch):\n    t, h, w = frames, height // patch, width // patch\n    return (t, h, w), t * h * w"),
        ("width and height are exchanged: the grid is (t, h, w)", "def grid_shape(frames, height, width, tubelet, patch):\n    t, h, w = frames // tubelet, width // patch, height // patch\n    return (t, h, w), t * h * w"),
        ("this works for square frames only: rows come from the height, columns from the width", "def grid_shape(frames, height, width, tubelet, patch):\n    side = height // patch\n    return (frames // tubelet, side, side), frames // tubelet * side * side"),
        ("what is left over is dropped, and here a started tubelet is counted as a whole one: divide with //", "def grid_shape(frames, height, width, tubelet, patch):\n    t, h, w = -(-frames // tubelet), -(-height // patch), -(-width // patch)\n    return (t, h, w), t * h * w"),
        ("these are the tokens of one frame: multiply by the time steps as well", "def grid_shape(frames, height, width, tubelet, patch):\n    t, h, w = frames // tubelet, height // patch, width // patch\n    return (t, h, w), h * w"),
        ("round the grid, not the product: a token cannot be put together from leftovers", "def grid_shape(frames, height, width, tubelet, patch):\n    t, h, w = frames // tubelet, height // patch, width // patch\n    return (t, h, w), frames * height * width // (tubelet * patch * patch)"),
        ("one tubelet too many along time: 16 frames in pairs are 8 steps, not 9", "def grid_shape(frames, height, width, tubelet, patch):\n    t, h, w = frames // tubelet + 1, height // patch, width // patch\n    return (t, h, w), t * h * w"),
        ("this is the answer to one example; compute it from the arguments", "def grid_shape(frames, height, width, tubelet, patch):\n    return (8, 14, 14), 1568"),
    ),
    (
        "def grid_shape(frames, height, width, tubelet, patch):\n    shape = [int(a / b) for a, b in zip((frames, height, width), (tubelet, patch, patch))]\n    return shape, math.prod(shape)",
        "def grid_shape(frames, height, width, tubelet, patch):\n    grid = np.array([frames, height, width]) // np.array([tubelet, patch, patch])\n    return tuple(int(n) for n in grid), int(grid.prod())",
    ),
)  # fmt: skip

CUT = Exercise(
    "cut",
    ("minivjepa.tubelets.patchify", "minivjepa.tubelets.unpatchify"),
    (
        {"clip": clip(SEEN, 1, 1, 2, 4, 4), "tubelet": 2, "patch": 2, "order": "thw"},
        {"clip": clip(SEEN, 2, 2, 4, 4, 4), "tubelet": 2, "patch": 2, "order": "thw"},
        {"clip": clip(SEEN, 1, 2, 4, 4, 4), "tubelet": 2, "patch": 2, "order": "wth"},
    ),
    lambda rng: [
        {"clip": clip(rng, 2, 3, 6, 4, 8), "tubelet": 3, "patch": 2, "order": order} for order in rng.permutation(["thw", "hwt", "wht", "htw"])[:3].tolist()
    ],
    (
        ("the argument order is ignored: tokens are always listed time, row, column", "def cut(clip, tubelet, patch, order):\n    return einops.rearrange(clip, 'B C (t dt) (h dh) (w dw) -> B (t h w) (dt dh dw C)', dt=tubelet, dh=patch, dw=patch)"),
        ("the values of a token have the channels first (slowest); they are asked last (fastest)", "def cut(clip, tubelet, patch, order):\n    return einops.rearrange(clip, f\"B C (t dt) (h dh) (w dw) -> B ({' '.join(order)}) (C dt dh dw)\", dt=tubelet, dh=patch, dw=patch)"),
        ("inside a token, columns are slower than rows: exchange dh and dw", "def cut(clip, tubelet, patch, order):\n    return einops.rearrange(clip, f\"B C (t dt) (h dh) (w dw) -> B ({' '.join(order)}) (dt dw dh C)\", dt=tubelet, dh=patch, dw=patch)"),
        ("this splits each axis the wrong way round: neighbouring pixels belong to one tubelet, so the inner part is (h dh), not (dh h)", "def cut(clip, tubelet, patch, order):\n    return einops.rearrange(clip, f\"B C (dt t) (dh h) (dw w) -> B ({' '.join(order)}) (dt dh dw C)\", dt=tubelet, dh=patch, dw=patch)"),
        ("reshape alone does not cut: it only reads the same numbers row by row; axes have to change places", "def cut(clip, tubelet, patch, order):\n    B, C = clip.shape[:2]\n    return clip.reshape(B, -1, tubelet * patch * patch * C)"),
        ("the letters of order are read backwards: the first is the slowest axis", "def cut(clip, tubelet, patch, order):\n    return einops.rearrange(clip, f\"B C (t dt) (h dh) (w dw) -> B ({' '.join(order[::-1])}) (dt dh dw C)\", dt=tubelet, dh=patch, dw=patch)"),
        ("only the first frame of each tubelet is kept: a token has the pixels of all its frames", "def cut(clip, tubelet, patch, order):\n    return einops.rearrange(clip[:, :, ::tubelet], f\"B C t (h dh) (w dw) -> B ({' '.join(order)}) (dh dw C)\", dh=patch, dw=patch)"),
        ("the clips of the batch are put behind one another: keep the batch axis", "def cut(clip, tubelet, patch, order):\n    return einops.rearrange(clip, f\"B C (t dt) (h dh) (w dw) -> (B {' '.join(order)}) (dt dh dw C)\", dt=tubelet, dh=patch, dw=patch)"),
    ),
    (
        "def cut(clip, tubelet, patch, order):\n    B, C, T, H, W = clip.shape\n    x = clip.reshape(B, C, T // tubelet, tubelet, H // patch, patch, W // patch, patch)\n    place = {'t': 2, 'h': 4, 'w': 6}\n    return x.permute(0, *(place[a] for a in order), 3, 5, 7, 1).reshape(B, -1, tubelet * patch * patch * C)",
        "def cut(clip, tubelet, patch, order):\n    B, C, T, H, W = clip.shape\n    counts = {'t': T // tubelet, 'h': H // patch, 'w': W // patch}\n    tokens = []\n    for a in range(counts[order[0]]):\n        for b in range(counts[order[1]]):\n            for c in range(counts[order[2]]):\n                at = dict(zip(order, (a, b, c)))\n                t, h, w = at['t'] * tubelet, at['h'] * patch, at['w'] * patch\n                piece = clip[:, :, t:t + tubelet, h:h + patch, w:w + patch]\n                tokens.append(piece.permute(0, 2, 3, 4, 1).flatten(1))\n    return torch.stack(tokens, dim=1)",
    ),
)  # fmt: skip

AXIS = "def positions(shape, dims, base):\n    t, h, w = shape\n    n = torch.arange(t * h * w)\n    places = (n // (h * w), n // w % h, n % w)\n    parts = []\n    for place, d in zip(places, dims):\n        frequency = FREQUENCY\n        angle = place[:, None] * frequency\n        parts.append(PART)\n    return torch.cat(parts, dim=1).float()"
GOOD = ("base ** -(torch.arange(d // 2) / (d / 2))", "torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)")


def axis(frequency: str = GOOD[0], part: str = GOOD[1]) -> str:
    """The answer with another way to make frequencies, or to put sine and cosine together."""
    return AXIS.replace("FREQUENCY", frequency).replace("PART", part)


POSITIONS = Exercise(
    "positions",
    ("minivjepa.tubelets.sincos_positions", "minivjepa.tubelets.axis_positions", "minivjepa.tubelets.added_positions"),
    (
        {"shape": (2, 2, 2), "dims": (2, 2, 2), "base": 10000.0},
        {"shape": (2, 3, 3), "dims": (4, 4, 4), "base": 10000.0},
        {"shape": (4, 2, 2), "dims": (2, 6, 4), "base": 100.0},
    ),
    lambda rng: [
        {"shape": tuple(rng.integers(2, 6, 3).tolist()), "dims": tuple((2 * rng.integers(1, 5, 3)).tolist()), "base": float(rng.choice([50, 500, 5000]))} for _ in range(3)
    ],
    (
        ("all sines stand before all cosines, as in V-JEPA; here they are interleaved", axis(part="torch.cat([angle.sin(), angle.cos()], dim=1)")),
        ("cosine and sine are exchanged: the sine comes first in each pair", axis(part="torch.stack([angle.cos(), angle.sin()], dim=-1).flatten(1)")),
        ("the base is fixed at 10000: use the argument", axis(frequency="10000.0 ** -(torch.arange(d // 2) / (d / 2))")),
        ("the exponent has the wrong sign: frequencies fall with i", axis(frequency="base ** (torch.arange(d // 2) / (d / 2))")),
        ("the exponent divides by d and not by d / 2, so that frequencies fall half as fast", axis(frequency="base ** -(torch.arange(d // 2) / d)")),
        ("rows and columns are exchanged: token n has the row n // w % h and the column n % w", axis().replace("n // w % h, n % w", "n % w, n // w % h")),
        ("the row is computed with the height in place of the width, which works for square grids only", axis().replace("n // w % h, n % w", "n // h % h, n % h")),
        ("space comes before time: the three parts stand in the order time, row, column", axis().replace("return torch.cat(parts, dim=1)", "return torch.cat([*parts[1:], parts[0]], dim=1)")),
        ("every axis gets as many numbers as the first; dims gives each its own", axis().replace("for place, d in zip(places, dims)", "for place, d in zip(places, [dims[0]] * 3)")),
    ),
    (
        "def positions(shape, dims, base):\n    rows = []\n    for t in range(shape[0]):\n        for h in range(shape[1]):\n            for w in range(shape[2]):\n                row = []\n                for p, d in zip((t, h, w), dims):\n                    for i in range(d // 2):\n                        a = p * base ** (-2 * i / d)\n                        row += [math.sin(a), math.cos(a)]\n                rows.append(row)\n    return torch.tensor(rows)",
        "def positions(shape, dims, base):\n    def one(length, d):\n        out = torch.zeros(length, d)\n        angle = torch.arange(length)[:, None] / base ** (torch.arange(0, d, 2) / d)\n        out[:, 0::2], out[:, 1::2] = angle.sin(), angle.cos()\n        return out\n    t, h, w = (one(n, d) for n, d in zip(shape, dims))\n    full = (*shape,)\n    parts = [t[:, None, None].expand(*full, -1), h[None, :, None].expand(*full, -1), w[None, None].expand(*full, -1)]\n    return torch.cat(parts, dim=-1).reshape(-1, sum(dims))",
    ),
)  # fmt: skip

RANDOM = "def random_mask(noise, ratio):\n    N = noise.shape[1]\n    kept = KEPT\n    order = noise.argsort(dim=1)\n    return order[:, :kept].sort(dim=1).values, order[:, kept:].sort(dim=1).values"
RANDOM_MASK = Exercise(
    "random_mask",
    ("minivjepa.masking.parse_mask", "minivjepa.masking.split_by_score"),
    (
        {"noise": numbers(SEEN, 1, 6), "ratio": 0.5},
        {"noise": numbers(SEEN, 3, 10), "ratio": 0.75},
        {"noise": numbers(SEEN, 2, 8), "ratio": 0.9},
    ),
    lambda rng: [{"noise": numbers(rng, 4, int(rng.integers(11, 40))), "ratio": float(ratio)} for ratio in rng.choice([0.15, 0.35, 0.65, 0.85], 3, replace=False)],
    (
        ("the mask is inverted: context and target are exchanged", RANDOM.replace("KEPT", "N - round(ratio * N)").replace("return order[:, :kept].sort(dim=1).values, order[:, kept:].sort(dim=1).values", "return order[:, kept:].sort(dim=1).values, order[:, :kept].sort(dim=1).values")),
        ("the tokens with the smallest noise are hidden; hide those with the largest", RANDOM.replace("KEPT", "N - round(ratio * N)").replace("noise.argsort(dim=1)", "noise.argsort(dim=1, descending=True)")),
        ("ratio is the share to hide, and here it is the share that is kept", RANDOM.replace("KEPT", "round(ratio * N)")),
        ("the ids are not sorted: each row is to rise", RANDOM.replace("KEPT", "N - round(ratio * N)").replace(".sort(dim=1).values", "")),
        ("the number to hide is cut off, not rounded to the nearest", RANDOM.replace("KEPT", "N - int(ratio * N)")),
        ("every clip gets the mask of the first: sort each row of the noise", RANDOM.replace("KEPT", "N - round(ratio * N)").replace("noise.argsort(dim=1)", "noise[:1].argsort(dim=1).expand(len(noise), -1)")),
        ("these are places in the sorted list (ranks), not ids of tokens", RANDOM.replace("KEPT", "N - round(ratio * N)").replace("noise.argsort(dim=1)", "noise.argsort(dim=1).argsort(dim=1)")),
        ("the noise is compared with the ratio, so that clips hide different numbers: hide exactly round(ratio * N)", "def random_mask(noise, ratio):\n    cut = noise.shape[1] - round(ratio * noise.shape[1])\n    hidden = noise > 1 - ratio\n    smallest = int((~hidden).sum(dim=1).min())\n    rest = noise.shape[1] - int((~hidden).sum(dim=1).max())\n    return torch.stack([(~row).nonzero().flatten()[:smallest] for row in hidden]), torch.stack([row.nonzero().flatten()[:rest] for row in hidden])"),
    ),
    (
        "def random_mask(noise, ratio):\n    M = round(ratio * noise.shape[1])\n    target = noise.topk(M, dim=1).indices.sort(dim=1).values\n    context = [[i for i in range(noise.shape[1]) if i not in set(row.tolist())] for row in target]\n    return torch.tensor(context).reshape(len(noise), -1), target",
        "def random_mask(noise, ratio):\n    M = round(ratio * noise.shape[1])\n    hidden = torch.zeros_like(noise, dtype=torch.bool)\n    hidden.scatter_(1, noise.argsort(dim=1, descending=True)[:, :M], True)\n    pick = lambda rows: torch.stack([row.nonzero().flatten() for row in rows])\n    return pick(~hidden), pick(hidden)",
    ),
)  # fmt: skip

TUBE = "def tube_mask(noise, ratio, steps, time_major):\n    S = noise.shape[1]\n    places = noise.argsort(dim=1)[:, : S - round(ratio * S)]\n    time = torch.arange(steps)\n    ids = time[None, :, None] * S + places[:, None] if time_major else places[:, :, None] * steps + time\n    return ids.flatten(1).sort(dim=1).values"
TUBE_MASK = Exercise(
    "tube_mask",
    ("minivjepa.masking.parse_mask", "minivjepa.masking.split_by_score"),
    (
        {"noise": numbers(SEEN, 1, 4), "ratio": 0.5, "steps": 2, "time_major": True},
        {"noise": numbers(SEEN, 2, 6), "ratio": 0.5, "steps": 3, "time_major": True},
        {"noise": numbers(SEEN, 2, 6), "ratio": 0.7, "steps": 2, "time_major": False},
    ),
    lambda rng: [
        {"noise": numbers(rng, 3, int(rng.integers(7, 20))), "ratio": float(rng.choice([0.3, 0.6, 0.8])), "steps": int(rng.integers(3, 7)), "time_major": bool(major)} for major in (0, 1, 0)
    ],
    (
        ("the hidden places are returned: the context is what is kept", TUBE.replace("[:, : S - round(ratio * S)]", "[:, S - round(ratio * S) :]")),
        ("ids are always time-major: the argument time_major is ignored", TUBE.replace(" if time_major else places[:, :, None] * steps + time", "")),
        ("the two orders of ids are exchanged", TUBE.replace("if time_major else", "if not time_major else")),
        ("only the first time step is listed: a tube goes through all of them", TUBE.replace("time = torch.arange(steps)", "time = torch.arange(1)")),
        ("the last time step is missing: steps count from 0 to steps - 1", TUBE.replace("time = torch.arange(steps)", "time = torch.arange(steps - 1)")),
        ("the smallest noise is hidden; hide the places with the largest", TUBE.replace("noise.argsort(dim=1)", "noise.argsort(dim=1, descending=True)")),
        ("all clips get the places of the first one", TUBE.replace("noise.argsort(dim=1)", "noise[:1].argsort(dim=1).expand(len(noise), -1)")),
        ("step s begins at s times the number of all places, and here at s times that of the kept ones", TUBE.replace("time[None, :, None] * S", "time[None, :, None] * places.shape[1]")),
        ("the ids are not sorted: each row is to rise", TUBE.replace(".sort(dim=1).values", "")),
    ),
    (
        "def tube_mask(noise, ratio, steps, time_major):\n    out = []\n    for row in noise:\n        S = len(row)\n        hidden = set(row.argsort(descending=True)[:round(ratio * S)].tolist())\n        ids = [s * S + p if time_major else p * steps + s for s in range(steps) for p in range(S) if p not in hidden]\n        out.append(sorted(ids))\n    return torch.tensor(out)",
        "def tube_mask(noise, ratio, steps, time_major):\n    B, S = noise.shape\n    keep = torch.ones(B, S, dtype=torch.bool)\n    keep.scatter_(1, noise.topk(round(ratio * S), dim=1).indices, False)\n    full = keep[:, None].expand(B, steps, S) if time_major else keep[:, :, None].expand(B, S, steps)\n    return torch.stack([row.flatten().nonzero().flatten() for row in full])",
    ),
)  # fmt: skip

BLOCK = "def block_map(corners, size, frame, wrap):\n    h, w = frame\n    out = torch.zeros(h, w, dtype=torch.bool)\n    for top, left in corners:\n        for r in range(top, top + size[0]):\n            for c in range(left, left + size[1]):\n                if wrap:\n                    out[r % h, c % w] = True\n                elif r < h and c < w:\n                    out[r, c] = True\n    return out"
BLOCK_MAP = Exercise(
    "block_map",
    ("minivjepa.masking.parse_mask", "minivjepa.masking.draw_blocks"),
    (
        {"corners": [(1, 2)], "size": (2, 3), "frame": (5, 8), "wrap": False},
        {"corners": [(0, 0), (3, 6)], "size": (3, 4), "frame": (5, 8), "wrap": False},
        {"corners": [(0, 1), (3, 6)], "size": (3, 4), "frame": (5, 8), "wrap": True},
    ),
    lambda rng: [
        {"corners": [(int(rng.integers(0, 7)), int(rng.integers(0, 9))) for _ in range(3)] + [(6, 8)], "size": (3, 4), "frame": (7, 9), "wrap": wrap} for wrap in (True, False)
    ],
    (
        ("the map is inverted: true is where a block hides", BLOCK.replace("return out", "return ~out")),
        ("rows and columns are exchanged: a corner is (row, column)", BLOCK.replace("for top, left in corners", "for left, top in corners")),
        ("the size is read as (columns, rows); it is (rows, columns)", BLOCK.replace("top + size[0]", "top + size[1]").replace("left + size[1]", "left + size[0]")),
        ("blocks go on at the opposite edge even when wrap is false", BLOCK.replace("if wrap:", "if True:")),
        ("blocks are cut off at the edge even when wrap is true", BLOCK.replace("if wrap:", "if False:")),
        ("a block is one row and one column too large: it ends before top + rows", BLOCK.replace("top + size[0]", "top + size[0] + 1").replace("left + size[1]", "left + size[1] + 1")),
        ("only the last block is on the map: keep what the others have hidden", BLOCK.replace("    for top, left in corners:\n", "    for top, left in corners:\n        out = torch.zeros(h, w, dtype=torch.bool)\n")),
        ("this is what all blocks hide together (and); asked is what any of them hides (or)", "def block_map(corners, size, frame, wrap):\n    h, w = frame\n    out = torch.ones(h, w, dtype=torch.bool)\n    for top, left in corners:\n        one = torch.zeros(h, w, dtype=torch.bool)\n        for r in range(top, top + size[0]):\n            for c in range(left, left + size[1]):\n                if wrap:\n                    one[r % h, c % w] = True\n                elif r < h and c < w:\n                    one[r, c] = True\n        out &= one\n    return out"),
        ("a block that does not fit is moved back inside; here it is cut off or goes on at the other side", "def block_map(corners, size, frame, wrap):\n    h, w = frame\n    out = torch.zeros(h, w, dtype=torch.bool)\n    for top, left in corners:\n        top, left = min(top, h - size[0]), min(left, w - size[1])\n        out[top:top + size[0], left:left + size[1]] = True\n    return out"),
    ),
    (
        "def block_map(corners, size, frame, wrap):\n    out = torch.zeros(frame, dtype=torch.bool)\n    for top, left in corners:\n        r, c = torch.arange(top, top + size[0]), torch.arange(left, left + size[1])\n        r, c = (r % frame[0], c % frame[1]) if wrap else (r[r < frame[0]], c[c < frame[1]])\n        out[r[:, None], c] = True\n    return out",
        "def block_map(corners, size, frame, wrap):\n    r, c = torch.arange(frame[0])[:, None], torch.arange(frame[1])\n    out = torch.zeros(frame).bool()\n    for top, left in corners:\n        dr, dc = r - top, c - left\n        if wrap:\n            dr, dc = dr % frame[0], dc % frame[1]\n        out = out | ((dr >= 0) & (dr < size[0]) & (dc >= 0) & (dc < size[1]))\n    return out",
    ),
)  # fmt: skip

SMALLEST = "def cut_to_smallest(visible, keep):\n    lists = [row.nonzero().flatten() for row in visible]\n    K = min(len(ids) for ids in lists)\n    if keep == 'first':\n        return torch.stack([ids[:K] for ids in lists])\n    return torch.stack([ids[torch.arange(K) * len(ids) // K] for ids in lists])"


def masks(rng: np.random.Generator, clips: int, tokens: int, share: float) -> torch.Tensor:
    """Which tokens are visible: three in the first clip, and more in the others."""
    visible = rng.random((clips, tokens)) < share
    visible[:, [0, 1, tokens // 2, tokens - 2]] = True
    visible[0] = False
    visible[0, [1, tokens // 4, tokens // 2]] = True
    return torch.from_numpy(visible)


CUT_TO_SMALLEST = Exercise(
    "cut_to_smallest",
    ("minivjepa.masking.parse_mask", "minivjepa.masking.OfficialBlocks"),
    (
        {"visible": torch.tensor([[1, 1, 0, 1, 1], [0, 1, 0, 1, 0]], dtype=torch.bool), "keep": "first"},
        {"visible": masks(SEEN, 3, 12, 0.6), "keep": "first"},
        {"visible": masks(SEEN, 3, 12, 0.7), "keep": "spread"},
    ),
    lambda rng: [{"visible": masks(rng, 5, int(rng.integers(15, 40)), float(rng.choice([0.3, 0.5, 0.8]))), "keep": keep} for keep in ("spread", "first", "spread")],
    (
        ("the hidden ids are listed: true means visible", SMALLEST.replace("row.nonzero()", "(~row).nonzero()")),
        ("each clip keeps its last ids; asked are the first", SMALLEST.replace("ids[:K]", "ids[len(ids) - K:]")),
        ("keep is ignored: the first ids are kept even for spread", SMALLEST.replace("if keep == 'first':", "if True:")),
        ("the rows have different lengths: cut every clip to the smallest number of the batch", "def cut_to_smallest(visible, keep):\n    return [row.nonzero().flatten().tolist() for row in visible]"),
        ("spread places are rounded to the nearest, and they are to be rounded down", SMALLEST.replace("torch.arange(K) * len(ids) // K", "(torch.arange(K) * len(ids) / K).round().long()")),
        ("spread goes from the first to the last id: n / K per step, beginning at 0, does not reach the last", SMALLEST.replace("torch.arange(K) * len(ids) // K", "torch.arange(K) * (len(ids) - 1) // max(K - 1, 1)")),
        ("one id too few: K is the smallest number of visible ids itself", SMALLEST.replace("K = min(len(ids) for ids in lists)", "K = min(len(ids) for ids in lists) - 1")),
        ("these are places in the lists of visible ids, not the ids", SMALLEST.replace("return torch.stack([ids[:K] for ids in lists])", "return torch.stack([torch.arange(K) for ids in lists])").replace("ids[torch.arange(K) * len(ids) // K]", "torch.arange(K) * len(ids) // K")),
        ("the step is rounded before it is multiplied, so that the end of the list is never reached: j * n // K, not j * (n // K)", SMALLEST.replace("torch.arange(K) * len(ids) // K", "torch.arange(K) * (len(ids) // K)")),
    ),
    (
        "def cut_to_smallest(visible, keep):\n    K = int(visible.sum(dim=1).min())\n    out = torch.zeros(len(visible), K, dtype=torch.int64)\n    for b in range(len(visible)):\n        ids = [i for i, v in enumerate(visible[b].tolist()) if v]\n        for j in range(K):\n            out[b, j] = ids[j] if keep == 'first' else ids[math.floor(j * len(ids) / K + 1e-9)]\n    return out",
        "def cut_to_smallest(visible, keep):\n    K = visible.sum(1).min().item()\n    rank = visible.long().cumsum(1) - 1\n    rows = []\n    for v, r in zip(visible, rank):\n        n = int(v.sum())\n        wanted = torch.arange(K) if keep == 'first' else torch.div(torch.arange(K) * n, K, rounding_mode='floor')\n        rows.append((v & torch.isin(r, wanted)).nonzero()[:, 0])\n    return torch.stack(rows)",
    ),
)  # fmt: skip

COVER = "def coverage(ids, shape):\n    t, h, w = shape\n    counts = torch.bincount(ids.flatten(), minlength=t * h * w).reshape(t, h, w)\n    return counts.float().mean(dim=0) / len(ids)"


def draws(rng: np.random.Generator, count: int, tokens: int, kept: int) -> torch.Tensor:
    """Sorted ids of random contexts; early tokens are kept more often."""
    scores = rng.random((count, tokens)) + np.linspace(0.4, 0, tokens)
    return torch.from_numpy(np.sort(np.argsort(-scores, axis=1)[:, :kept], axis=1))


COVERAGE = Exercise(
    "coverage",
    ("minivjepa.masking.coverage",),
    (
        {"ids": torch.tensor([[0, 1, 4], [0, 3, 6]]), "shape": (2, 2, 2)},
        {"ids": draws(SEEN, 10, 24, 9), "shape": (2, 3, 4)},
    ),
    lambda rng: [{"ids": draws(rng, 12, t * h * w, t * h * w // 3), "shape": (t, h, w)} for t, h, w in [(3, 4, 5), (4, 2, 6)]],
    (
        ("these are counts; divide by the number of draws", COVER.replace(" / len(ids)", "")),
        ("the counts are summed over time: average over time steps, or divide by their number as well", COVER.replace(".mean(dim=0)", ".sum(dim=0)")),
        ("counts are normalised to add up to one; asked is how often each place is kept", COVER.replace("counts.float().mean(dim=0) / len(ids)", "counts.float().sum(dim=0) / ids.numel()")),
        ("this is the share that is hidden", COVER.replace("return counts", "return 1 - counts")),
        ("ids are time-major: the shape of the counts is [t, h, w], and here time is the fastest axis", COVER.replace(".reshape(t, h, w)", ".reshape(h, w, t).permute(2, 0, 1)")),
        ("rows and columns are exchanged: each step is [h, w]", COVER.replace(".reshape(t, h, w)", ".reshape(t, w, h).transpose(1, 2)")),
        ("only the first time step is counted", COVER.replace(".float().mean(dim=0)", ".float()[0]")),
        ("the result still has a time axis: average over it", COVER.replace(".mean(dim=0)", "")),
    ),
    (
        "def coverage(ids, shape):\n    t, h, w = shape\n    kept = torch.zeros(len(ids), t * h * w).scatter(1, ids, 1.0)\n    return kept.reshape(len(ids), t, h, w).mean(dim=(0, 1))",
        "def coverage(ids, shape):\n    t, h, w = shape\n    out = np.zeros((h, w), dtype=np.float32)\n    for row in ids.tolist():\n        for i in row:\n            out[i // w % h, i % w] += 1\n    return out / (t * len(ids))",
    ),
)  # fmt: skip

EXERCISES = [GRID_SHAPE, CUT, POSITIONS, RANDOM_MASK, TUBE_MASK, BLOCK_MAP, CUT_TO_SMALLEST, COVERAGE]
