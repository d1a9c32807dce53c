"""Lesson 11: the cases of its exercises, and the mistakes that people make."""

import torch
from assignment import Exercise
from torch import Tensor

EPPS = """def epps_pulley(x):
    t = torch.linspace(-3, 3, 33)
    normal = torch.exp(-(t**2) / 2)
    angle = x[:, None] * t
    gap = (angle.cos().mean(dim=0) - normal) ** 2 + angle.sin().mean(dim=0) ** 2
    return len(x) * torch.trapezoid(normal * gap, t)
"""
GAP = "(angle.cos().mean(dim=0) - normal) ** 2 + angle.sin().mean(dim=0) ** 2"
INTEGRAL = "torch.trapezoid(normal * gap, t)"
ANGLE = "angle = x[:, None] * t"

EPPS_PULLEY = Exercise(
    "epps_pulley",
    ("minivjepa.objective.sigreg",),
    (
        {"x": torch.tensor([0.5, -1.0, 2.0, 0.25, -0.75])},
        {"x": torch.tensor([3.0, 3.5, 2.5, 4.0])},  # far to one side
        {"x": torch.tensor([0.125, 0.0, -0.125, 0.0, 0.25, -0.25])},  # nearly collapsed
    ),
    lambda rng: [],
    (
        ("the factor n is missing: multiply by the number of points", EPPS.replace("len(x) * ", "")),
        ("the sine is missing: without it, a shadow that is all on one side can pass", EPPS.replace(GAP, "(angle.cos().mean(dim=0) - normal) ** 2")),
        ("the cosine is missing: its mean should be exp(-t² / 2)", EPPS.replace(GAP, "angle.sin().mean(dim=0) ** 2")),
        ("the cosine is compared with 0: for a normal shadow its mean is exp(-t² / 2), so subtract that first", EPPS.replace(" - normal) **", ") **")),
        ("the sine is compared with exp(-t² / 2) too: for a normal shadow its mean is 0", EPPS.replace("angle.sin().mean(dim=0) ** 2", "(angle.sin().mean(dim=0) - normal) ** 2")),
        ("the weight is missing: multiply the gap by exp(-t² / 2) inside the integral", EPPS.replace("normal * gap", "gap")),
        ("these are distances: square the gaps of cosine and sine before you add them", EPPS.replace(GAP, "(angle.cos().mean(dim=0) - normal).abs() + angle.sin().mean(dim=0).abs()")),
        ("the gaps are squared point by point: take the mean over points first, then the square", EPPS.replace(GAP, "((angle.cos() - normal) ** 2 + angle.sin() ** 2).mean(dim=0)")),
        ("cosine and sine are added up over points: take their means", EPPS.replace(".mean(dim=0)", ".sum(dim=0)")),
        ("this is a sum over t: the integral also counts how far apart the values of t are, so give torch.trapezoid the t", EPPS.replace(INTEGRAL, "torch.trapezoid(normal * gap)")),
        ("this is a plain sum times the step: the trapezoid rule counts the first and the last t half", EPPS.replace(INTEGRAL, "(normal * gap).sum() * 6 / 32")),
        ("this is a mean over t: the integral from -3 to 3 is 6 times as much, with the two ends counted half", EPPS.replace(INTEGRAL, "(normal * gap).mean()")),
        ("t goes from 0 to 3 only: that's half of the integral", EPPS.replace("(-3, 3, 33)", "(0, 3, 17)")),
        ("a normal shadow's cosine has the mean exp(-t² / 2): yours lacks the 2", EPPS.replace("torch.exp(-(t**2) / 2)", "torch.exp(-(t**2))")),
        ("this is the normal density, with 1 / sqrt(2 pi): the mean of the cosine is exp(-t² / 2), which is 1 at t = 0", EPPS.replace("torch.exp(-(t**2) / 2)", "torch.exp(-(t**2) / 2) / (2 * math.pi) ** 0.5")),
        ("the shadow is brought to mean 0 and standard deviation 1 first: then a collapsed cloud passes; leave x as it is", EPPS.replace(ANGLE, "angle = ((x - x.mean()) / x.std())[:, None] * t")),
        ("the shadow's mean is subtracted first: then it no longer matters where it is; leave x as it is", EPPS.replace(ANGLE, "angle = (x - x.mean())[:, None] * t")),
        ("no gradient reaches x: training needs one, so don't detach, don't call .item(), and keep tensors", EPPS.replace(ANGLE, "angle = x.detach()[:, None] * t")),
    ),
    (),
    adapter="gradients",
)  # fmt: skip


