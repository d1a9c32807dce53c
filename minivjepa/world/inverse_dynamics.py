"""Acting without imagining: from a frame and a goal straight to the next action.

Read in lesson 12.  Inverse dynamics on latents: in a clip, the robot gets from frame t to frame t + k.  A small network learns which action
it took at t, given both latents.  Every later frame of a clip is a goal that the robot did reach, so rewards aren't needed
(hindsight, arXiv 1707.01495; goal-conditioned imitation, arXiv 1906.05838).
"""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from minivjepa import randomness
from minivjepa.training.config import check_numbers
from minivjepa.training.loop import CLIPS_AT_ONCE
from minivjepa.training.recipe import cosine, set_rates, weight_groups
from minivjepa.world.base_world import World
from minivjepa.world.goal_reaching import Policy, here_and_there, picture_costs, planning_policy
from minivjepa.world.gradient_planner import Planner
from minivjepa.world.planner import WorldModel
from minivjepa.world.world_clips import WorldClips
from minivjepa.world.world_recipe import WorldConfig

LEAST = 1e-6  # an action of 0 has no direction
TRIED = 4096  # pairs of frames on which inverse dynamics is judged


@dataclass(frozen=True)
class Inverse:
    """How inverse dynamics is trained.  Raises ValueError for settings that can't train."""

    clips: int = 1500  # Clips whose latents are kept.
    frames: int = 16  # Frames of a clip: a frame's goals lie up to 15 steps ahead.
    batch: int = 512  # Pairs of frames per step.
    steps: int = 1500  # Optimizer steps.
    lr: float = 2e-3  # Peak learning rate of AdamW.
    weight_decay: float = 0.01  # None on biases.
    hidden: int = 256  # Hidden width.

    def __post_init__(self) -> None:
        positive = ("clips", "batch", "steps", "lr", "hidden")
        check_numbers(self, positive, "a number above 0", lambda value: value > 0)
        check_numbers(self, ("frames",), "2 or more", lambda value: value >= 2)
        check_numbers(self, ("weight_decay",), "0 or more", lambda value: value >= 0)


class InverseDynamics(nn.Module):
    """Latents now and of the goal [n, Z] -> the first action on the way there [n, A]."""

    def __init__(self, latent: int, hidden: int, actions: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(3 * latent, hidden), nn.GELU(), nn.Linear(hidden, hidden), nn.GELU(), nn.Linear(hidden, actions)
        )

    def forward(self, now: Tensor, goal: Tensor) -> Tensor:
        """[n, Z], [n, Z] -> [n, A].  The difference is an input too: near the goal, nothing else counts."""
        return self.layers(torch.cat([now, goal, goal - now], dim=-1))


@torch.no_grad()
def latents_of(model: WorldModel, source: WorldClips, clips: int) -> tuple[Tensor, Tensor]:
    """Latents [clips, T, Z] and actions [clips, T - 1, A] of a source's clips."""
    batches = (source.batch(0, index) for index in torch.arange(clips).split(CLIPS_AT_ONCE))
    z, actions = zip(*((model.embed(clip), journey.actions) for clip, journey in batches))
    return torch.cat(z), torch.cat(actions)


def draw_pairs(frames: int, clips: int, seed: int, step: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """(clip, t, t + k), int64 [count] each: any frame but the last, and any frame after it."""
    u = randomness.uniform(randomness.keys("hindsight", seed, step, torch.arange(count)), 3)
    now = (u[:, 1] * (frames - 1)).long()
    return (u[:, 0] * clips).long(), now, now + 1 + (u[:, 2] * (frames - 1 - now)).long()


def train_inverse(model: WorldModel, source: WorldClips, config: Inverse) -> tuple[InverseDynamics, float]:
    """Inverse dynamics on a frozen model's latents, and its mean squared error over the last tenth of its steps.

    source: long clips, which hold pairs that are far apart.  Its seed is that of weights and pairs, too.
    """
    z, actions = latents_of(model, source, config.clips)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(source.seed)
        inverse = InverseDynamics(z.shape[-1], config.hidden, actions.shape[-1]).to(z.device)
    optimiser, losses = torch.optim.AdamW(weight_groups(inverse), lr=config.lr, fused=True), []
    for step in range(config.steps):
        set_rates(optimiser, cosine(config.lr, 0.0, step / config.steps), config.weight_decay)
        clip, now, goal = draw_pairs(z.shape[1], len(z), source.seed, step, config.batch)
        loss = F.mse_loss(inverse(z[clip, now], z[clip, goal]), actions[clip, now])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.detach())
    last = torch.stack(losses[-max(1, config.steps // 10) :])
    return inverse.eval(), float(last.mean())


@torch.no_grad()
def inverse_error(model: WorldModel, inverse: InverseDynamics, source: WorldClips, clips: int) -> float:
    """Mean squared error of its actions in a source's clips.  With another seed than in training, these are clips it hasn't seen."""
    z, actions = latents_of(model, source, clips)
    clip, now, goal = draw_pairs(z.shape[1], clips, source.seed, 0, TRIED)
    return float(F.mse_loss(inverse(z[clip, now], z[clip, goal]), actions[clip, now]))


def inverse_policy(model: WorldModel, inverse: InverseDynamics, world: World, size: int) -> Policy:
    """Full speed in the network's direction: it learned from a robot that dawdled, so its speed is ignored."""

    @torch.no_grad()
    def act(step: int, pairs: Tensor, state: Tensor, goal: Tensor) -> Tensor:
        action = inverse(*here_and_there(model, world, state, goal, size, size))
        return action / action.abs().amax(dim=-1, keepdim=True).clamp_min(LEAST)

    return act


def policy_of(model: WorldModel, config: WorldConfig, by: Planner | Inverse, seed: int, device: torch.device) -> Policy:
    """How a trained world model steers: it imagines plans and takes the cheapest, or inverse dynamics learns from its run's clips.

    seed: of the planner's noise.
    """
    if not isinstance(by, Inverse):
        return planning_policy(by, picture_costs(model, config.scene, config.size, config.size), seed)
    source = WorldClips(replace(config.clips, frames=by.frames), config.seed, str(device), config.scene)
    return inverse_policy(model, train_inverse(model, source, by)[0], config.scene, config.size)
