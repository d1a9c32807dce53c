"""Lesson 10: the cases of its exercises, and the mistakes that people make."""

import torch
from assignment import Exercise

ANGLES = """def angles(places, pairs):
    frequency = 10000.0 ** -(torch.arange(pairs) / pairs)
    return places[:, None] * frequency.repeat_interleave(2)
"""

ANGLES_EXERCISE = Exercise(
    "angles",
    ("minivjepa.rotary.rotary_angles",),
    (
        {"places": torch.tensor([0, 1, 2]), "pairs": 2},
        {"places": torch.tensor([5, 3]), "pairs": 4},
        {"places": torch.tensor([7]), "pairs": 1},
        {"places": torch.tensor([0, 16, 8, 1000]), "pairs": 3},
    ),
    lambda rng: [],
    (
        ("the frequencies are listed as f0 f1 ... f0 f1 ...: that's the quirk of the released code, and here each stands twice in a row, f0 f0 f1 f1 ...", ANGLES.replace("repeat_interleave(2)", "repeat(2)")),
        ("there's one angle a pair: give both numbers of the pair the same one, so twice as many", ANGLES.replace(".repeat_interleave(2)", "")),
        ("the frequencies grow: later pairs turn more slowly, so the exponent is negative, and the place is multiplied by the frequency", ANGLES.replace("** -(", "** (")),
        ("the exponent counts numbers, not pairs: divide i by the number of pairs", ANGLES.replace("/ pairs", "/ (2 * pairs)")),
        ("the exponent is twice what it should be: i counts pairs, and so does P", ANGLES.replace("torch.arange(pairs) / pairs", "2 * torch.arange(pairs) / pairs")),
        ("the last frequency is 1/10000, because i was divided by pairs - 1: divide by pairs", ANGLES.replace("/ pairs", "/ max(pairs - 1, 1)")),
        ("the exponent isn't divided by the number of pairs, so all but the first hardly turn", ANGLES.replace("/ pairs", "/ 1")),
        ("i starts at 1: the first pair has frequency 1", ANGLES.replace("torch.arange(pairs)", "torch.arange(1, pairs + 1)")),
        ("places are counted from 1: place 0 isn't turned", ANGLES.replace("places[:, None]", "(places[:, None] + 1)")),
        ("these are degrees: torch's sin and cos take radians, so leave the product as it is", ANGLES.replace("(2)\n", "(2) * 180 / torch.pi\n")),
        ("these are full turns (2 pi radians each): here a frequency is in radians a place", ANGLES.replace("(2)\n", "(2) * 2 * torch.pi\n")),
        ("the result is the other way round: one row for each place", ANGLES.replace("return places[:, None] * frequency.repeat_interleave(2)", "return (places[:, None] * frequency.repeat_interleave(2)).T")),
    ),
    (),
)  # fmt: skip

ROTATE = """def rotate(x, angle):
    turned, still = x[:, : angle.shape[1]], x[:, angle.shape[1] :]
    a, b = turned[:, 0::2], turned[:, 1::2]
    partner = torch.stack([-b, a], dim=-1).flatten(1)
    return torch.cat([turned * angle.cos() + partner * angle.sin(), still], dim=1)
"""
QUARTER = torch.pi / 2


def drawn(seed: int, n: int, d: int, r: int) -> dict[str, torch.Tensor]:
    """Vectors [n, d] and angles [n, r], the same for both numbers of a pair.  Rounded: they stand in messages."""
    generator = torch.Generator().manual_seed(seed)
    x = (8 * torch.randn(n, d, generator=generator)).round() / 8
    return {
        "x": x,
        "angle": ((8 * torch.randn(n, r // 2, generator=generator)).round() / 8).repeat_interleave(2, dim=1),
    }


ROTATE_EXERCISE = Exercise(
    "rotate",
    ("minivjepa.rotary.rotate",),
    (
        {"x": torch.tensor([[3.0, 1.0]]), "angle": torch.tensor([[QUARTER, QUARTER]])},  # a quarter turn: (3, 1) -> (-1, 3)
        drawn(1, 2, 4, 4),
        drawn(2, 3, 6, 4),
        {"x": torch.tensor([[3.0, 1.0, 2.0, -1.0]]), "angle": torch.tensor([[0.5, 0.25, 1.0, -0.5]])},  # two angles a pair
        drawn(3, 2, 8, 2),
    ),
    lambda rng: [],
    (
        ("it turns the other way: (3, 1) turned by a quarter is (-1, 3)", ROTATE.replace("[-b, a]", "[b, -a]")),
        ("a minus is missing: the first number of a pair is a cos - b sin", ROTATE.replace("[-b, a]", "[b, a]")),
        ("the pairs are made of the first and the second half: pairs are neighbors, numbers 0 and 1, then 2 and 3", ROTATE.replace("turned[:, 0::2], turned[:, 1::2]", "turned.chunk(2, dim=1)").replace("torch.stack([-b, a], dim=-1).flatten(1)", "torch.cat([-b, a], dim=1)")),
        ("the two numbers of each pair are put one list after the other: weave them together again, a0 b0 a1 b1 ...", ROTATE.replace("torch.stack([-b, a], dim=-1).flatten(1)", "torch.cat([-b, a], dim=1)")),
        ("the numbers that have no angle are lost: they stay at the end as they are", ROTATE.replace("torch.cat([turned * angle.cos() + partner * angle.sin(), still], dim=1)", "turned * angle.cos() + partner * angle.sin()")),
        ("the numbers that have no angle became zeros: they stay as they are", ROTATE.replace(", still]", ", 0 * still]")),
        ("both numbers of a pair use the first one's angle: each uses the angle in its own column", ROTATE.replace("    a, b", "    angle = angle[:, 0::2].repeat_interleave(2, dim=1)\n    a, b")),
        ("sine and cosine are exchanged: by an angle of 0 nothing moves", ROTATE.replace("angle.cos() + partner * angle.sin()", "angle.sin() + partner * angle.cos()")),
        ("the partner is missing: this only shrinks each number by a cosine", ROTATE.replace(" + partner * angle.sin()", "")),
        ("all rows are turned by the angles of the first: each row has its own", ROTATE.replace("    a, b", "    angle = angle[:1]\n    a, b")),
        ("the input was changed in place: make a new tensor", "def rotate(x, angle):\n    for j in range(0, angle.shape[1], 2):\n        a, b = x[:, j].clone(), x[:, j + 1].clone()\n        x[:, j] = a * angle[:, j].cos() - b * angle[:, j].sin()\n        x[:, j + 1] = b * angle[:, j + 1].cos() + a * angle[:, j + 1].sin()\n    return x\n"),
        ("the second number uses the new first one: keep the old numbers of a pair until both are turned", "def rotate(x, angle):\n    x = x.clone()\n    for j in range(0, angle.shape[1], 2):\n        x[:, j] = x[:, j] * angle[:, j].cos() - x[:, j + 1] * angle[:, j].sin()\n        x[:, j + 1] = x[:, j + 1] * angle[:, j + 1].cos() + x[:, j] * angle[:, j + 1].sin()\n    return x\n"),
    ),
    (),
)  # fmt: skip

EXERCISES = [ANGLES_EXERCISE, ROTATE_EXERCISE]