def columns(*rows: list[float]) -> Tensor:
    """Directions [D, A] from their A rows of D numbers, scaled to length 1."""
    return torch.nn.functional.normalize(torch.tensor(rows), dim=1).T


def answer(expression: str) -> str:
    """Code of an answer: the expression that it returns; `shadows` are [n, A]."""
    return f"{EPPS}\n\ndef sigreg(z, directions):\n    shadows = z @ directions\n    return {expression}\n"


EACH = "torch.stack([epps_pulley(x) for x in shadows.T])"
PLANE = torch.tensor([[1.0, 0.5], [-1.0, 0.25], [0.5, -2.0], [2.0, 1.5]])
SPACE = torch.tensor([[0.5, 1.0, -0.25], [-1.5, 0.5, 2.0], [0.0, -1.0, 1.0], [1.0, 1.0, 1.0], [0.25, -0.5, -1.0]])

SIGREG = Exercise(
    "sigreg",
    ("minivjepa.objective.sigreg",),
    (
        {"z": PLANE, "directions": columns([3.0, 4.0], [1.0, 0.0], [-4.0, 3.0])},
        {"z": SPACE, "directions": columns([1.0, 2.0, 2.0], [0.0, 1.0, 0.0])},
        {"z": PLANE / 16 + 1, "directions": columns([0.0, 1.0], [4.0, -3.0])},
    ),
    lambda rng: [],
    (
        ("this is a sum over directions: take the mean, or more directions would cost more", answer(f"{EACH}.sum()")),
        ("this is the worst direction only: take the mean over all of them", answer(f"{EACH}.max()")),
        ("this uses the first direction only: go through all columns of directions", answer("epps_pulley(shadows[:, 0])")),
        ("all shadows are judged as one: call epps_pulley once for each direction, and take the mean", answer("epps_pulley(shadows.flatten())")),
        ("the shadows are averaged into one: call epps_pulley once for each direction, and take the mean of its values", answer("epps_pulley(shadows.mean(dim=1))")),
        ("these are the shadows on the axes: project z onto the directions", answer("torch.stack([epps_pulley(x) for x in z.T]).mean()")),
        ("each shadow here is one point seen from all directions: a shadow is all n points along one direction, a column of z @ directions", answer("torch.stack([epps_pulley(x) for x in shadows]).mean()")),
        ("the cloud's mean is subtracted first: SIGReg also asks for mean 0, so leave z as it is", answer(EACH.replace("shadows.T", "((z - z.mean(dim=0)) @ directions).T") + ".mean()")),
        ("the cloud is brought to standard deviation 1 first: then a collapsed cloud passes; leave z as it is", answer(EACH.replace("shadows.T", "((z - z.mean(dim=0)) / z.std(dim=0) @ directions).T") + ".mean()")),
        ("every point is scaled to length 1 first: leave z as it is", answer(EACH.replace("shadows.T", "(torch.nn.functional.normalize(z, dim=1) @ directions).T") + ".mean()")),
        ("no gradient reaches z: training needs one, so don't detach and don't call .item(); collect the values with torch.stack", answer("torch.tensor([epps_pulley(x).item() for x in shadows.T]).mean()")),
        ("the directions are scaled to length 1 again, and a gradient flows through that: they have it already", answer(EACH.replace("shadows.T", "(z @ torch.nn.functional.normalize(directions, dim=0)).T") + ".mean()")),
    ),
    (),
    adapter="gradients",
)  # fmt: skip

EXERCISES = [EPPS_PULLEY, SIGREG]
