"""Homework 1: the cases of every exercise, the mistakes that people make, and right answers in other styles.

For each exercise: its rules by name, the inputs drawn for hidden cases, how mistakes change the right answer, and the Exercise.
"""

import numpy as np
import torch
from assignment import Exercise
from drawing import Drawn, changed

from minivjepa_course.homework.cases import Inputs


def whole(rng: np.random.Generator, low: int, high: int, count: int) -> list[int]:
    """Different whole numbers from low to high, in random order."""
    return [int(number) for number in rng.permutation(np.arange(low, high + 1))[:count]]


# --- grid_shape ---

EXACT_COUNTS = (
    "counts are exact: 49 frames are one tubelet of 49 frames, though 49 * (1 / 49) is a bit less than 1 in floats"
)
CUTS = "a tubelet is `tubelet` frames deep, and `patch` pixels high and wide"
LEFTOVER = "what is left over at the end of an axis is dropped"
SHORT = "an axis that is shorter than a tubelet has none"


def clip_sizes(counts: list[int], left: list[int], tubelet: int, patch: int) -> dict[str, int]:
    """Inputs of grid_shape: `counts` tubelets along each axis, and `left` frames, rows and columns more."""
    frames, height, width = (n * size + more for n, size, more in zip(counts, (tubelet, patch, patch), left))
    return {"frames": frames, "height": height, "width": width, "tubelet": tubelet, "patch": patch}


def grid_shape_cases(rng: np.random.Generator) -> Drawn:
    """Exact fits, leftovers of one and of all but one, tubelets of one, axes that are too short, long films, and counts that floats miss."""
    tubelet, patch = whole(rng, 3, 9, 2)
    counts = [whole(rng, 2, 11, 3) for _ in range(4)]
    full = [tubelet - 1, patch - 1, patch - 1]
    some = [int(rng.integers(1, size)) for size in (patch, tubelet + 17, tubelet + 17)]
    short = [[0 if axis == empty else n for axis, n in enumerate(counts[3])] for empty in range(3)]
    inexact = [n for n in range(40, 200) if n * (1 / n) < 1]
    odd = [inexact[i] for i in rng.permutation(len(inexact))[:2]]
    # leftovers this large are nearly a tubelet: 0.001 added to the quotient makes them one
    large = int(rng.integers(2000, 3000))
    rounded_up = [n for n in range(1100, 2000) if int(np.float16(n * patch + patch - 1) / np.float16(patch)) > n]
    film = int(rng.choice(rounded_up))  # what is 1 short of a whole number becomes it in float16
    return [
        (CUTS, clip_sizes(counts[0], [0, 0, 0], tubelet, patch)),
        (CUTS, clip_sizes(counts[1], [0, 0, 0], 1, 1)),
        (CUTS, clip_sizes([1, 1, 1], [0, 0, 0], tubelet, patch)),
        (LEFTOVER, clip_sizes(counts[1], full, tubelet, patch)),
        (LEFTOVER, clip_sizes(counts[2], [1, 1, 1], tubelet, patch)),
        (LEFTOVER, clip_sizes(counts[3], some, patch, tubelet + 17)),
        (LEFTOVER, clip_sizes([int(rng.integers(100, 300)), 67, 120], [1, 8, 0], 2, 16)),
        *((LEFTOVER, clip_sizes(sizes, [patch - 1] * 3, patch, patch)) for sizes in ([film, 2, 3], [3, film, 2], [2, 3, film])),
        (LEFTOVER, clip_sizes(counts[0], [large - 1] * 3, large, large)),
        (EXACT_COUNTS, clip_sizes([1, 1, 1], [0, 0, 0], *odd)),
        (EXACT_COUNTS, clip_sizes([2, 4, 8], [0, 0, 0], *odd)),
        *((SHORT, clip_sizes(short[axis], full, tubelet, patch)) for axis in range(3)),
    ]  # fmt: skip


GRID = """def grid_shape(frames, height, width, tubelet, patch):
    t, h, w = frames // tubelet, height // patch, width // patch
    return (t, h, w), t * h * w"""
T, H, W = "frames // tubelet", "height // patch", "width // patch"
HWT = f"{T}, {H}, {W}"

GRID_SHAPE = Exercise(
    "grid_shape",
    ("minivjepa.tubelets.Grid",),
    {
        CUTS: {"frames": 6, "height": 4, "width": 8, "tubelet": 3, "patch": 2},
        LEFTOVER: {"frames": 8, "height": 11, "width": 15, "tubelet": 3, "patch": 4},
        SHORT: {"frames": 2, "height": 7, "width": 4, "tubelet": 3, "patch": 5},
        EXACT_COUNTS: {"frames": 49, "height": 196, "width": 98, "tubelet": 49, "patch": 98},
    },
    grid_shape_cases,
    (
        ("time is cut into tubelets too: divide the frames by the tubelet's depth", changed(GRID, (T, "frames"))),
        ("width and height are exchanged: the grid is (t, h, w)", changed(GRID, (HWT, f"{T}, {W}, {H}"))),
        ("this works for square frames only: rows come from the height, columns from the width", changed(GRID, (W, H))),
        ("what is left over is dropped, and here a started tubelet is counted as a whole one: divide with //", changed(GRID, (HWT, "-(-frames // tubelet), -(-height // patch), -(-width // patch)"))),
        ("counts are rounded to the nearest whole number; what is left over is dropped, however much it is", changed(GRID, (HWT, "round(frames / tubelet), round(height / patch), round(width / patch)"))),
        ("these are the tokens of one frame: multiply by the time steps as well", changed(GRID, ("t * h * w", "h * w"))),
        ("round the grid, not the product: a token cannot be put together from leftovers", changed(GRID, ("t * h * w", "frames * height * width // (tubelet * patch * patch)"))),
        ("one tubelet too many along time: 16 frames in pairs are 8 steps, not 9", changed(GRID, (T, f"{T} + 1"))),
        ("a frame is added before the division: frames // tubelet drops the rest, (frames + 1) // tubelet does not always", changed(GRID, (T, "(frames + 1) // tubelet"))),
        ("an axis that is shorter than a tubelet has no tubelet, and here it always has one", changed(GRID, (HWT, f"max(1, {T}), max(1, {H}), max(1, {W})"))),
        ("an axis is multiplied by 1 / tubelet or 1 / patch, a float that can be a bit too small: divide with //", changed(GRID, (HWT, "int(frames * (1 / tubelet)), int(height * (1 / patch)), int(width * (1 / patch))"))),
        ("only time may have no tubelet here: height and width too may be shorter than a patch", changed(GRID, (HWT, f"{T}, max(1, {H}), max(1, {W})"))),
        ("rows and columns are counted along the shorter side of the frame: rows come from the height", changed(GRID, (H, "min(height, width) // patch"))),
        ("tubelet and patch are exchanged: tubelet counts frames, patch counts pixels", changed(GRID, (HWT, "frames // patch, height // tubelet, width // tubelet"))),
        ("frames are divided by the patch: along time, a tubelet is `tubelet` frames deep", changed(GRID, (T, "frames // patch"))),
        ("time comes last here: the grid is (t, h, w)", changed(GRID, ("(t, h, w)", "(h, w, t)"))),
        ("the counts are floats: // gives whole numbers", changed(GRID, (HWT, "np.floor(frames / tubelet), np.floor(height / patch), np.floor(width / patch)"))),
        ("this is the answer to one example; compute it from the arguments", "def grid_shape(frames, height, width, tubelet, patch):\n    return (2, 2, 4), 16"),
    ),
    (
        """def grid_shape(frames, height, width, tubelet, patch):
    shape = [int(a / b) for a, b in zip((frames, height, width), (tubelet, patch, patch))]
    return shape, math.prod(shape)""",
        """def grid_shape(frames, height, width, tubelet, patch):
    grid = np.array([frames, height, width]) // np.array([tubelet, patch, patch])
    return tuple(int(n) for n in grid), int(grid.prod())""",
        """def grid_shape(frames, height, width, tubelet, patch):
    grid = torch.tensor([frames, height, width]) // torch.tensor([tubelet, patch, patch])
    return grid, grid.prod()""",
        """def grid_shape(frames, height, width, tubelet, patch):
    def fits(length, size):
        count = 0
        while (count + 1) * size <= length:
            count += 1
        return count
    t, h, w = fits(frames, tubelet), fits(height, patch), fits(width, patch)
    return [(t, h, w), sum(h * w for _ in range(t))]""",
        """def grid_shape(frames, height, width, tubelet, patch):
    t, h, w = (len(range(size, length + 1, size)) for length, size in ((frames, tubelet), (height, patch), (width, patch)))
    return (np.int64(t), np.int64(h), np.int64(w)), np.int64(t * h * w)""",
        """def grid_shape(frames, height, width, tubelet, patch):
    (t, _), (h, _), (w, _) = divmod(frames, tubelet), divmod(height, patch), divmod(width, patch)
    return torch.Size((t, h, w)), torch.Size((t, h, w)).numel()""",
        """def grid_shape(frames, height, width, tubelet, patch):
    shape = math.floor(frames / tubelet), (height - height % patch) // patch, (width - width % patch) // patch
    return np.array(shape), np.prod(shape)""",
    ),
)  # fmt: skip

# --- cut ---

NEIGHBORS = "a token holds the pixels of one tubelet, which are neighbors"
ORDER = "`order` lists the axes of the grid, the slowest first"
INSIDE = "inside a token: frame by frame, row by row, column by column, channels last"
BATCH = "each clip of the batch has its own tokens"
VALUES = "values are moved, not changed: sign, fraction and digits stay"


def clip(rng: np.random.Generator, *shape: int) -> torch.Tensor:
    """A clip of different values with six digits, negative ones too."""
    values = rng.permutation(int(np.prod(shape))) + rng.random(int(np.prod(shape)))
    return torch.from_numpy((values - values.mean()).reshape(shape).astype(np.float32))


def cut_inputs(rng: np.random.Generator, order: str, clips: int, channels: int, tubelet: int, patch: int) -> Inputs:
    """Inputs of cut on a grid of three different lengths."""
    t, h, w = whole(rng, 2, 4, 3)
    shape = (clips, channels, t * tubelet, h * patch, w * patch)
    return {"clip": clip(rng, *shape), "tubelet": tubelet, "patch": patch, "order": order}


