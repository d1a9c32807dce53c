"""Lesson 05: the cases of its exercises, and the mistakes that people make."""

import torch
from assignment import Exercise

LOSS = """def jepa_loss(predictions, targets):
    h = targets.detach()
    h = (h - h.mean(dim=-1, keepdim=True)) / (h.var(dim=-1, keepdim=True, correction=0) + 1e-5).sqrt()
    return (predictions - h).abs().mean()
"""
ROOT = "(h.var(dim=-1, keepdim=True, correction=0) + 1e-5).sqrt()"


def pair(seed: int, *shape: int) -> dict[str, torch.Tensor]:
    """Predictions, and targets that are neither centered nor of one scale.  Rounded: they stand in messages."""
    generator = torch.Generator().manual_seed(seed)
    predictions, targets = (torch.randn(*shape, generator=generator) for _ in range(2))
    return {"predictions": (8 * predictions).round() / 8, "targets": (8 * (3 * targets + 1)).round() / 8}


def constant() -> dict[str, torch.Tensor]:
    """A pair in which one target is the same number all along, and another nearly so."""
    drawn = pair(3, 1, 3, 4)
    drawn["targets"][0, 1] = 2.0
    drawn["targets"][0, 2] = torch.tensor([0.25, 0.26, 0.25, 0.24])
    return drawn


JEPA_LOSS = Exercise(
    "jepa_loss",
    ("minivjepa.objective.normalise_targets", "minivjepa.objective.latent_distance"),
    (pair(1, 2, 2, 3), pair(2, 2, 3, 5), constant()),
    lambda rng: [],
    (
        ("a gradient flows into the targets: detach them, or the teacher learns to give easy answers", LOSS.replace(".detach()", "")),
        ("no gradient reaches the predictions: cut off the targets only, or the student can't learn", LOSS.replace("(predictions - h)", "(predictions.detach() - h)")),
        ("these are squared differences: V-JEPA takes absolute ones", LOSS.replace(".abs()", ".square()")),
        ("this is a sum over features: take the mean over them too, or wider vectors would cost more", LOSS.replace(".abs().mean()", ".abs().sum(dim=-1).mean()")),
        ("this is a sum over everything: take the mean, or a larger batch would cost more", LOSS.replace(".abs().mean()", ".abs().sum()")),
        ("the targets are normalized over the M tubelets: each vector is normalized by itself, over its D numbers", LOSS.replace("dim=-1", "dim=1")),
        ("all targets share one mean and one scale: each vector of D numbers has its own", LOSS.replace("dim=-1, keepdim=True", "dim=(0, 1, 2), keepdim=True")),
        ("all targets of a clip share one mean and one scale: each vector of D numbers has its own", LOSS.replace("dim=-1, keepdim=True", "dim=(1, 2), keepdim=True")),
        ("detach shares memory with the targets, and an in-place operation such as h -= ... changed them: make new tensors", LOSS.replace("h = (h -", "h -= h.mean(dim=-1, keepdim=True)\n    h = (h -")),
        ("the targets are raw: normalize them, or the loss falls when features shrink", LOSS.replace("    h = (h - h.mean(dim=-1, keepdim=True)) / " + ROOT + "\n", "")),
        ("the mean isn't subtracted from the targets", LOSS.replace("(h - h.mean(dim=-1, keepdim=True))", "h")),
        ("the targets are divided by their variance: the root is missing", LOSS.replace(".sqrt()", "")),
        ("the variance divides by D - 1, as var does unless you pass correction=0", LOSS.replace(", correction=0", "")),
        ("a target whose numbers are all the same is divided by zero: add 1e-5 to the variance", LOSS.replace(" + 1e-5", "")),
        ("1e-5 is added to the standard deviation: add it to the variance, under the root", LOSS.replace(ROOT, "(h.var(dim=-1, keepdim=True, correction=0).sqrt() + 1e-5)")),
        ("the targets are scaled to length 1, as in BYOL: give them mean 0 and standard deviation 1", LOSS.replace("(h - h.mean(dim=-1, keepdim=True)) / " + ROOT, "torch.nn.functional.normalize(h, dim=-1)")),
        ("the predictions are normalized too: only the targets are", LOSS.replace("(predictions - h)", "(torch.nn.functional.layer_norm(predictions, predictions.shape[-1:]) - h)")),
        ("the absolute value is missing: positive and negative errors cancel", LOSS.replace(".abs()", "")),
    ),
    (),
    adapter="gradients",
)  # fmt: skip

EMA = """def ema_step(target, online, momentum):
    return [momentum * t + (1 - momentum) * o for t, o in zip(target, online)]
"""
NEW = "momentum * t + (1 - momentum) * o"

EMA_STEP = Exercise(
    "ema_step",
    (),  # the package's ema_update works on modules
    (
        {"target": [torch.tensor([0.0, 8.0])], "online": [torch.tensor([4.0, 4.0])], "momentum": 0.75},
        {"target": [torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([-1.0, 5.0])], "online": [torch.tensor([[9.0, 0.0], [-5.0, 4.0]]), torch.tensor([3.0, 1.0])], "momentum": 0.875},
        {"target": [torch.tensor([2.0]), torch.tensor([6.0, 7.0])], "online": [torch.tensor([5.0]), torch.tensor([1.0, 3.0])], "momentum": 1.0},
        {"target": [torch.tensor([2.0]), torch.tensor([6.0, 7.0])], "online": [torch.tensor([5.0]), torch.tensor([1.0, 3.0])], "momentum": 0.0},
    ),
    lambda rng: [],
    (
        ("the shares are swapped: momentum is the share of the target that stays, so a momentum near 1 is slow", EMA.replace(NEW, "(1 - momentum) * t + momentum * o")),
        ("the shares don't add up to 1: the online weights come in with 1 - momentum", EMA.replace(NEW, "momentum * t + o")),
        ("the online weights never come in: the target only shrinks", EMA.replace(NEW, "momentum * t")),
        ("this is a plain average: it doesn't use momentum", EMA.replace(NEW, "(t + o) / 2")),
        ("the numbers are right, but the old target was changed in place: return new tensors", "def ema_step(target, online, momentum):\n    for t, o in zip(target, online):\n        t.mul_(momentum).add_(o, alpha=1 - momentum)\n    return target\n"),
        ("the teacher follows the student: here the online weights were moved, in place, toward the target's", "def ema_step(target, online, momentum):\n    for t, o in zip(target, online):\n        o.mul_(momentum).add_(t, alpha=1 - momentum)\n    return online\n"),
        ("this uses only the first weights: go through both lists", EMA.replace(NEW + " for t, o in zip(target, online)", "momentum * target[0] + (1 - momentum) * online[0]")),
        ("there's a minus where a plus belongs: the old and new shares are added", EMA.replace(NEW, "momentum * t - (1 - momentum) * o")),
    ),
    (),
    adapter="tensors",
)  # fmt: skip

EXERCISES = [JEPA_LOSS, EMA_STEP]
