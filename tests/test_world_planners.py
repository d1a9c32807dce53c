"""Inverse dynamics, planning by gradients, and the encoders that a frozen world model can have."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from minivjepa.training.loop import CLIPS_AT_ONCE
from minivjepa.tubelets import Grid
from minivjepa.world.goal_reaching import Task, planning_policy, pursue
from minivjepa.world.gradient_planner import Gradient
from minivjepa.world.inverse_dynamics import (
    Inverse,
    InverseDynamics,
    draw_pairs,
    inverse_error,
    inverse_policy,
    latents_of,
    train_inverse,
)
from minivjepa.world.planner import Cost, latent_cost
from minivjepa.world.rooms import Rooms
from minivjepa.world.world_clips import WorldClips
from minivjepa.world.world_recipe import PRESETS, WorldConfig, build_frozen, pretraining

CPU = torch.device("cpu")
ROOMS = Rooms()
GRID = Grid(8, 16, 16, 1, 8)


class Places:
    """A world model whose latent is the robot's position, found as the center of what is orange; no wall is imagined."""

    def embed(self, clip: Tensor) -> Tensor:
        weight = (clip[:, 0] - clip[:, 2]).clamp_min(0).square()  # [B, T, H, W]: red, not blue
        axis = (torch.arange(clip.shape[-1]) + 0.5) / clip.shape[-1]
        total = weight.sum(dim=(2, 3))
        y, x = (weight.sum(dim=3) * axis).sum(dim=2) / total, (weight.sum(dim=2) * axis).sum(dim=2) / total
        return torch.stack([y, x], dim=-1)

    def imagine(self, z: Tensor, actions: Tensor) -> Tensor:
        return z[:, None] + ROOMS.speed * actions.cumsum(dim=1)


def test_hindsight_pairs_are_two_frames_of_one_clip_in_order() -> None:
    """Catches: goals that lie before the frame, a last frame that is never a goal, a first one that is never a start."""
    clip, now, goal = draw_pairs(5, 7, 0, 3, 4000)
    assert set(clip.tolist()) == set(range(7))
    assert set(now.tolist()) == {0, 1, 2, 3}
    assert set(zip(now.tolist(), goal.tolist())) == {(t, u) for t in range(4) for u in range(t + 1, 5)}
    again = draw_pairs(5, 7, 0, 3, 10)
    assert all(torch.equal(many[:10], few) for many, few in zip((clip, now, goal), again))


def test_latents_come_with_the_actions_of_the_same_clip() -> None:
    """Catches: parts joined in another order, actions of another batch."""
    source = WorldClips(GRID, seed=3)
    z, actions = latents_of(Places(), source, CLIPS_AT_ONCE + 2)
    clip, journey = source.batch(0, torch.tensor([CLIPS_AT_ONCE + 1]))
    torch.testing.assert_close(z[-1:], Places().embed(clip))
    torch.testing.assert_close(actions[-1:], journey.actions)


def test_inverse_dynamics_learns_which_action_led_to_the_next_frame_and_reaches_goals() -> None:
    """Catches: the action of another frame, now and goal swapped: then the robot runs away from its goal."""
    source = WorldClips(GRID, seed=5)
    found, loss = train_inverse(Places(), source, Inverse(clips=400, steps=300, batch=256, hidden=64))
    again, same = train_inverse(Places(), source, Inverse(clips=400, steps=300, batch=256, hidden=64))
    assert loss == same
    assert all(torch.equal(a, b) for a, b in zip(found.parameters(), again.parameters()))
    spread = source.journey(0, torch.arange(400)).actions.var()
    assert loss < 0.7 * spread  # what follows is not known, so the error cannot vanish
    assert loss < inverse_error(Places(), found, WorldClips(GRID, seed=6), 100) < spread

    class Backward(InverseDynamics):
        def forward(self, now: Tensor, goal: Tensor) -> Tensor:
            return found(goal, now)

    assert inverse_error(Places(), Backward(2, 64, 2), WorldClips(GRID, seed=6), 100) > spread
    task = Task(pairs=40, steps=12)
    outcome = pursue(ROOMS, task, inverse_policy(Places(), found, ROOMS, 16), CPU)
    assert outcome.reached[1::2].float().mean() > 0.8  # within a room


def test_inverse_dynamics_acts_at_full_speed_in_the_direction_that_it_learned() -> None:
    """Catches: actions beyond their bounds, one axis scaled more than the other."""

    class Fixed(InverseDynamics):
        def forward(self, now: Tensor, goal: Tensor) -> Tensor:
            return torch.tensor([[0.1, -0.2], [0.0, 0.0]])

    state = torch.tensor([[0.2, 0.2], [0.3, 0.3]])
    action = inverse_policy(Places(), Fixed(2, 4, 2), ROOMS, 16)(0, torch.arange(2), state, state)
    torch.testing.assert_close(action, torch.tensor([[0.5, -1.0], [0.0, 0.0]]))