def cut_cases(rng: np.random.Generator) -> Drawn:
    """Every order, with tubelets and patches of one and more, and with one or more clips and channels."""
    first, second, third, fourth, fifth, sixth = rng.permutation(["thw", "twh", "htw", "hwt", "wth", "wht"]).tolist()
    return [
        (ORDER, cut_inputs(rng, first, 1, 1, 2, 1)),
        (ORDER, cut_inputs(rng, second, 2, 2, 1, 1)),
        (NEIGHBORS, cut_inputs(rng, third, 1, 1, 3, 2)),
        (INSIDE, cut_inputs(rng, fourth, 1, 3, 2, 3)),
        (BATCH, cut_inputs(rng, fifth, 3, 2, 1, 2)),
        (VALUES, cut_inputs(rng, sixth, 2, 3, 3, 2)),
        *(
            (VALUES, {"clip": clip(rng, 1, 2, 2, 3, 4) / 1000, "tubelet": 1, "patch": 1, "order": sixth})
            for _ in range(2)
        ),
        (INSIDE, {"clip": clip(rng, 1, 4, 3, 2, 2), "tubelet": 3, "patch": 2, "order": first}),
        (NEIGHBORS, {"clip": clip(rng, 2, 1, 1, 10, 2), "tubelet": 1, "patch": 2, "order": third}),
        (NEIGHBORS, {"clip": clip(rng, 1, 2, 6, 3, 15), "tubelet": 2, "patch": 3, "order": fourth}),
        (ORDER, {"clip": clip(rng, 1, 1, 19, 2, 34), "tubelet": 1, "patch": 2, "order": second}),
        *(
            (ORDER, {"clip": clip(rng, 1, 1, 4, 4, 4), "tubelet": 2, "patch": 2, "order": order})
            for order in ("hwt", "wth")
        ),
    ]


CUT_CODE = """def cut(clip, tubelet, patch, order):
    outer = ' '.join(order)
    return einops.rearrange(clip, f"B C (t dt) (h dh) (w dw) -> B ({outer}) (dt dh dw C)", dt=tubelet, dh=patch, dw=patch)"""

CUT = Exercise(
    "cut",
    ("minivjepa.tubelets.patchify", "minivjepa.tubelets.unpatchify"),
    {
        NEIGHBORS: {"clip": torch.arange(32.0).reshape(1, 1, 4, 2, 4), "tubelet": 2, "patch": 2, "order": "thw"},
        ORDER: {"clip": torch.arange(12.0).reshape(1, 1, 2, 2, 3), "tubelet": 1, "patch": 1, "order": "hwt"},
        INSIDE: {"clip": torch.arange(16.0).reshape(1, 2, 2, 2, 2), "tubelet": 2, "patch": 2, "order": "wth"},
        BATCH: {"clip": torch.arange(32.0).reshape(2, 1, 1, 4, 4), "tubelet": 1, "patch": 2, "order": "twh"},
        VALUES: {"clip": torch.tensor([0.0123, -1234.5, 3.14159, 20001.25]).reshape(1, 1, 2, 2, 1), "tubelet": 1, "patch": 1, "order": "htw"},
    },
    cut_cases,
    (
        ("the argument order is ignored: tokens are always listed time, row, column", changed(CUT_CODE, ("' '.join(order)", "'t h w'"))),
        ("the values of a token have the channels first (slowest); they are asked last (fastest)", changed(CUT_CODE, ("(dt dh dw C)", "(C dt dh dw)"))),
        ("inside a token, columns are slower than rows: exchange dh and dw", changed(CUT_CODE, ("(dt dh dw C)", "(dt dw dh C)"))),
        ("this splits each axis the wrong way round: neighboring pixels belong to one tubelet, so the inner part is (h dh), not (dh h)", changed(CUT_CODE, ("(t dt) (h dh) (w dw)", "(dt t) (dh h) (dw w)"))),
        ("reshape alone does not cut: it only reads the same numbers row by row; axes have to change places", "def cut(clip, tubelet, patch, order):\n    B, C = clip.shape[:2]\n    return clip.reshape(B, -1, tubelet * patch * patch * C)"),
        ("the letters of order are read backwards: the first is the slowest axis", changed(CUT_CODE, ("join(order)", "join(order[::-1])"))),
        ("only the first letter of order is read: all three say how tokens are listed", changed(CUT_CODE, ("' '.join(order)", "{'t': 't h w', 'h': 'h w t', 'w': 'w t h'}[order[0]]"))),
        ("order is read as the places that t, h and w get; it lists the axes themselves, the slowest first", changed(CUT_CODE, ("join(order)", "join('thw'[order.index(axis)] for axis in 'thw')"))),
        ("order applies only to the list of tokens: inside a token it is always frame, row, column", changed(CUT_CODE, ("outer = ' '.join(order)", "outer, inner = ' '.join(order), ' '.join('d' + axis for axis in order)"), ("dt dh dw C", "{inner} C"))),
        ("only the first frame of each tubelet is kept: a token has the pixels of all its frames", changed(CUT_CODE, ("rearrange(clip, ", "rearrange(clip[:, :, ::tubelet], "), ("dt=tubelet", "dt=1"))),
        ("the clips of the batch are put behind one another: keep the batch axis", changed(CUT_CODE, ("B ({outer})", "(B {outer})"))),
        ("rows and columns of the clip are exchanged: its last axis is the width", changed(CUT_CODE, ("(h dh) (w dw)", "(w dw) (h dh)"))),
        ("every channel has tokens of its own here: a token holds all channels", changed(CUT_CODE, ("B ({outer}) (dt dh dw C)", "B (C {outer}) (dt dh dw)"))),
        ("the grid still has three axes: tokens are listed along one, [B, N, values]", changed(CUT_CODE, ("B ({outer})", "B {outer}"))),
        ("values have lost digits, as float16 does: keep the clip's dtype", changed(CUT_CODE, ("rearrange(clip, ", "rearrange(clip.half(), "))),
    ),
    (
        """def cut(clip, tubelet, patch, order):
    B, C, T, H, W = clip.shape
    x = clip.reshape(B, C, T // tubelet, tubelet, H // patch, patch, W // patch, patch)
    place = {'t': 2, 'h': 4, 'w': 6}
    return x.permute(0, *(place[a] for a in order), 3, 5, 7, 1).reshape(B, -1, tubelet * patch * patch * C)""",
        """def cut(clip, tubelet, patch, order):
    B, C, T, H, W = clip.shape
    counts = {'t': T // tubelet, 'h': H // patch, 'w': W // patch}
    tokens = []
    for a in range(counts[order[0]]):
        for b in range(counts[order[1]]):
            for c in range(counts[order[2]]):
                at = dict(zip(order, (a, b, c)))
                t, h, w = at['t'] * tubelet, at['h'] * patch, at['w'] * patch
                piece = clip[:, :, t:t + tubelet, h:h + patch, w:w + patch]
                tokens.append(piece.permute(0, 2, 3, 4, 1).flatten(1))
    return torch.stack(tokens, dim=1)""",
        """def cut(clip, tubelet, patch, order):
    x = clip.unfold(2, tubelet, tubelet).unfold(3, patch, patch).unfold(4, patch, patch)
    names = 'BCthwxyz'
    x = torch.einsum(f'{names}->B{order}xyzC', x.double())
    return x.flatten(4).flatten(1, 3)""",
        """def cut(clip, tubelet, patch, order):
    B, C, T, H, W = clip.shape
    x = clip.numpy().reshape(B, C, T // tubelet, tubelet, H // patch, patch, W // patch, patch)
    axes = [2 + 2 * 'thw'.index(letter) for letter in order]
    return np.transpose(x, [0] + axes + [3, 5, 7, 1]).reshape(B, -1, tubelet * patch ** 2 * C)""",
        """def cut(clip, tubelet, patch, order):
    grid = einops.rearrange(clip, 'B C (t dt) (h dh) (w dw) -> B t h w (dt dh dw C)', dt=tubelet, dh=patch, dw=patch)
    places = {'t': 1, 'h': 2, 'w': 3}
    return grid.permute(0, places[order[0]], places[order[1]], places[order[2]], 4).flatten(1, 3)""",
        """def cut(clip, tubelet, patch, order):
    columns = [torch.cat([s[..., None] for s in clip.split(patch, 4)], -1)][0]  # [B, C, T, H, dw, w]
    rows = torch.stack(columns.split(patch, 3), -1)  # [B, C, T, dh, dw, w, h]
    steps = torch.stack(rows.split(tubelet, 2), -1)  # [B, C, dt, dh, dw, w, h, t]
    back = {'w': 5, 'h': 6, 't': 7}
    return steps.permute(0, *map(back.get, order), 2, 3, 4, 1).contiguous().flatten(1, 3).flatten(2)""",
        """def cut(clip, tubelet, patch, order):
    B, C, T, H, W = clip.shape
    sizes = {'t': T // tubelet, 'h': H // patch, 'w': W // patch}
    out = torch.zeros(B, sizes['t'] * sizes['h'] * sizes['w'], tubelet * patch * patch * C)
    for (t, h, w, dt, dh, dw, c) in np.ndindex(*sizes.values(), tubelet, patch, patch, C):
        at = {'t': t, 'h': h, 'w': w}
        n = (at[order[0]] * sizes[order[1]] + at[order[1]]) * sizes[order[2]] + at[order[2]]
        out[:, n, ((dt * patch + dh) * patch + dw) * C + c] = clip[:, c, t * tubelet + dt, h * patch + dh, w * patch + dw]
    return out""",
    ),
)  # fmt: skip

# --- positions ---

PAIRS = "places count from 0, and a place's numbers are pairs (sine, cosine)"
FREQUENCY = "frequency i is base to the power of -(i / (d/2))"
TOKENS = "tokens are listed in the order t, h, w: the column changes fastest"
PARTS = "each axis has as many numbers as dims says, and the parts stand in the order time, row, column"


