"""Lesson 12: the cases of its exercises, and the mistakes that people make."""

import torch
from assignment import Exercise


def cost(expression: str) -> str:
    """Code of an answer: the expression that it returns; `gap` is the difference, [S, H, Z]."""
    return f"def plan_cost(imagined, goal):\n    gap = imagined - goal\n    return {expression}\n"


def wandering(plans: int, steps: int, width: int, seed: int) -> torch.Tensor:
    """Imagined latents [S, H, Z] that come near the origin at some step, in quarters."""
    generator = torch.Generator().manual_seed(seed)
    return (4 * torch.randn(plans, steps, width, generator=generator)).round() / 4


PLAN_COST = Exercise(
    "plan_cost",
    ("minivjepa.world.planner.latent_cost",),
    (
        {"imagined": wandering(3, 4, 2, 0), "goal": torch.tensor([0.5, -0.25])},
        {"imagined": wandering(5, 3, 3, 1), "goal": torch.tensor([0.0, 1.0, -1.0])},
        {"imagined": wandering(4, 5, 4, 2) + 1, "goal": torch.tensor([1.0, 0.5, 1.25, 0.75])},
    ),
    lambda rng: [],
    (
        ("this is the last step of each plan: take the step that comes nearest, .amin over the steps", cost("gap.square().mean(dim=2)[:, -1]")),
        ("this is the first step of each plan: take the step that comes nearest, .amin over the steps", cost("gap.square().mean(dim=2)[:, 0]")),
        ("this is the mean over the steps: a detour would cost a plan too much; take the step that comes nearest", cost("gap.square().mean(dim=(1, 2))")),
        ("this is the step that is furthest away: take the nearest, .amin", cost("gap.square().mean(dim=2).amax(dim=1)")),
        ("this says which step comes nearest: return how near it comes", cost("gap.square().mean(dim=2).argmin(dim=1)")),
        ("the smallest is taken for each latent number, at different steps: take the mean over Z first, then the smallest over the steps", cost("gap.square().amin(dim=1).mean(dim=1)")),
        ("this is a sum over Z: take the mean, so that latents of any width cost about the same", cost("gap.square().sum(dim=2).amin(dim=1)")),
        ("this is the distance itself: the cost is the mean of the squares, with no root", cost("gap.square().mean(dim=2).sqrt().amin(dim=1)")),
        ("this is a length: the cost is the mean of the squares over Z, with no root", cost("gap.norm(dim=2).amin(dim=1)")),
        ("these are absolute differences: square them", cost("gap.abs().mean(dim=2).amin(dim=1)")),
        ("the differences are averaged before they're squared, so plus and minus cancel: square first", cost("gap.mean(dim=2).square().amin(dim=1)")),
        ("the nearest plan is taken at each step: you were asked for the nearest step of each plan, so take the smallest over H, dim=1", cost("gap.square().mean(dim=2).amin(dim=0)")),
        ("this is one number for all plans: return one for each", cost("gap.square().mean(dim=2).amin()")),
        ("the smallest over Z is taken: take the mean over Z, then the smallest over the steps", cost("gap.square().amin(dim=2).amin(dim=1)")),
        ("the sign is wrong: a plan that ends at the goal costs 0, and all others more", cost("-gap.square().mean(dim=2).amin(dim=1)")),
        ("this is the distance from the origin: subtract the goal first", cost("imagined.square().mean(dim=2).amin(dim=1)")),
    ),
    (),
)  # fmt: skip

ROUND = """def cem_round(plans, costs, noise, elites):
    kept = plans[costs.topk(elites, largest=False).indices]
    mean, spread = kept.mean(dim=0), kept.std(dim=0)
    drawn = (mean + spread * noise).clamp(-1, 1)
    drawn[0] = mean
    return drawn
"""
KEPT, SPREAD, DRAWN = "costs.topk(elites, largest=False).indices", "kept.std(dim=0)", "(mean + spread * noise).clamp(-1, 1)"  # fmt: skip


def case(plans: int, steps: int, elites: int, seed: int) -> dict[str, object]:
    """Plans of two numbers a step, in tenths, their costs, and noise of which some leads out of -1 to 1."""
    generator = torch.Generator().manual_seed(seed)
    tried = (20 * torch.rand(plans, steps, 2, generator=generator) - 10).round() / 10 + 0.0
    costs = (torch.randperm(plans, generator=generator) + 1) / 2
    noise = (4 * torch.randn(plans, steps, 2, generator=generator)).round() / 4
    return {"plans": tried, "costs": costs, "noise": noise, "elites": elites}


CEM_ROUND = Exercise(
    "cem_round",
    ("minivjepa.world.planner.CEM",),
    (case(5, 2, 2, 0), case(6, 3, 3, 1), case(8, 2, 4, 2)),
    lambda rng: [],
    (
        ("these are the dearest plans: keep the cheapest, largest=False", ROUND.replace(", largest=False", "")),
        ("these are the first plans, not the cheapest: choose them by their costs", ROUND.replace(KEPT, "torch.arange(elites)")),
        ("all plans are kept: take the mean and spread of the cheapest `elites` only", ROUND.replace(KEPT, "torch.arange(len(plans))")),
        ("only the cheapest plan sets the mean: take the mean of all that are kept", ROUND.replace("kept.mean(dim=0)", "kept[0]")),
        ("the spread is that of all plans: take that of the kept ones, or the search never narrows", ROUND.replace(SPREAD, "plans.std(dim=0)")),
        ("the spread is missing: multiply the noise by it, or the search never narrows", ROUND.replace("spread * noise", "noise")),
        ("this is the variance: the noise is multiplied by its root, the standard deviation", ROUND.replace(SPREAD, "kept.var(dim=0)")),
        ("the standard deviation divides by n here: .std divides by n - 1, as asked", ROUND.replace(SPREAD, "kept.std(dim=0, correction=0)")),
        ("this is one spread for all: each step, and each number of an action, has its own", ROUND.replace(SPREAD, "kept.std()")),
        ("the mean is taken over steps too: every step has its own", ROUND.replace("kept.mean(dim=0)", "kept.mean(dim=(0, 1))")),
        ("plans leave -1 to 1: clip what was drawn", ROUND.replace(".clamp(-1, 1)", "")),
        ("the noise is clipped: clip the plans, mean and noise together", ROUND.replace(DRAWN, "mean + (spread * noise).clamp(-1, 1)")),
        ("the best guess so far doesn't compete: the first new plan is the mean itself", ROUND.replace("    drawn[0] = mean\n", "")),
        ("the first new plan is the cheapest old one: it should be the mean of the kept ones", ROUND.replace("drawn[0] = mean", "drawn[0] = kept[0]")),
        ("the mean pushes all plans back by one: it should replace the first, so that plan i uses noise i", ROUND.replace("drawn[0] = mean", "drawn = torch.cat([mean[None], drawn[:-1]])")),
        ("the mean comes last: it should be the first of the new plans", ROUND.replace("drawn[0] = mean", "drawn[-1] = mean")),
        ("the noise is added to the old plans: draw around the mean of the kept ones", ROUND.replace("(mean + spread", "(plans + spread")),
        ("the mean is missing: draw around the mean of the kept plans, not around standing still", ROUND.replace("(mean + spread", "(spread")),
        ("only the mean comes back: return all new plans, of which it is the first", ROUND.replace("return drawn", "return mean")),
    ),
    (),
)  # fmt: skip

EXERCISES = [PLAN_COST, CEM_ROUND]
