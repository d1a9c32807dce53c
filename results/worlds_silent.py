"""Failures that no loss shows, for results/worlds.py: a predictor that trains on, and latents that are near but out of reach."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from scipy.stats import spearmanr
from torch import Tensor

from minivjepa import randomness
from minivjepa.encoder import Encoder
from minivjepa.evaluation.probes import linear_r2
from minivjepa.training.runs import Run
from minivjepa.world.base_world import World
from minivjepa.world.goal_reaching import Task, picture_costs, planning_policy, pursue
from minivjepa.world.planner import CEM
from minivjepa.world.rooms_busy import RoomsBusy
from minivjepa.world.world_recipe import WorldConfig
from minivjepa.world.world_trainer import CPU, PROBED, WorldNet, WorldTrainer, build_world, embed_frames, open_clips

STEPS = (50, 150, 500, 1500, 4000)  # of the predictor
PAIRS = 100
SIDE = 32  # places in a row of the landscape
EPISODE = 3  # whose landscape is drawn


def longer_training(config: WorldConfig, encoder: Encoder | None, task: Task) -> list[dict[str, Any]]:
    """Loss and goals reached while the predictor of a frozen encoder trains on, at a learning rate that stays."""
    config = replace(config, steps=STEPS[-1], final_lr=1.0)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder) / "run", WorldConfig)
        run.create(config, "rooms")
        trainer = WorldTrainer(config, build_world(config, encoder), open_clips(config, CPU), run, CPU)
        for steps in STEPS:
            losses = []
            while trainer.step < steps:
                trainer.train_step()
                losses += [float(loss.sum()) for loss in trainer.pending]
                trainer.pending = []
            costs = picture_costs(trainer.model.eval(), config.scene, config.size, config.size)
            policy = planning_policy(CEM(), costs, task.seed)
            reached = pursue(config.scene, replace(task, pairs=PAIRS), policy, CPU).reached
            last = losses[-50:]
            rows.append({"steps": steps, "loss": sum(last) / len(last), "success": float(reached.float().mean())})
    return rows


def lamps_r2(model: WorldNet, config: WorldConfig) -> dict[str, float]:
    """How well latents tell how bright the lamps are: held-out R^2 of a linear probe, mean over lamps.  Empty where there are none."""
    world = config.scene
    if not isinstance(world, RoomsBusy):
        return {}
    states = world.draw(
        randomness.uniform(randomness.keys("lamps known", 0, 0, torch.arange(sum(PROBED))), world.numbers)
    )
    z = embed_frames(model, world.render(states, config.size, config.size))
    (x, y), (lit, lit_there) = z.split(PROBED), world.lamps(states).flatten(1).split(PROBED)
    return {"lamps_r2": linear_r2(x, lit, y, lit_there)}


def goal_of(world: World) -> Tensor:
    """The state [1, S] of the goal whose landscape is drawn."""
    return world.draw(randomness.uniform(randomness.keys("landscape", 0, 0, torch.tensor([EPISODE])), world.numbers))


@torch.no_grad()
def landscape(config: WorldConfig, model: WorldNet) -> dict[str, Any]:
    """How far each place of one unseen episode is from a goal: in latents, on foot, and as the crow flies."""
    world = config.scene.unseen
    goal = goal_of(world)  # [1, S]
    axis = (torch.arange(SIDE) + 0.5) / SIDE
    u = torch.cat([torch.cartesian_prod(axis, axis), torch.full((SIDE**2, world.more - 2), 0.5)], dim=1)
    states = world.goal(goal.expand(len(u), -1), u)
    z = embed_frames(model, world.render(torch.cat([goal, states]), config.size, config.size))
    latent = (z[1:] - z[:1]).square().mean(dim=1)
    walk, line = world.walking_distance(states, goal), world.line(states, goal)
    found = {"latent": latent, "walking": walk, "y": states[:, 0], "x": states[:, 1]}
    return {
        "goal": goal[0, :2].tolist(),
        **{name: [round(value, 3) for value in values.tolist()] for name, values in found.items()},
        "rank_with_walking": float(spearmanr(latent, walk).statistic),
        "rank_with_line": float(spearmanr(latent, line).statistic),
    }