def positions_cases(rng: np.random.Generator) -> Drawn:
    """Long and short axes, many and few frequencies, bases from 1.5 to 100,000 (places stay small enough for float32)."""
    long = np.eye(3, dtype=int)[rng.integers(3)] * int(rng.integers(12, 25)) + 1
    odd, many = rng.permutation([6, 10, 14]), rng.permutation([2, 4, 12])
    bases = rng.permutation([1.5, 7.25, 60.0, 1000.0, 1e5])
    drawn = [
        (PAIRS, long, [2, 4, 2], 10000.0),
        (PAIRS, [1, 1, 1], rng.permutation([2, 4, 6]), 100.0),
        (PAIRS, rng.permutation([1, 1, int(rng.integers(258, 270))]), [2, 2, 2], 100.0),
        (FREQUENCY, rng.permutation([1, 3, 4]), odd, bases[0]),
        (FREQUENCY, [2, 3, 2], odd[::-1], bases[1]),
        (TOKENS, rng.permutation([2, 3, 5]), [2, 2, 2], 10000.0),
        (TOKENS, rng.permutation([3, 4, 7]), [4, 4, 4], bases[2]),
        (PARTS, rng.permutation([2, 3, 4]), many, bases[3]),
        (PARTS, [3, 3, 3], many[::-1], bases[4]),
    ]
    return [
        (rule, {"shape": tuple(map(int, shape)), "dims": tuple(map(int, dims)), "base": float(base)})
        for rule, shape, dims, base in drawn
    ]


POSITION = """def positions(shape, dims, base):
    t, h, w = shape
    n = torch.arange(t * h * w)
    places = n // (h * w), n // w % h, n % w
    parts = []
    for place, d in zip(places, dims):
        angle = place[:, None] * base ** -(torch.arange(d // 2) / (d / 2))
        parts.append(torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1))
    return torch.cat(parts, dim=1)"""
FALL, PAIR = "base ** -(torch.arange(d // 2) / (d / 2))", "torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)"
PLACE = "n // (h * w), n // w % h, n % w"

POSITIONS = Exercise(
    "positions",
    ("minivjepa.tubelets.sincos_positions", "minivjepa.tubelets.axis_positions", "minivjepa.tubelets.added_positions"),
    {
        PAIRS: {"shape": (2, 1, 1), "dims": (2, 2, 2), "base": 100.0},
        FREQUENCY: {"shape": (5, 1, 1), "dims": (4, 2, 2), "base": 100.0},
        TOKENS: {"shape": (2, 2, 3), "dims": (2, 2, 2), "base": 100.0},
        PARTS: {"shape": (2, 2, 1), "dims": (2, 4, 6), "base": 1.5},
    },
    positions_cases,
    (
        ("all sines stand before all cosines, as in V-JEPA; here they are interleaved", changed(POSITION, (PAIR, "torch.cat([angle.sin(), angle.cos()], dim=1)"))),
        ("cosine and sine are exchanged: the sine comes first in each pair", changed(POSITION, ("[angle.sin(), angle.cos()]", "[angle.cos(), angle.sin()]"))),
        ("the base is fixed at 10000: use the argument", changed(POSITION, ("base **", "10000.0 **"))),
        ("the exponent has the wrong sign: frequencies fall with i", changed(POSITION, ("** -", "** "))),
        ("the exponent divides by d and not by d / 2, so that frequencies fall half as fast", changed(POSITION, ("(d / 2)", "d"))),
        ("the exponent divides by d / 2 - 1, so that the last frequency is 1 / base; divide by d / 2", changed(POSITION, ("(d / 2)", "max(d / 2 - 1, 1)"))),
        ("i counts from 1 here; it counts from 0, so that the first frequency is 1", changed(POSITION, ("torch.arange(d // 2) /", "torch.arange(1, d // 2 + 1) /"))),
        ("places count from 1 here; they count from 0", changed(POSITION, ("place[:, None]", "(place[:, None] + 1)"))),
        ("places are divided by the length of the axis; they are whole numbers", changed(POSITION, ("place[:, None]", "place[:, None] / (place.max() + 1)"))),
        ("rows and columns are exchanged: token n has the row n // w % h and the column n % w", changed(POSITION, (PLACE, "n // (h * w), n % w, n // w % h"))),
        ("the row is computed with the height in place of the width, which works for square grids only", changed(POSITION, (PLACE, "n // (h * w), n // h % h, n % h"))),
        ("time changes fastest here: tokens go through all columns of a row, then all rows, then all time steps", changed(POSITION, (PLACE, "n % t, n // t % h, n // (t * h)"))),
        ("space comes before time: the three parts stand in the order time, row, column", changed(POSITION, ("torch.cat(parts,", "torch.cat([*parts[1:], parts[0]],"))),
        ("every axis gets as many numbers as the first; dims gives each its own", changed(POSITION, ("zip(places, dims)", "zip(places, [dims[0]] * 3)"))),
        ("an axis gets d sines and d cosines; it has d numbers in all", changed(POSITION, (FALL, "base ** -(torch.arange(d) / d)"))),
    ),
    (
        """def positions(shape, dims, base):
    rows = []
    for t in range(shape[0]):
        for h in range(shape[1]):
            for w in range(shape[2]):
                row = []
                for p, d in zip((t, h, w), dims):
                    for i in range(d // 2):
                        a = p * base ** (-2 * i / d)
                        row += [math.sin(a), math.cos(a)]
                rows.append(row)
    return torch.tensor(rows)""",
        """def positions(shape, dims, base):
    def one(length, d):
        out = torch.zeros(length, d)
        angle = torch.arange(length)[:, None] / base ** (torch.arange(0, d, 2) / d)
        out[:, 0::2], out[:, 1::2] = angle.sin(), angle.cos()
        return out
    t, h, w = (one(n, d) for n, d in zip(shape, dims))
    full = (*shape,)
    parts = [t[:, None, None].expand(*full, -1), h[None, :, None].expand(*full, -1), w[None, None].expand(*full, -1)]
    return torch.cat(parts, dim=-1).reshape(-1, sum(dims))""",
        """def positions(shape, dims, base):
    grid = np.indices(tuple(shape)).reshape(3, -1)
    parts = []
    for p, d in zip(grid, dims):
        angle = np.outer(p, np.power(float(base), -np.arange(d // 2) / (d / 2)))
        parts.append(np.stack([np.sin(angle), np.cos(angle)], axis=2).reshape(len(p), d))
    return np.concatenate(parts, axis=1).astype(np.float32)""",
        """def positions(shape, dims, base):
    axes = torch.meshgrid(*[torch.arange(n, dtype=torch.float64) for n in shape], indexing='ij')
    parts = []
    for p, d in zip(axes, dims):
        frequency = torch.exp(-math.log(base) * torch.arange(0, d, 2, dtype=torch.float64) / d)
        angle = torch.einsum('thw,i->thwi', p, frequency)
        parts.append(einops.rearrange([angle.sin(), angle.cos()], 'two t h w i -> (t h w) (i two)'))
    return torch.cat(parts, dim=1)""",
        """def positions(shape, dims, base):
    t, h, w = shape
    out = torch.empty(t * h * w, sum(dims))
    for n in range(len(out)):
        start = 0
        for p, d in zip((n // (h * w), n // w % h, n % w), dims):
            for k in range(d):
                angle = p / base ** (k // 2 / (d // 2))
                out[n, start + k] = math.cos(angle) if k % 2 else math.sin(angle)
            start += d
    return out""",
        """def positions(shape, dims, base):
    def one(length, d):
        shift = torch.tensor([0.0, math.pi / 2]).repeat(d // 2)  # cos(x) = sin(x + pi / 2)
        frequency = (base ** (-2 / d)) ** torch.arange(d // 2)
        return torch.sin(torch.outer(torch.arange(length).float(), frequency.repeat_interleave(2)) + shift)
    t, h, w = shape
    time, row, column = map(one, shape, dims)
    n = range(t * h * w)
    return torch.hstack([time.repeat_interleave(h * w, 0), row.repeat_interleave(w, 0).repeat(t, 1), column.repeat(t * h, 1)])""",
        """def positions(shape, dims, base):
    places = torch.cartesian_prod(*map(torch.arange, shape)).double()
    parts = []
    for axis, d in enumerate(dims):
        turn = torch.polar(torch.ones(len(places), d // 2).double(), places[:, axis, None] * torch.logspace(0, -(d - 2) / d, d // 2, base=base, dtype=torch.float64))
        parts.append(torch.view_as_real(turn).flip(-1).reshape(len(places), d))
    return torch.cat(parts, 1).float()""",
    ),
)  # fmt: skip

# --- random_mask ---

LARGEST = "the tokens with the largest noise are hidden, and the others kept"
UP = "ratio * N is rounded to the nearest whole number: 1.55 tokens are 2"
DOWN = "ratio * N is rounded to the nearest whole number: 1.45 tokens are 1"
ANY_NOISE = "only the order of the noise counts: it may be negative, or large, or differ in a late digit"
OWN = "each clip is masked by its own noise"
RISING = "ids rise in each row"
NONE_HIDDEN = "ratio 0 hides nothing; what is empty is still int64"
ALL_HIDDEN = "ratio 1 hides everything; what is empty is still int64"
INT64 = "ids are int64: they go beyond 255"


def shuffled(rng: np.random.Generator, clips: int, count: int, kind: str = "share") -> torch.Tensor:
    """Noise [clips, count], different numbers in each row: between 0 and 1, of all sizes and signs, close to each other, far from 0, or
    close to 0 but for one that is far."""
    # neighbors in float32; they fall in the first clip, so that ties after rounding are in the wrong order
    if kind == "close":
        places = np.stack([np.arange(count)[::-1], *(rng.permutation(count) for _ in range(clips - 1))])
        return torch.from_numpy((1 + places / 2**23).astype(np.float32))
    # all numbers of a clip have one sign: exp, sigmoid or softmax makes them equal, and no number that people take for minus infinity is below
    if kind == "far":
        places = 200 + np.stack([rng.permutation(count) for _ in range(clips)])
        signs = np.where(np.arange(clips) % 2, 1, -1)[:, None]
        return torch.from_numpy((signs * places * 2.0**40).astype(np.float32))
    # after the mean or the smallest number of a clip is subtracted, the others are equal in float32
    if kind == "outlier":
        places = np.stack([1 + rng.permutation(count) for _ in range(clips)])
        return torch.from_numpy(np.where(places == 1, -(2.0**30), places / 2**20).astype(np.float32))
    steps = np.stack([rng.choice(4096, count, replace=False) for _ in range(clips)])
    values = steps / 4096 if kind == "share" else (steps - 2048) / 16
    return torch.from_numpy(values.astype(np.float32))


def share(count: int, hidden: int, off: float = 0.0) -> float:
    """The ratio for which ratio * count is `hidden` and a bit, at most 0.497: not quite a half."""
    return round((hidden + off) / count, 4) if off else hidden / count


