"""Lesson 01: the cases of its exercises, and the mistakes that people make."""

import torch
from assignment import Exercise


def numbered(*shape: int) -> torch.Tensor:
    """A clip in which every value is another whole number."""
    return torch.arange(float(torch.tensor(shape).prod())).reshape(shape)


PIECE = "clip[:, k : k + tubelet, y : y + patch, x : x + patch]"


def cut(order: str, piece: str) -> str:
    """Code of an answer: its loops, from the outermost, and what it appends."""
    step = {"k": "range(0, T, tubelet)", "y": "range(0, H, patch)", "x": "range(0, W, patch)"}
    lines = "\n".join(f"{'    ' * (depth + 1)}for {name} in {step[name]}:" for depth, name in enumerate(order))
    return (
        "def cut(clip, tubelet, patch):\n    C, T, H, W = clip.shape\n    pieces = []\n"
        f"{lines}\n                pieces.append({piece})\n    return torch.stack(pieces)\n"
    )


def by_number(code: str) -> str:
    """Code of an answer that counts pieces, and takes their numbers for frames, rows and columns."""
    for axis, size in (("T", "tubelet"), ("H", "patch"), ("W", "patch")):
        code = code.replace(f"range(0, {axis}, {size})", f"range({axis} // {size})")
    return code


CUT = Exercise(
    "cut",
    ("minivjepa.tubelets.patchify",),
    (
        {"clip": numbered(1, 4, 4, 6), "tubelet": 2, "patch": 2},
        {"clip": numbered(3, 3, 4, 4), "tubelet": 1, "patch": 2},
        {"clip": numbered(2, 4, 6, 3), "tubelet": 4, "patch": 3},
    ),
    lambda rng: [],
    (
        (
            "time changes fastest in this list: finish all of one time step before the next",
            cut("yxk", PIECE + ".flatten()"),
        ),
        (
            "this goes down each column: within a time step, go row by row",
            cut("kxy", PIECE + ".flatten()"),
        ),
        (
            "the colors come last inside each tubelet: the order is channel, frame, row, column",
            cut("kyx", PIECE + ".movedim(0, -1).flatten()"),
        ),
        ("each tubelet has only its first frame: take all of its frames", cut("kyx", PIECE + "[:, 0].flatten()")),
        ("a tubelet is one vector: flatten each piece", cut("kyx", PIECE)),
        (
            "the frames come first inside each tubelet: the order is channel, frame, row, column",
            cut("kyx", PIECE + ".transpose(0, 1).flatten()"),
        ),
        (
            "the pieces overlap: piece k starts at frame k * tubelet, not at frame k, and rows and columns go the same way",
            by_number(cut("kyx", PIECE + ".flatten()")),
        ),
        (
            "reshape chops up the clip in the order of its pixels, and a tubelet's pixels aren't in one run: cut out each tubelet",
            "def cut(clip, tubelet, patch):\n    return clip.reshape(-1, len(clip) * tubelet * patch * patch)\n",
        ),
    ),
    (),
    adapter="tensors",
)

PLACE = Exercise(
    "place",
    ("minivjepa.tubelets.axis_positions", "minivjepa.tubelets.sincos_positions"),
    ({"p": 3, "width": 8}, {"p": 0, "width": 4}, {"p": 7, "width": 16}),
    lambda rng: [],
    (
        (
            "the frequencies fall too slowly: m is half the width, so frequency k is 10000 ** (-k / m)",
            "def place(p, width):\n    angle = p * 10000.0 ** (-torch.arange(width // 2) / width)\n    return torch.cat([angle.sin(), angle.cos()])",
        ),
        (
            "the cosines come first here: put the sines first",
            "def place(p, width):\n    m = width // 2\n    angle = p * 10000.0 ** (-torch.arange(m) / m)\n    return torch.cat([angle.cos(), angle.sin()])",
        ),
        (
            "sines and cosines alternate here: put all sines first, then all cosines",
            "def place(p, width):\n    m = width // 2\n    angle = p * 10000.0 ** (-torch.arange(m) / m)\n    return torch.stack([angle.sin(), angle.cos()], dim=1).flatten()",
        ),
        (
            "the frequencies grow: the exponent has to be negative",
            "def place(p, width):\n    m = width // 2\n    angle = p * 10000.0 ** (torch.arange(m) / m)\n    return torch.cat([angle.sin(), angle.cos()])",
        ),
        (
            "divide k by m, not by m - 1: the last frequency stays above 1 / 10000",
            "def place(p, width):\n    m = width // 2\n    angle = p * 10000.0 ** (-torch.arange(m) / (m - 1))\n    return torch.cat([angle.sin(), angle.cos()])",
        ),
    ),
    (),
    adapter="tensors",
)

EXERCISES = [CUT, PLACE]