def test_gradients_find_the_optimum_of_a_known_function() -> None:
    """Catches: steps uphill, the worst of the samples, actions beyond their bounds, a mean that is not tried."""
    best = torch.tensor([[0.5, -0.3], [0.9, 0.2], [-0.6, 1.4]]).expand(4, 3, 2)
    generator = torch.Generator().manual_seed(0)

    def cost(plans: Tensor) -> Tensor:
        return (plans - best[:, None]).square().sum(dim=(2, 3))

    def noise(number: int) -> Tensor:
        return torch.randn(4, 3, 3, 2, generator=generator)

    found = Gradient(horizon=3, samples=3, rounds=60).plan(cost, torch.zeros(4, 3, 2), noise)
    assert (found - best.clamp(-1, 1)).abs().max() < 0.05
    kept = Gradient(horizon=3, samples=3, rounds=1, lr=1e-6).plan(cost, best.clamp(-1, 1), noise)
    torch.testing.assert_close(kept, best.clamp(-1, 1), rtol=0, atol=1e-4)
    with pytest.raises(ValueError, match="rounds is 0, expected a number above 0"):
        Gradient(rounds=0)


def test_gradients_plan_through_a_model_and_leave_it_as_it_was() -> None:
    """Catches: gradients that do not flow through what is imagined, or that pile up in the model's weights."""
    model = build_frozen(WorldConfig(model="untrained", latent=8, predictor_dim=16, predictor_heads=2))
    now, goal = torch.randn(2, 2, 8)
    plans = torch.zeros(2, 1, 4, 2, requires_grad=True)
    cost = latent_cost(model, now, goal)
    (gradient,) = torch.autograd.grad(cost(plans).sum(), plans)
    step = 1e-2 * gradient / gradient.norm()
    assert cost(plans - step).sum() < cost(plans + step).sum()
    generator = torch.Generator().manual_seed(0)
    Gradient(samples=2, rounds=2).plan(
        cost, plans[:, 0].detach(), lambda k: torch.randn(2, 2, 4, 2, generator=generator)
    )
    assert all(parameter.grad is None for parameter in model.parameters())
    outcome = pursue(ROOMS, Task(pairs=10, steps=15), planning_policy(Gradient(), straight_costs, 0), CPU)
    assert outcome.reached[1::2].all()  # within a room, with positions for latents


def straight_costs(state: Tensor, goal: Tensor) -> Cost:
    return latent_cost(Places(), state, goal)


def test_raw_pixels_are_reduced_to_their_main_directions() -> None:
    """Catches: pixels in another order in frames that are planned with, a robot that the directions leave out."""
    model = build_frozen(replace(PRESETS["raw"], latent=24))
    states = ROOMS.draw(torch.rand(300, 2, generator=torch.Generator().manual_seed(0)))
    frames = ROOMS.render(states, 32, 32)
    flat = torch.nn.functional.layer_norm(frames.flatten(1), [3 * 32 * 32])
    features = model.features(frames[:, :, None])
    assert features.shape == (300, 1, 1, 3 * 32 * 32)
    torch.testing.assert_close(features.flatten(1).sort().values, flat.sort().values, rtol=1e-3, atol=1e-3)
    with pytest.raises(ValueError, match="raw pixels are one vector already"):
        replace(PRESETS["raw"], pooled=True)


def test_a_pooled_latent_cannot_tell_where_a_token_was() -> None:
    """Catches: an option that changes nothing."""
    model = build_frozen(replace(PRESETS["untrained"], pooled=True))
    frames = torch.randn(5, 3, 1, 32, 32)
    tokens = build_frozen(PRESETS["untrained"]).features(frames)
    torch.testing.assert_close(model.features(frames), tokens.mean(dim=2, keepdim=True))
    assert model.embed(frames).shape == (5, 1, 32)
    with pytest.raises(ValueError, match="latent is 65, expected at most 64"):
        replace(PRESETS["untrained"], pooled=True, latent=65)


def test_a_pixel_target_encoder_differs_from_vjepas_in_its_target_only() -> None:
    """Catches: a control that is trained by another recipe."""
    vjepa, pixels = pretraining(PRESETS["vjepa"]), pretraining(PRESETS["pixel-target"])
    assert (vjepa.prevention.target, pixels.prevention.target) == ("ema", "pixels")
    assert replace(pixels, prevention=vjepa.prevention) == vjepa