def ratios(rng: np.random.Generator, rounded: bool = True) -> tuple[int, float]:
    """(tokens, ratio): the ratio a bit smaller (UP) or larger (DOWN) than a whole number of tokens."""
    count = int(rng.choice([7, 10, 11, 13, 16, 19, 24, 29]))
    # an odd number: in two steps, 3.49 places are 6.98 tokens, which are not to be rounded to 7, and 7 / 2 to 4
    hidden = 1 + 2 * int(rng.integers(1, (count - 1) // 2))
    return count, share(count, hidden, float(rng.uniform(0.491, 0.495)) * (-1 if rounded else 1))


def mask_inputs(rng: np.random.Generator) -> list[tuple[str, torch.Tensor, float]]:
    """(rule, noise, ratio) of masks: rounded up and down, whole, none and all; few and many tokens."""
    (up, more), (down, less) = ratios(rng), ratios(rng, rounded=False)
    few, clips = int(rng.integers(3, 7)), int(rng.integers(2, 6))
    many, own = int(rng.integers(270, 320)), share(25, int(rng.integers(5, 9)))
    return [
        (LARGEST, shuffled(rng, 1, few), share(few, 1)),
        (UP, shuffled(rng, 2, up), more),
        (DOWN, shuffled(rng, 3, down), less),
        *((OWN, shuffled(rng, clips, 25), own) for _ in range(2)),
        (ANY_NOISE, shuffled(rng, 2, 23, "wide"), share(23, int(rng.integers(12, 20)), 0.3)),
        (ANY_NOISE, shuffled(rng, 2, 40, "close"), share(40, int(rng.integers(5, 30)))),
        (ANY_NOISE, shuffled(rng, 2, 31, "far"), share(31, int(rng.integers(9, 22)))),
        (ANY_NOISE, shuffled(rng, 3, 19, "outlier"), share(19, int(rng.integers(5, 14)))),
        (NONE_HIDDEN, shuffled(rng, clips, few), 0.0),
        (NONE_HIDDEN, shuffled(rng, 1, 9), share(9, 0, float(rng.uniform(0.2, 0.4)))),
        (ALL_HIDDEN, shuffled(rng, clips, few + 4), 1.0),
        (ALL_HIDDEN, shuffled(rng, 2, 8), share(8, 8, -float(rng.uniform(0.2, 0.4)))),
        (ALL_HIDDEN, shuffled(rng, 3, 1), 0.8),
        (INT64, shuffled(rng, 1, many), share(many, int(rng.integers(5, 40)), 0.2)),
        (RISING, shuffled(rng, 2, 100), 0.29),  # 0.29 * 100 is a bit less than 29 in floats
    ]


def fine_ratio(rng: np.random.Generator) -> tuple[int, float]:
    """(tokens, ratio): more than 256 are hidden, and another number of them if the ratio loses digits.

    Digits are lost by rounding to two or three, by cutting off after three, and in float16.
    """

    def tells(count: int, number: int) -> bool:
        ratio = number / 10000
        lost = (round(ratio, 2), float(np.float16(ratio)), number // 10 / 1000, round(ratio, 3))
        return 0.02 < ratio * count % 1 - 0.5 < 0.1 and all(
            round(other * count) != round(ratio * count) for other in lost
        )

    fine = [(count, number) for count in range(270, 320) for number in range(9600, 9900) if tells(count, number)]
    count, number = fine[rng.integers(len(fine))]
    return count, number / 10000


def random_mask_cases(rng: np.random.Generator) -> Drawn:
    """Masks of all kinds; many tokens are also nearly all hidden, so that both parts hold large ids."""
    count, ratio = fine_ratio(rng)
    more = (INT64, shuffled(rng, 1, count), ratio)
    return [(rule, {"noise": noise, "ratio": ratio}) for rule, noise, ratio in [*mask_inputs(rng), more]]


RANDOM = """def random_mask(noise, ratio):
    N = noise.shape[1]
    M = round(ratio * N)
    order = noise.argsort(dim=1)
    return order[:, : N - M].sort(dim=1).values, order[:, N - M :].sort(dim=1).values"""
RANDOM_KEPT, RANDOM_HIDDEN = "order[:, : N - M].sort(dim=1).values", "order[:, N - M :].sort(dim=1).values"

RANDOM_MASK = Exercise(
    "random_mask",
    ("minivjepa.masking.parse_mask", "minivjepa.masking.split_by_score"),
    {
        LARGEST: {"noise": torch.tensor([[0.5, 0.25, 0.875, 0.125]]), "ratio": 0.25},
        UP: {"noise": torch.tensor([[0.5, 0.25, 0.875, 0.125, 0.75], [0.25, 0.75, 0.5, 0.625, 0.375]]), "ratio": 0.31},
        DOWN: {"noise": torch.tensor([[0.5, 0.25, 0.875, 0.125, 0.75]]), "ratio": 0.29},
        ANY_NOISE: {"noise": torch.tensor([[1.0002, -2.5, 1.0001, 1.0, 40.0, -700.0], [-300.0, -100.0, -200.0, -500.0, -400.0, -700.0]]), "ratio": 0.5},
        OWN: {"noise": torch.tensor([[0.5, 0.25, 0.875, 0.125], [7.5, 1.25, 3.75, 6.25]]), "ratio": 0.5},
        RISING: {"noise": torch.tensor([[0.9375, 0.5, 0.625, 0.25, 0.875, 0.125]]), "ratio": 0.5},
        NONE_HIDDEN: {"noise": torch.tensor([[0.5, 0.25, 0.75], [0.125, 0.375, 0.25]]), "ratio": 0.0},
        ALL_HIDDEN: {"noise": torch.tensor([[0.5, 0.25, 0.75], [0.125, 0.375, 0.25]]), "ratio": 1.0},
        INT64: {"noise": torch.arange(260.0).roll(3)[None] / 512, "ratio": 0.9521},
    },
    random_mask_cases,
    (
        ("the mask is inverted: context and target are exchanged", changed(RANDOM, (f"{RANDOM_KEPT}, {RANDOM_HIDDEN}", f"{RANDOM_HIDDEN}, {RANDOM_KEPT}"))),
        ("the tokens with the smallest noise are hidden; hide those with the largest", changed(RANDOM, ("argsort(dim=1)", "argsort(dim=1, descending=True)"))),
        ("ratio is the share to hide, and here it is the share that is kept", changed(RANDOM, ("round(ratio * N)", "N - round(ratio * N)"))),
        ("the ids are not sorted: each row is to rise", changed(RANDOM, (".sort(dim=1).values", ""))),
        ("the ids fall in each row: they are to rise", changed(RANDOM, (".sort(dim=1)", ".sort(dim=1, descending=True)"))),
        ("the number to hide is cut off, not rounded to the nearest", changed(RANDOM, ("round(", "int("))),
        ("the number to hide is rounded up, not to the nearest", changed(RANDOM, ("round(", "math.ceil("))),
        ("at least one token is hidden and one kept here; ratio 0 hides none, and 1 all", changed(RANDOM, ("round(ratio * N)", "min(max(1, round(ratio * N)), N - 1)"))),
        ("every clip gets the mask of the first: sort each row of the noise", changed(RANDOM, ("noise.argsort(dim=1)", "noise[:1].argsort(dim=1).expand(len(noise), -1)"))),
        ("these are places in the sorted list (ranks), not ids of tokens", changed(RANDOM, ("argsort(dim=1)", "argsort(dim=1).argsort(dim=1)"))),
        ("the ids are uint8, which ends at 255: return int64", changed(RANDOM, (".values", ".values.to(torch.uint8)"))),
        ("these are maps of true and false; return the ids of the tokens", "def random_mask(noise, ratio):\n    hidden = torch.zeros_like(noise, dtype=torch.bool)\n    hidden.scatter_(1, noise.topk(round(ratio * noise.shape[1]), dim=1).indices, True)\n    return ~hidden, hidden"),
        ("the noise is compared in float16, or rounded, and then close numbers are equal", changed(RANDOM, ("noise.argsort", "noise.half().argsort"))),
        ("the noise goes through a sigmoid or softmax, where large numbers are all alike: only their order counts", changed(RANDOM, ("noise.argsort", "noise.sigmoid().argsort"))),
        ("the ratio is rounded to two digits before it is multiplied", changed(RANDOM, ("round(ratio * N)", "round(round(ratio, 2) * N)"))),
        ("the noise is compared without its signs: -700 is smaller than 1", changed(RANDOM, ("noise.argsort", "noise.abs().argsort"))),
        ("the noise is compared with the ratio, so that clips hide different numbers: hide exactly round(ratio * N)", "def random_mask(noise, ratio):\n    hidden = noise > 1 - ratio\n    kept, rest = int((~hidden).sum(dim=1).min()), int(hidden.sum(dim=1).min())\n    return torch.stack([(~row).nonzero().flatten()[:kept] for row in hidden]), torch.stack([row.nonzero().flatten()[:rest] for row in hidden])"),
    ),
    (
        """def random_mask(noise, ratio):
    M = round(ratio * noise.shape[1])
    target = noise.topk(M, dim=1).indices.sort(dim=1).values
    context = [[i for i in range(noise.shape[1]) if i not in set(row.tolist())] for row in target]
    return torch.tensor(context, dtype=torch.int64).reshape(len(noise), noise.shape[1] - M), target""",
        """def random_mask(noise, ratio):
    M = round(ratio * noise.shape[1])
    hidden = torch.zeros_like(noise, dtype=torch.bool)
    hidden.scatter_(1, noise.argsort(dim=1, descending=True)[:, :M], True)
    pick = lambda rows: torch.stack([row.nonzero().flatten() for row in rows])
    return pick(~hidden), pick(hidden)""",
        """def random_mask(noise, ratio):
    K = int(noise.shape[1] * (1 - ratio) + 0.5)
    order = np.argsort(noise.numpy(), axis=1)
    return np.sort(order[:, :K], axis=1), np.sort(order[:, K:], axis=1)""",
        """def random_mask(noise, ratio):
    B, N = noise.shape
    K = N - math.floor(ratio * N + 0.5)
    context, target = torch.zeros(B, K, dtype=torch.long), torch.zeros(B, N - K, dtype=torch.long)
    for b in range(B):
        ids = sorted(range(N), key=lambda i: noise[b, i].item())
        context[b], target[b] = torch.tensor(sorted(ids[:K])), torch.tensor(sorted(ids[K:]))
    return [context, target]""",
        """def random_mask(noise, ratio):
    B, N = noise.shape
    rank = (noise[:, :, None] > noise[:, None, :]).sum(dim=2)  # how many are smaller
    hidden = rank >= N - int(torch.round(torch.tensor(ratio * N, dtype=torch.float64)))
    return (~hidden).nonzero()[:, 1].reshape(B, int((~hidden[0]).sum())), hidden.nonzero()[:, 1].reshape(B, int(hidden[0].sum()))""",
        """def random_mask(noise, ratio):
    N = noise.shape[1]
    M = int(np.rint(ratio * N))
    target, context = (-noise.double()).argsort(dim=-1).split([M, N - M], dim=-1)
    return context.sort(-1)[0].int(), target.sort(-1)[0].int()""",
        """def random_mask(noise, ratio):
    N = noise.shape[1]
    kept = round(N - ratio * N)
    order = torch.stack([torch.sort(row, stable=True)[1] for row in noise])
    return tuple(torch.sort(part)[0] for part in (order[:, :kept], order[:, kept:]))""",
    ),
)  # fmt: skip

# --- tube_mask ---

TIME_MAJOR = "time-major, ids go through all places of step 0, then of step 1; the places with the largest noise are hidden in each"
PLACE_MAJOR = "otherwise, ids go through all steps of place 0, then of place 1"
UP_PLACES = "ratio * S is rounded to the nearest whole number: 1.55 places are 2"
DOWN_PLACES = "ratio * S is rounded to the nearest whole number: 1.45 places are 1"
OWN_PLACES = "each clip keeps its own places"
NO_CONTEXT = "ratio 1 hides everything: the context is int64 [B, 0]"
ALL_CONTEXT = "ratio 0 hides nothing"


def tube_inputs(noise: torch.Tensor | list[list[float]], ratio: float, steps: int, time_major: bool) -> Inputs:
    """Inputs of tube_mask."""
    return {"noise": torch.as_tensor(noise), "ratio": ratio, "steps": steps, "time_major": time_major}


def tube_mask_cases(rng: np.random.Generator) -> Drawn:
    """Masks of all kinds, with one and more steps, in both orders of ids."""
    rules = {UP: UP_PLACES, DOWN: DOWN_PLACES, OWN: OWN_PLACES, NONE_HIDDEN: ALL_CONTEXT, ALL_HIDDEN: NO_CONTEXT}
    drawn: Drawn = []
    for rule, noise, ratio in mask_inputs(rng):
        steps = {UP: 1, DOWN: 2, OWN: 3}.get(rule, int(rng.integers(2, 8)))
        major = bool(rng.integers(2)) and steps not in (1, 3)
        if rule not in (LARGEST, INT64):
            drawn.append((rules.get(rule, rule), tube_inputs(noise, ratio, steps, major)))
    ratio, steps = share(9, int(rng.integers(2, 7))), int(rng.integers(3, 8))
    places = int(rng.integers(5, 9))
    few = share(9, int(rng.integers(2, 5)))
    many, fine = fine_ratio(rng)
    return [
        *drawn,
        (UP_PLACES, tube_inputs(shuffled(rng, 1, many), fine, 2, major)),
        (TIME_MAJOR, tube_inputs(shuffled(rng, 2, 9), ratio, steps, True)),
        (PLACE_MAJOR, tube_inputs(shuffled(rng, 2, 9), ratio, steps, False)),
        (RISING, tube_inputs(shuffled(rng, 3, 9), few, 1, True)),
        (INT64, tube_inputs(shuffled(rng, 1, places), share(places, places - 2), int(rng.integers(130, 150)), major)),
    ]  # fmt: skip


TUBE = """def tube_mask(noise, ratio, steps, time_major):
    S = noise.shape[1]
    M = round(ratio * S)
    places = noise.argsort(dim=1)[:, : S - M]
    time = torch.arange(steps)
    ids = time[None, :, None] * S + places[:, None] if time_major else places[:, :, None] * steps + time
    return ids.flatten(1).sort(dim=1).values"""


TUBE_MASK = Exercise(
    "tube_mask",
    ("minivjepa.masking.parse_mask", "minivjepa.masking.split_by_score"),
    {
        TIME_MAJOR: tube_inputs([[0.75, 0.25, 0.5]], 0.33, 2, True),
        PLACE_MAJOR: tube_inputs([[0.75, 0.25, 0.5]], 0.33, 2, False),
        UP_PLACES: tube_inputs([[0.5, 0.25, 0.875, 0.125, 0.75]], 0.31, 2, True),
        DOWN_PLACES: tube_inputs([[0.5, 0.25, 0.875, 0.125, 0.75]], 0.29, 2, False),
        ANY_NOISE: tube_inputs([[1.0002, -2.5, 1.0001, 1.0, 40.0, -700.0], [-300.0, -100.0, -200.0, -500.0, -400.0, -700.0]], 0.5, 2, True),
        OWN_PLACES: tube_inputs([[0.5, 0.25, 0.875, 0.125], [0.75, 0.125, 0.375, 0.625]], 0.5, 3, False),
        RISING: tube_inputs([[0.625, 0.5, 0.9375, 0.25, 0.875, 0.125]], 0.5, 3, True),
        ALL_CONTEXT: tube_inputs([[0.5, 0.25, 0.75], [0.125, 0.375, 0.25]], 0.0, 2, True),
        NO_CONTEXT: tube_inputs([[0.5, 0.25, 0.75], [0.125, 0.375, 0.25]], 1.0, 2, False),
        INT64: tube_inputs([[0.75, 0.5, 0.25, 0.875, 0.625]], 0.8, 60, True),
    },
    tube_mask_cases,
    (
        ("the hidden places are returned: the context is what is kept", changed(TUBE, ("[:, : S - M]", "[:, S - M :]"))),
        ("ids are always time-major: the argument time_major is ignored", changed(TUBE, (" if time_major else places[:, :, None] * steps + time", ""))),
        ("the two orders of ids are exchanged", changed(TUBE, ("if time_major", "if not time_major"))),
        ("only the first time step is listed: a tube goes through all of them", changed(TUBE, ("torch.arange(steps)", "torch.arange(1)"))),
        ("the last time step is missing: steps count from 0 to steps - 1", changed(TUBE, ("torch.arange(steps)", "torch.arange(steps - 1)"))),
        ("the smallest noise is hidden; hide the places with the largest", changed(TUBE, ("argsort(dim=1)", "argsort(dim=1, descending=True)"))),
        ("all clips get the places of the first one", changed(TUBE, ("noise.argsort(dim=1)", "noise[:1].argsort(dim=1).expand(len(noise), -1)"))),
        ("step s begins at s times the number of all places, and here at s times that of the kept ones", changed(TUBE, ("time[None, :, None] * S", "time[None, :, None] * places.shape[1]"))),
        ("the ids are not sorted: each row is to rise", changed(TUBE, (".sort(dim=1).values", ""))),
        ("place p begins at p times the number of steps, and here at p times that of the places", changed(TUBE, ("* steps + time", "* S + time"))),
        ("the number of places to hide is cut off, not rounded to the nearest", changed(TUBE, ("round(", "int("))),
        ("the number of places to hide is rounded up, not to the nearest", changed(TUBE, ("round(", "math.ceil("))),
        ("the number of tokens is rounded, and then shared out over the steps: round the number of places", changed(TUBE, ("round(ratio * S)", "round(ratio * S * steps) // steps"))),
        ("at least one place is kept here; ratio 1 keeps none", changed(TUBE, ("round(ratio * S)", "min(round(ratio * S), S - 1)"))),
        ("the ids are uint8, which ends at 255: return int64", changed(TUBE, (".values", ".values.to(torch.uint8)"))),
        ("the noise goes through a sigmoid or softmax, where large numbers are all alike: only their order counts", changed(TUBE, ("noise.argsort", "noise.sigmoid().argsort"))),
        ("the noise is compared without its signs: -700 is smaller than 1", changed(TUBE, ("noise.argsort", "noise.abs().argsort"))),
        ("all tokens are sorted by the noise of their places, so that a place can be hidden in some steps only: hide it in all", "def tube_mask(noise, ratio, steps, time_major):\n    tokens = noise.repeat(1, steps) if time_major else noise.repeat_interleave(steps, 1)\n    kept = tokens.shape[1] - round(ratio * tokens.shape[1])\n    return tokens.argsort(dim=1, stable=True)[:, :kept].sort(dim=1).values"),
        ("the hidden ids are returned as well: return only those of the context", changed(TUBE, ("    return ", "    hidden = torch.tensor([[i for i in range(S * steps) if i not in row.tolist()] for row in ids.flatten(1)])\n    return hidden, "))),
    ),
    (
        """def tube_mask(noise, ratio, steps, time_major):
    out = []
    for row in noise:
        S = len(row)
        hidden = set(row.argsort(descending=True)[:round(ratio * S)].tolist())
        ids = [s * S + p if time_major else p * steps + s for s in range(steps) for p in range(S) if p not in hidden]
        out.append(sorted(ids))
    return torch.tensor(out, dtype=torch.int64)""",
        """def tube_mask(noise, ratio, steps, time_major):
    B, S = noise.shape
    keep = torch.ones(B, S, dtype=torch.bool)
    keep.scatter_(1, noise.topk(round(ratio * S), dim=1).indices, False)
    full = keep[:, None].expand(B, steps, S) if time_major else keep[:, :, None].expand(B, S, steps)
    return torch.stack([row.flatten().nonzero().flatten() for row in full])""",
        """def tube_mask(noise, ratio, steps, time_major):
    S = noise.shape[1]
    kept = noise.argsort(dim=1)[:, : S - round(ratio * S)].sort(dim=1).values
    all_ids = torch.arange(steps * S)
    table = all_ids.reshape(steps, S).T if time_major else all_ids.reshape(S, steps)  # [S, steps]
    return table[kept].flatten(1).sort(dim=1)[0]""",
        """def tube_mask(noise, ratio, steps, time_major):
    B, S = noise.shape
    places = np.sort(np.argsort(noise.numpy(), axis=1)[:, : S - int(np.rint(ratio * S))], axis=1)
    if time_major:
        return np.concatenate([places + step * S for step in range(steps)], axis=1)
    return np.repeat(places * steps, steps, axis=1) + np.tile(np.arange(steps), places.shape[1])""",
        """def tube_mask(noise, ratio, steps, time_major):
    B, S = noise.shape
    kept = S - int(ratio * S + 0.5)
    smaller = (noise.double()[:, :, None] > noise.double()[:, None]).sum(-1)
    keep = smaller < kept
    pattern = 'b s -> b (t s)' if time_major else 'b s -> b (s t)'
    return einops.repeat(keep, pattern, t=steps).nonzero()[:, 1].view(B, kept * steps)""",
        """def tube_mask(noise, ratio, steps, time_major):
    S = noise.shape[1]
    M = math.floor(ratio * S + 1 / 2)
    rows = []
    for numbers in noise.tolist():
        hidden = sorted(range(S), key=numbers.__getitem__, reverse=True)[:M]
        rows.append([i for i in range(S * steps) if (i % S if time_major else i // steps) not in hidden])
    return np.array(rows, dtype=np.int32)""",
    ),
)  # fmt: skip

# --- block_map ---

CORNER = "a corner is (row, column), a size (rows, columns), and what the block covers is true"
CUT_OFF = "without wrap, what reaches beyond the lower or right edge is cut off"
WRAPS = "with wrap, it goes on at the opposite edge"
UNION = "a patch is true where any block hides it, also where two overlap"
EMPTY_LIST = "no blocks hide nothing"
LARGE = "with wrap, a block that is larger than the frame goes around more than once"
LARGE_CUT = "without wrap, a block that is larger than the frame is cut off like any other"
ONE_ROW = "a frame may have one row or one column"


def corners_on(rng: np.random.Generator, frame: tuple[int, int], count: int) -> list[tuple[int, int]]:
    """Random corners on a frame."""
    return [(int(rng.integers(frame[0])), int(rng.integers(frame[1]))) for _ in range(count)]


def block_inputs(corners: list[tuple[int, int]], size: tuple[int, int], frame: tuple[int, int], wrap: bool) -> Inputs:
    """Inputs of block_map."""
    return {"corners": corners, "size": size, "frame": frame, "wrap": wrap}


def block_map_cases(rng: np.random.Generator) -> Drawn:
    """On wide and tall frames: blocks that just reach an edge, pass it by one and by much, overlap, or are larger than the frame."""
    rows, columns = whole(rng, 2, 5, 2)
    size, wrap = (rows, columns), bool(rng.integers(2))
    short, long = sorted(whole(rng, 6, 13, 2))
    drawn: Drawn = [(EMPTY_LIST, block_inputs([], size, (long, short), wrap))]
    for h, w in ((short, long), (long, short)):
        frame, last = (h, w), (h - 1, w - 1)
        top, left = int(rng.integers(h - rows)), int(rng.integers(w - columns))
        thin = (1, columns) if h < w else (rows, 1)
        fits, beyond = (h - thin[0], w - thin[1]), (h - rows + 1, w - columns + 1)
        one_edge = [(top, w - 1), (h - 1, left)]
        overlapping = [(top, left), (top + 1, left + 1), (top, left), *corners_on(rng, frame, 2)]
        drawn += [
            (CORNER, block_inputs([(top, left), fits], thin, frame, wrap)),
            (CUT_OFF, block_inputs([beyond], size, frame, False)),
            (WRAPS, block_inputs(one_edge if h < w else [beyond], size, frame, True)),
            (UNION, block_inputs(overlapping, size, frame, not wrap)),
        ]
    return [
        *drawn,
        (CORNER, block_inputs(corners_on(rng, (long, long), 4), (1, 2), (long, long), False)),  # a square frame
        (UNION, block_inputs(corners_on(rng, frame, 12), (1, 1), frame, wrap)),
        (CUT_OFF, block_inputs([last, *one_edge, (0, 0)], size, frame, False)),
        (WRAPS, block_inputs([last], size, frame, True)),
        (LARGE, block_inputs(corners_on(rng, frame, 1), (long + int(rng.integers(1, 4)), 2), frame, True)),
        (LARGE, block_inputs(corners_on(rng, frame, 1), (2, long + int(rng.integers(1, 4))), frame, True)),
        (LARGE_CUT, block_inputs([(top, left)], (long + 3, long + 2), frame, False)),
        (LARGE, block_inputs([last], (2 * frame[0] + 1, 1), frame, True)),  # around more than once
        *((ONE_ROW, block_inputs([(line[0] - 1, line[1] - 1)], (2, 3) if line[0] == 1 else (3, 2), line, wraps)) for line in ((1, long), (long, 1)) for wraps in (False, True)),
    ]  # fmt: skip


BLOCK = """def block_map(corners, size, frame, wrap):
    h, w = frame
    out = torch.zeros(h, w, dtype=torch.bool)
    for top, left in corners:
        for r in range(top, top + size[0]):
            for c in range(left, left + size[1]):
                if wrap:
                    out[r % h, c % w] = True
                elif r < h and c < w:
                    out[r, c] = True
    return out"""
ONE_BLOCK = """    for top, left in corners:
        one = torch.zeros(h, w, dtype=torch.bool)
"""

BLOCK_MAP = Exercise(
    "block_map",
    ("minivjepa.masking.parse_mask", "minivjepa.masking.draw_blocks"),
    {
        CORNER: block_inputs([(1, 0)], (1, 2), (3, 4), False),
        CUT_OFF: block_inputs([(2, 1), (0, 3)], (2, 3), (3, 5), False),
        WRAPS: block_inputs([(2, 3)], (2, 3), (3, 5), True),
        UNION: block_inputs([(0, 0), (1, 1), (1, 2)], (2, 3), (4, 5), False),
        EMPTY_LIST: block_inputs([], (2, 3), (2, 3), True),
        LARGE: block_inputs([(1, 1)], (6, 2), (3, 4), True),
        LARGE_CUT: block_inputs([(1, 2)], (4, 5), (3, 4), False),
        ONE_ROW: block_inputs([(0, 3)], (1, 2), (1, 5), False),
    },
    block_map_cases,
    (
        ("the map is inverted: true is where a block hides", changed(BLOCK, ("return out", "return ~out"))),
        ("rows and columns are exchanged: a corner is (row, column)", changed(BLOCK, ("for top, left in", "for left, top in"))),
        ("the size is read as (columns, rows); it is (rows, columns)", changed(BLOCK, ("top + size[0]", "top + ROWS"), ("size[1]", "size[0]"), ("ROWS", "size[1]"))),
        ("blocks are square here: a size is (rows, columns), and the two may differ", changed(BLOCK, ("size[1]", "size[0]"))),
        ("blocks go on at the opposite edge even when wrap is false", changed(BLOCK, ("if wrap:", "if True:"))),
        ("blocks are cut off at the edge even when wrap is true", changed(BLOCK, ("if wrap:", "if False:"))),
        ("only rows go on at the opposite edge; with wrap, columns do so too", changed(BLOCK, ("if wrap:", "if wrap and c < w:"))),
        ("only columns go on at the opposite edge; with wrap, rows do so too", changed(BLOCK, ("if wrap:", "if wrap and r < h:"))),
        ("what leaves on the right goes on in the next row here; with wrap, it goes on in its own row, at the left edge", changed(BLOCK, ("out[r % h, c % w]", "out.view(-1)[(r * w + c) % (h * w)]"))),
        ("a block is one row and one column too large: it ends before top + rows", changed(BLOCK, ("size[0]", "size[0] + 1"), ("size[1]", "size[1] + 1"))),
        ("only the last block is on the map: keep what the others have hidden", changed(BLOCK, ("corners:\n", "corners:\n        out = torch.zeros(h, w, dtype=torch.bool)\n"))),
        ("this is what all blocks hide together (and); return what any of them hides (or)", changed(BLOCK, ("zeros", "ones"), ("    for top, left in corners:\n", ONE_BLOCK), ("out[", "one["), ("    return", "        out &= one\n    return"))),
        ("where two blocks overlap, the map is false again (exclusive or); return what any of them hides (or)", changed(BLOCK, ("    for top, left in corners:\n", ONE_BLOCK), ("out[", "one["), ("    return", "        out ^= one\n    return"))),
        ("a block that does not fit is moved back inside; here it is cut off or goes on at the other side", "def block_map(corners, size, frame, wrap):\n    h, w = frame\n    out = torch.zeros(h, w, dtype=torch.bool)\n    for top, left in corners:\n        top, left = max(0, min(top, h - size[0])), max(0, min(left, w - size[1]))\n        out[top:top + size[0], left:left + size[1]] = True\n    return out"),
        ("these are counts, how many blocks hide a patch; return true or false", changed(BLOCK, ("torch.bool", "torch.int64"), ("] = True", "] += 1"))),
    ),
    (
        """def block_map(corners, size, frame, wrap):
    out = torch.zeros(frame, dtype=torch.bool)
    for top, left in corners:
        r, c = torch.arange(top, top + size[0]), torch.arange(left, left + size[1])
        r, c = (r % frame[0], c % frame[1]) if wrap else (r[r < frame[0]], c[c < frame[1]])
        out[r[:, None], c] = True
    return out""",
        """def block_map(corners, size, frame, wrap):
    r, c = torch.arange(frame[0])[:, None], torch.arange(frame[1])
    out = torch.zeros(frame).bool()
    for top, left in corners:
        dr, dc = r - top, c - left
        if wrap:
            dr, dc = dr % frame[0], dc % frame[1]
        out = out | ((dr >= 0) & (dr < size[0]) & (dc >= 0) & (dc < size[1]))
    return out""",
        """def block_map(corners, size, frame, wrap):
    h, w = frame
    def hit(r, c):
        for top, left in corners:
            dr, dc = ((r - top) % h, (c - left) % w) if wrap else (r - top, c - left)
            if 0 <= dr < size[0] and 0 <= dc < size[1]:
                return True
        return False
    return torch.tensor([[hit(r, c) for c in range(w)] for r in range(h)])""",
        """def block_map(corners, size, frame, wrap):
    h, w = frame
    big = np.zeros((h * 4 + size[0], w * 4 + size[1]), dtype=bool)
    for top, left in corners:
        big[top:top + size[0], left:left + size[1]] = True
    if not wrap:
        return big[:h, :w]
    out = np.zeros((h, w), dtype=bool)
    for r, c in np.argwhere(big):
        out[r % h, c % w] = True
    return out""",
        """def block_map(corners, size, frame, wrap):
    h, w = frame
    hits = torch.zeros(h, w)
    for top, left in corners:
        rows, columns = torch.zeros(h), torch.zeros(w)
        for length, start, count, line in ((h, top, size[0], rows), (w, left, size[1], columns)):
            for i in range(start, start + count):
                if wrap or i < length:
                    line[i % length] = 1
        hits += torch.einsum('r,c->rc', rows, columns)
    return hits > 0""",
        """def block_map(corners, size, frame, wrap):
    h, w = frame
    one = torch.zeros(h, w, dtype=torch.bool)
    one[:size[0], :size[1]] = True  # a block at (0, 0)
    out = torch.zeros_like(one)
    for top, left in corners:
        if wrap:
            out |= one.roll((top, left), dims=(0, 1))
        else:
            out[top:, left:] |= one[:h - top, :w - left]
    return out""",
        """def block_map(corners, size, frame, wrap):
    h, w = frame
    hidden = {(r % h, c % w) for top, left in corners for r in range(top, top + size[0]) for c in range(left, left + size[1]) if wrap or (r < h and c < w)}
    out = torch.full((h, w), False)
    for place in hidden:
        out[place] = True
    return out""",
    ),
)  # fmt: skip

# --- cut_to_smallest ---

FIRST = 'keep="first": the first K visible ids, K the smallest number in the batch'
SPREAD = 'keep="spread": the visible ids at the places 0, n/K, 2n/K, ... rounded down'
OWN_COUNT = "n is each clip's own number of visible tokens"
EXACT = "places are exact: with n = 119 and K = 49, place 21 is 21 * 119 / 49 = 51, not 50.99... rounded down"
NOTHING = "a clip that shows nothing makes K 0; the result is int64 [B, 0]"
ONE_CLIP = "a batch of one clip keeps all that it shows"


def shown(rng: np.random.Generator, counts: list[int], tokens: int) -> torch.Tensor:
    """Which of the tokens are visible: as many as counts says in each clip, at random places."""
    visible = torch.zeros(len(counts), tokens, dtype=torch.bool)
    for row, count in zip(visible, counts):
        row[torch.from_numpy(rng.permutation(tokens)[:count])] = True
    return visible


def cut_to_smallest_cases(rng: np.random.Generator) -> Drawn:
    """K of 0, 1, a few and many; lengths that are a multiple of K, a bit more, and such that floats fall below a whole number."""
    K = int(rng.choice([3, 4, 5, 6, 7]))
    near = rng.permutation([K, K + 1, 2 * K - 1]).tolist()
    far = rng.permutation([K, 2 * K + 1, 3 * K - 1, 4 * K]).tolist()
    exact = [rng.permutation(counts).tolist() for counts in ([22, 26, 30, 58], [14, 16, 50, int(rng.integers(15, 50))])]
    # each but the first is missed by another way to compute with floats
    exact.append(rng.permutation([49, 98, 112, 119]).tolist())
    many = rng.permutation([int(rng.integers(1101, 1150)), 1499]).tolist()
    whole_clip = int(rng.integers(2, 9))
    return [
        (FIRST, shown(rng, far, 4 * K + 3), "first"),
        (FIRST, shown(rng, near, 3 * K), "first"),
        (SPREAD, shown(rng, near, 2 * K), "spread"),
        (OWN_COUNT, shown(rng, far, 5 * K), "spread"),
        (OWN_COUNT, shown(rng, rng.permutation([1, 2, 5]).tolist(), 7), "spread"),
        (EXACT, shown(rng, exact[0], 61), "spread"),
        (EXACT, shown(rng, exact[1], 53), "spread"),
        (EXACT, shown(rng, exact[2], 121), "spread"),
        (EXACT, shown(rng, many, 1568), "spread"),  # places can be 1 / 1101 below a whole number, and j * n is beyond 32767
        (NOTHING, shown(rng, rng.permutation([0, 3, 1]).tolist(), 6), "spread"),
        (NOTHING, shown(rng, rng.permutation([0, 4]).tolist(), 5), "first"),
        (ONE_CLIP, shown(rng, [whole_clip], whole_clip + int(rng.integers(2))), str(rng.choice(["first", "spread"]))),
        (INT64, shown(rng, rng.permutation([200, 211]).tolist(), 300), "first"),
        (INT64, shown(rng, rng.permutation([int(rng.integers(100, 130)), 280]).tolist(), 300), "spread"),
    ]  # fmt: skip


SMALLEST = """def cut_to_smallest(visible, keep):
    lists = [row.nonzero().flatten() for row in visible]
    K = min(len(ids) for ids in lists)
    if keep == 'first':
        return torch.stack([ids[:K] for ids in lists])
    return torch.stack([ids[torch.arange(K) * len(ids) // max(K, 1)] for ids in lists])"""
FIRST_IDS, SPREAD_IDS = "ids[:K]", "ids[torch.arange(K) * len(ids) // max(K, 1)]"
STEPS = "torch.arange(K) * len(ids) // max(K, 1)"


def bools(*rows: str) -> torch.Tensor:
    """A boolean tensor from text: 1 is true."""
    return torch.tensor([[letter == "1" for letter in row] for row in rows])


CUT_TO_SMALLEST = Exercise(
    "cut_to_smallest",
    ("minivjepa.masking.parse_mask", "minivjepa.masking.OfficialBlocks"),
    {
        FIRST: {"visible": bools("11011", "01010"), "keep": "first"},
        SPREAD: {"visible": bools("1111101", "0101010"), "keep": "spread"},
        OWN_COUNT: {"visible": bools("0111110111", "1011000001", "0110111000"), "keep": "spread"},
        EXACT: {"visible": bools("1" * 49 + "0" * 84, "0" * 22 + "1" * 50 + "0" * 61, "0" * 14 + "1" * 119, "1" * 133), "keep": "spread"},
        NOTHING: {"visible": bools("1011", "0000"), "keep": "spread"},
        ONE_CLIP: {"visible": bools("0110111"), "keep": "spread"},
        INT64: {"visible": bools("0" * 254 + "1111", "1" + "0" * 254 + "101"), "keep": "first"},
    },
    lambda rng: [(rule, {"visible": visible, "keep": keep}) for rule, visible, keep in cut_to_smallest_cases(rng)],
    (
        ("the hidden ids are listed: true means visible", changed(SMALLEST, ("row.nonzero()", "(~row).nonzero()"))),
        ("each clip keeps its last ids; keep the first", changed(SMALLEST, (FIRST_IDS, "ids[len(ids) - K:]"))),
        ("keep is ignored: the first ids are kept even for spread", changed(SMALLEST, ("if keep == 'first':", "if True:"))),
        ("keep is ignored: the ids are spread even for first", changed(SMALLEST, ("if keep == 'first':", "if False:"))),
        ("the rows have different lengths: cut every clip to the smallest number of the batch", "def cut_to_smallest(visible, keep):\n    return [row.nonzero().flatten().tolist() for row in visible]"),
        ("short rows are filled up to the longest: cut every clip to the smallest number of the batch", "def cut_to_smallest(visible, keep):\n    return torch.nn.utils.rnn.pad_sequence([row.nonzero().flatten() for row in visible], batch_first=True)"),
        ("spread places are rounded to the nearest, and they are to be rounded down", changed(SMALLEST, (STEPS, "(torch.arange(K) * len(ids) / max(K, 1)).round().long()"))),
        ("spread places are rounded up, and they are to be rounded down", changed(SMALLEST, (STEPS, "(torch.arange(K) * len(ids) / max(K, 1)).ceil().long()"))),
        ("spread goes from the first to the last id: n / K per step, beginning at 0, does not reach the last", changed(SMALLEST, (STEPS, "torch.arange(K) * (len(ids) - 1) // max(K - 1, 1)"))),
        ("spread begins in the middle of the first step; it begins at the place 0", changed(SMALLEST, (STEPS, "(2 * torch.arange(K) + 1) * len(ids) // max(2 * K, 1)"))),
        ("one id too few: K is the smallest number of visible ids itself", changed(SMALLEST, ("for ids in lists)\n", "for ids in lists) - 1\n    K = max(K, 0)\n"))),
        ("these are places in the lists of visible ids, not the ids", changed(SMALLEST, (FIRST_IDS, "torch.arange(K)"), (SPREAD_IDS, STEPS))),
        ("the step is rounded before it is multiplied, so that the end of the list is never reached: j * n // K, not j * (n // K)", changed(SMALLEST, (STEPS, "torch.arange(K) * (len(ids) // max(K, 1))"))),
        ("the step n / K is a float, so that j * (n / K) can fall just below a whole number: multiply first, j * n // K", changed(SMALLEST, (STEPS, "[int(j * (len(ids) / K)) for j in range(K)]"))),
        ("the places come from float32 steps, which can fall just below a whole number: j * n // K is exact", changed(SMALLEST, (STEPS, "(np.arange(K, dtype=np.float32) * np.float32(len(ids) / max(K, 1))).astype(int)"))),
        ("the step n / K is rounded before it is multiplied: j * n // K is exact", changed(SMALLEST, (STEPS, "[int(j * round(len(ids) / K, 2)) for j in range(K)]"))),
        ("a bit is added before places are rounded down, so that some are rounded up: j * n // K is exact", changed(SMALLEST, (STEPS, "[int(j * (len(ids) / K) + 0.1) for j in range(K)]"))),
        ("j * n is multiplied by the float 1 / K, which can be a bit too small: j * n // K is exact", changed(SMALLEST, (STEPS, "[int(j * len(ids) * (1 / K)) for j in range(K)]"))),
        ("the ids are uint8, which ends at 255: return int64", changed(SMALLEST, ("for ids in lists])", "for ids in lists]).to(torch.uint8)"))),
    ),
    (
        """def cut_to_smallest(visible, keep):
    K = int(visible.sum(dim=1).min())
    out = torch.zeros(len(visible), K, dtype=torch.int64)
    for b in range(len(visible)):
        ids = [i for i, v in enumerate(visible[b].tolist()) if v]
        for j in range(K):
            out[b, j] = ids[j] if keep == 'first' else ids[math.floor(j * len(ids) / K + 1e-9)]
    return out""",
        """def cut_to_smallest(visible, keep):
    K = visible.sum(1).min().item()
    rank = visible.long().cumsum(1) - 1
    rows = []
    for v, r in zip(visible, rank):
        n = int(v.sum())
        wanted = torch.arange(K) if keep == 'first' else torch.div(torch.arange(K) * n, K, rounding_mode='floor')
        rows.append((v & torch.isin(r, wanted)).nonzero()[:, 0])
    return torch.stack(rows)""",
        """def cut_to_smallest(visible, keep):
    lists = [np.flatnonzero(row) for row in visible.numpy()]
    K = min(map(len, lists))
    if keep == 'spread':
        lists = [ids[[int(j * len(ids) / K) for j in range(K)]] if K else ids for ids in lists]
    return np.array([ids[:K] for ids in lists], dtype=np.int64)""",
        """def cut_to_smallest(visible, keep):
    n = visible.sum(dim=1, keepdim=True)
    K = int(n.min())
    order = (~visible).int().argsort(dim=1, stable=True)  # visible ids first, rising
    j = torch.arange(K).expand(len(visible), K)
    return order.gather(1, j if keep == 'first' else j * n // max(K, 1))""",
        """def cut_to_smallest(visible, keep):
    B, N = visible.shape
    n = visible.sum(dim=1)
    K = int(n.min())
    if K == 0:
        return torch.empty(B, 0, dtype=torch.long)
    rank = visible.cumsum(dim=1) - 1
    if keep == 'first':
        chosen = visible & (rank < K)
    else:  # the rank r is floor(j n / K) for some j
        j = -(-rank * K // n[:, None])
        chosen = visible & (j * n[:, None] // K == rank)
    return chosen.nonzero()[:, 1].view(B, K)""",
        """def cut_to_smallest(visible, keep):
    from fractions import Fraction
    rows = [[i for i in range(visible.shape[1]) if row[i]] for row in visible]
    K = min(len(row) for row in rows)
    places = lambda n: range(K) if keep == 'first' else [math.floor(Fraction(j * n, K)) for j in range(K)]
    return torch.tensor([[row[p] for p in places(len(row))] for row in rows], dtype=torch.int32)""",
        """def cut_to_smallest(visible, keep):
    where = [torch.where(row)[0] for row in visible]
    K = min(w.numel() for w in where)
    if keep == 'first':
        return torch.stack(where) [:, :K] if len({len(w) for w in where}) == 1 else torch.stack([w.narrow(0, 0, K) for w in where])
    return torch.stack([w[(torch.arange(K, dtype=torch.float64) * len(w) / K).floor().long()] for w in where])""",
    ),
)  # fmt: skip

# --- coverage ---

SHARE = "the share of all draws and time steps in which a place is kept"
LAYOUT = "ids are time-major: they count columns, then rows, then time steps"
NEVER = "a place that no draw keeps has 0, and one that all keep 1"
MANY_DRAWS = "counts go beyond 255"
UNSORTED = "the ids of a draw may stand in any order"
NO_IDS = "draws that keep nothing (K = 0) give zeros"


def draws(rng: np.random.Generator, count: int, shape: tuple[int, ...], kept: int, rising: bool = True) -> torch.Tensor:
    """Ids of random contexts, int64 [count, kept]; early tokens are kept more often."""
    tokens = int(np.prod(shape))
    scores = rng.random((count, tokens)) + np.linspace(0.4, 0, tokens)
    ids = np.argsort(-scores, axis=1)[:, :kept]
    return torch.from_numpy(np.sort(ids, axis=1) if rising else ids)


def coverage_cases(rng: np.random.Generator) -> Drawn:
    """Grids of all forms, few and many draws, nothing, a bit and everything kept."""
    t, h, w = whole(rng, 2, 5, 3)
    forms = [(1, h, w), (t, 1, w), (t, h, 1)]
    total, count = t * h * w, int(rng.integers(3, 14))
    large = (4, *whole(rng, 8, 11, 2))
    counts = [n for n in range(1100, 2000) if abs(float(np.float16(n / 2051)) - n / 2051) > 2.1e-4]
    # 1 is kept so often that its share loses digits in float16, and 0 in every draw, which is more often than float16 counts
    second = np.where(np.arange(2051) < rng.choice(counts), 1, rng.integers(2, 6, 2051))
    often = torch.from_numpy(np.stack([np.zeros(2051, dtype=np.int64), second], axis=1))
    drawn = [
        *((SHARE, draws(rng, count, (t, h, w), total // 3), (t, h, w)) for _ in range(2)),
        (SHARE, draws(rng, 1, (t, h, w), total // 2), (t, h, w)),
        (LAYOUT, draws(rng, 5, (t, h, w), 4), (t, h, w)),
        (LAYOUT, draws(rng, 2, large, int(rng.integers(100, 200))), large),
        *((LAYOUT, draws(rng, 4, form, max(1, int(np.prod(form)) // 2)), form) for form in forms),
        (NEVER, draws(rng, 2, (t, h, w), 1), (t, h, w)),
        (NEVER, draws(rng, 3, (t, h, w), total), (t, h, w)),
        (MANY_DRAWS, often, (1, 2, 3)),
        (UNSORTED, draws(rng, 6, (h, t, w), total // 2, rising=False), (h, t, w)),
        (NO_IDS, draws(rng, 3, (t, h, w), 0), (t, h, w)),
    ]  # fmt: skip
    return [(rule, {"ids": ids, "shape": shape}) for rule, ids, shape in drawn]


COVER = """def coverage(ids, shape):
    t, h, w = shape
    counts = torch.bincount(ids.flatten(), minlength=t * h * w).reshape(t, h, w)
    return counts.float().mean(dim=0) / len(ids)"""
COUNTS = "torch.bincount(ids.flatten(), minlength=t * h * w)"

COVERAGE = Exercise(
    "coverage",
    ("minivjepa.masking.coverage",),
    {
        SHARE: {"ids": torch.tensor([[0, 1, 4], [0, 3, 6]]), "shape": (2, 2, 2)},
        LAYOUT: {"ids": torch.tensor([[0, 2, 7, 9]]), "shape": (2, 2, 3)},
        NEVER: {"ids": torch.tensor([[0, 2, 6], [1, 2, 6], [1, 2, 6]]), "shape": (2, 1, 4)},
        MANY_DRAWS: {"ids": torch.tensor([0] * 260 + [2] * 65)[:, None], "shape": (2, 2, 2)},
        UNSORTED: {"ids": torch.tensor([[3, 0, 5], [5, 4, 1]]), "shape": (3, 1, 2)},
        NO_IDS: {"ids": torch.zeros(2, 0, dtype=torch.int64), "shape": (2, 1, 3)},
    },
    coverage_cases,
    (
        ("these are counts; divide by the number of draws", changed(COVER, (" / len(ids)", ""))),
        ("the counts are summed over time: average over time steps, or divide by their number as well", changed(COVER, ("mean", "sum"))),
        ("counts are normalized to add up to one; return how often each place is kept", changed(COVER, ("mean(dim=0) / len(ids)", "sum(dim=0) / max(1, ids.numel())"))),
        ("this is the share that is hidden", changed(COVER, ("return counts", "return 1 - counts"))),
        ("ids are time-major: the shape of the counts is [t, h, w], and here time is the fastest axis", changed(COVER, (".reshape(t, h, w)", ".reshape(h, w, t).permute(2, 0, 1)"))),
        ("rows and columns are exchanged: each step is [h, w]", changed(COVER, (".reshape(t, h, w)", ".reshape(t, w, h).transpose(1, 2)"))),
        ("only the first time step is counted", changed(COVER, (".float().mean(dim=0)", ".float()[0]"))),
        ("only the best time step is taken (max); average over time steps", changed(COVER, ("mean", "amax"))),
        ("the result still has a time axis: average over it", changed(COVER, (".mean(dim=0)", ""))),
        ("a token is counted once, however many draws keep it: count it in each", changed(COVER, (".float()", ".clamp(max=1).float()"))),
        ("a place counts in full if any of its time steps is kept: count every step", "def coverage(ids, shape):\n    t, h, w = shape\n    kept = torch.zeros(len(ids), t * h * w).scatter(1, ids, 1.0)\n    return kept.reshape(len(ids), t, h, w).amax(dim=1).mean(dim=0)"),
        ("only the first draw is counted: average over all draws", changed(COVER, ("ids.flatten()", "ids[0]"), (" / len(ids)", ""))),
        ("the map is compared with its largest value; return shares of all draws and steps", changed(COVER, ("    return counts.float().mean(dim=0) / len(ids)", "    total = counts.float().sum(dim=0)\n    return total / total.max().clamp(min=1)"))),
        ("only time steps in which something is kept are averaged: divide by all of them", changed(COVER, ("return counts.float().mean(dim=0)", "some = counts.flatten(1).any(dim=1).sum().clamp(min=1)\n    return counts.float().sum(dim=0) / some"))),
        ("counts are kept in uint8, which ends at 255: 256 draws are 0 there", changed(COVER, (COUNTS, f"{COUNTS}.to(torch.uint8)"))),
    ),
    (
        """def coverage(ids, shape):
    t, h, w = shape
    kept = torch.zeros(len(ids), t * h * w).scatter(1, ids, 1.0)
    return kept.reshape(len(ids), t, h, w).mean(dim=(0, 1))""",
        """def coverage(ids, shape):
    t, h, w = shape
    out = np.zeros((h, w), dtype=np.float32)
    for row in ids.tolist():
        for i in row:
            out[i // w % h, i % w] += 1
    return out / (t * len(ids))""",
        """def coverage(ids, shape):
    t, h, w = shape
    places = ids % (h * w)
    return torch.bincount(places.flatten(), minlength=h * w).double().view(h, w) / (t * ids.shape[0])""",
        """def coverage(ids, shape):
    t, h, w = shape
    counts, _ = np.histogram(ids.numpy(), bins=np.arange(t * h * w + 1))
    return torch.from_numpy(counts.reshape(t, h, w).mean(axis=0) / len(ids)).float()""",
        """def coverage(ids, shape):
    t, h, w = shape
    hot = (ids[:, :, None] == torch.arange(t * h * w)).any(dim=1).float()  # [draws, N]
    return einops.reduce(hot, 'b (t h w) -> h w', 'mean', t=t, h=h, w=w)""",
        """def coverage(ids, shape):
    t, h, w = shape
    grid = torch.zeros(tuple(shape))
    grid.view(-1).index_add_(0, ids.reshape(-1), torch.full((ids.numel(),), 1 / len(ids)))
    return sum(grid) / t""",
        """def coverage(ids, shape):
    t, h, w = shape
    flat = ids.flatten().tolist()
    return torch.tensor([[sum(flat.count((s * h + r) * w + c) for s in range(t)) / (t * len(ids)) for c in range(w)] for r in range(h)])""",
    ),
)  # fmt: skip

EXERCISES = [GRID_SHAPE, COVERAGE, RANDOM_MASK, TUBE_MASK, CUT_TO_SMALLEST, BLOCK_MAP, CUT, POSITIONS]
