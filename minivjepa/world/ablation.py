"""What in a world model prevents collapse?  One thing changed at a time, over seeds.

Read in lesson 11.  Three experiments: LeWorldModel with one option changed; V-JEPA on the rooms' clips with its heuristics removed
one by one, with and without SIGReg, beside an untrained encoder; and how well the training loss ranks what latents know, over runs with random options.
"""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import spearmanr
from torch import Tensor

from minivjepa import randomness
from minivjepa.collapse import token_metrics
from minivjepa.evaluation.judge import Metrics
from minivjepa.evaluation.probes import linear_r2
from minivjepa.masking import MaskPair
from minivjepa.objective import sigreg
from minivjepa.training.config import Config, to_dict
from minivjepa.training.recipe import build_model, parameter_groups, sample_masks, schedule
from minivjepa.training.runs import Run
from minivjepa.training.trainer import Progress
from minivjepa.vjepa import ARMS, VJEPA, CollapsePrevention
from minivjepa.world.goal_reaching import Task, picture_costs, pursue
from minivjepa.world.le_world_model import LeWorldModel
from minivjepa.world.planner import CEM
from minivjepa.world.room_clips import RoomClips
from minivjepa.world.world_recipe import PRETRAINING, WorldConfig, build_lewm
from minivjepa.world.world_trainer import (
    MONITORED,
    PROBE_SEED,
    PROBED,
    WorldTrainer,
    embed_frames,
    open_clips,
    position_r2,
)

CPU = torch.device("cpu")
BASE = WorldConfig(
    steps=300, batch=48, lr=2e-3, log_every=300, checkpoint_every=300
)  # a small budget: there are many runs
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "lambda 0": {"weight": 0.0},
    "lambda 0, four times the steps": {"weight": 0.0, "steps": 1200},
    "lambda .001": {"weight": 0.001},
    "lambda .01": {"weight": 0.01},
    "lambda 1": {"weight": 1.0},
    "4 directions": {"directions": 4},
    "32 directions": {"directions": 32},
    "no BatchNorm": {"batchnorm": False},
}
UNTRAINED = "untrained"
SETTLING = 50  # batches after which BatchNorm's averages have forgotten where they began
PAIRS = Task(pairs=40)  # of the ablation; the comparison itself uses more

HEURISTICS: dict[str, tuple[CollapsePrevention, bool]] = {  # (switches, whether there is a mask)
    "all three": (ARMS["vjepa"], True),
    "without EMA": (ARMS["no-ema"], True),
    "without stop-gradient": (ARMS["no-stopgrad"], True),
    "without mask": (ARMS["vjepa"], False),
    "none of them": (ARMS["neither"], False),
}
CLIPS = replace(PRETRAINING, steps=400, log_every=400)  # V-JEPA's runs of the second experiment
LAMBDA = 0.1  # of SIGReg where it is added to V-JEPA

RUNS = 20  # of the third experiment, for each of its two kinds


def train_lewm(config: WorldConfig, progress: Progress = lambda step, row: None) -> Metrics:
    """Train a LeWorldModel and leave no files: last row of metrics, what latents know of the position, and the model."""
    with tempfile.TemporaryDirectory() as folder:
        run = Run(Path(folder) / "run", WorldConfig)
        run.create(config, "rooms")
        trainer = WorldTrainer(config, build_lewm(config), open_clips(config, CPU), run, CPU)
        trainer.fit(progress)
        row = run.history()[-1]
    return {**row, "position_r2": position_r2(trainer.model, config.rooms, config.size, CPU), "model": trainer.model}


@torch.no_grad()
def untrained_lewm(seed: int) -> Metrics:
    """The control of the first experiment: a LeWorldModel before its first step, its BatchNorm used to the clips."""
    model, source = build_lewm(replace(BASE, seed=seed)), open_clips(replace(BASE, seed=seed), CPU)
    batches = [source.batch(step, torch.arange(BASE.batch))[0] for step in range(SETTLING)]
    for clip in batches:
        model.embed(clip)
    frames = torch.cat(batches)[: MONITORED * BASE.latent, :, 0]
    metrics = token_metrics(embed_frames(model, frames)[:, None])
    return {**metrics, "position_r2": position_r2(model, BASE.rooms, BASE.size, CPU), "success": reached(model)}


def reached(model: LeWorldModel) -> float:
    """Share of the ablation's goals that a planner reaches with a model."""
    costs = picture_costs(model, BASE.rooms, BASE.size, BASE.size)
    return float(pursue(BASE.rooms, PAIRS, CEM(), costs, CPU).reached.float().mean())


def run_variant(name: str, seed: int) -> Metrics:
    """One run of the first experiment."""
    if name == UNTRAINED:
        return untrained_lewm(seed)
    config = replace(BASE, seed=seed, **VARIANTS[name])
    found = train_lewm(config)
    return {**found, "success": reached(found.pop("model"))}


def masks_of(config: Config, masked: bool, step: int, index: Tensor) -> list[MaskPair]:
    """The config's masks, or without a mask: the context is everything, and so is the target."""
    if masked:
        return sample_masks(config, step, index)
    every = torch.arange(config.grid.tokens).expand(len(index), -1)
    return [(every, every)]


def train_vjepa(config: Config, masked: bool, weight: float) -> VJEPA:
    """V-JEPA on the rooms' clips; SIGReg, if its weight is not 0, on the online encoder's whole-clip tokens, whatever the targets."""
    model, source, index = build_model(config), RoomClips(config.grid, config.seed), torch.arange(config.batch)
    optimiser = torch.optim.AdamW(parameter_groups(model, config), lr=config.lr, fused=True)
    for step in range(config.steps):
        lr, decay, momentum = schedule(config, step)
        for group in optimiser.param_groups:
            group["lr"], group["weight_decay"] = lr * group["scale"], decay if group["decays"] else 0.0
        clip, _ = source.batch(step, index)
        loss = model(clip, masks_of(config, masked, step, index))
        if weight:
            key = randomness.keys("directions", config.seed, step, torch.arange(256))
            directions = F.normalize(randomness.normal(key, config.dim), dim=1).T
            loss = loss + weight * sigreg(model.encoder(clip).transpose(0, 1), directions)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        model.update_target(momentum)
    return model


@torch.no_grad()
def judge_vjepa(model: VJEPA, config: Config) -> Metrics:
    """Collapse metrics of both encoders, and the R^2 of a linear probe for the robot's position in the first frame."""
    source = RoomClips(config.grid, PROBE_SEED)
    parts = [source.batch(0, index) for index in torch.arange(sum(PROBED)).split(64)]
    places = torch.cat([journey.positions[:, 0] for _, journey in parts])
    found: Metrics = {}
    for name, encoder in (("", model.encoder), ("target_", model.target_encoder)):
        if encoder is not None:
            tokens = torch.cat([encoder(clip) for clip, _ in parts])
            (x, y), (places_x, places_y) = tokens.mean(dim=1).split(PROBED), places.split(PROBED)
            found |= {f"{name}{metric}": value for metric, value in token_metrics(tokens).items()}
            found[f"{name}position_r2"] = linear_r2(x, places_x, y, places_y)
    return found


def run_heuristics(name: str, weight: float, seed: int) -> Metrics:
    """One run of the second experiment."""
    prevention, masked = HEURISTICS[name]
    config = replace(CLIPS, seed=seed, prevention=prevention)
    return judge_vjepa(train_vjepa(config, masked, weight), config)


def judge_untrained(seed: int) -> Metrics:
    """The control of the second experiment: the same encoder before its first step."""
    config = replace(CLIPS, seed=seed)
    return judge_vjepa(build_model(config), config)


def random_options(number: int) -> dict[str, Any]:
    """Options of the third experiment's run of this number: widths, depth, learning rate, weight decay, steps."""
    u = randomness.uniform(randomness.keys("options", 0, 0, torch.tensor([number])), 6)[0].tolist()
    return {
        "lr": round(10 ** (-4 + 1.7 * u[0]), 6),
        "steps": 40 + int(160 * u[1]),
        "dim": (16, 32, 64)[int(3 * u[2])],
        "depth": (1, 2)[int(2 * u[3])],
        "hidden": (32, 128, 256)[int(3 * u[4])],
        "weight_decay": round(10 ** (-4 + 3 * u[5]), 6),
    }


def run_random(number: int, weight: float, seed: int) -> Metrics:
    """One run of the third experiment: its last training loss, and what its latents know."""
    options = random_options(number)
    found = train_lewm(replace(BASE, seed=seed, weight=weight, log_every=20, **options))
    return {
        "loss": found["loss"],
        "position_r2": found["position_r2"],
        "feature_std": found["feature_std"],
        "options": options,
    }


def rank_correlation(losses: Sequence[float], scores: Sequence[float], draws: int = 2000) -> tuple[float, float, float]:
    """Spearman's correlation of minus the loss and a score, and its 95 % bootstrap interval over runs: 1 = the loss ranks perfectly."""
    x, y = -np.asarray(losses), np.asarray(scores)
    generator = np.random.default_rng(0)
    samples = [generator.integers(0, len(x), len(x)) for _ in range(draws)]
    found = [float(spearmanr(x[ids], y[ids]).statistic) for ids in samples]
    low, high = np.nanquantile(found, [0.025, 0.975])
    return float(spearmanr(x, y).statistic), float(low), float(high)


def experiments(seeds: Sequence[int]) -> dict[str, list[tuple[dict[str, Any], Callable[[], Metrics]]]]:
    """Experiment -> its runs, each with what identifies it: nothing is computed yet."""

    def variant(name: str, seed: int) -> Callable[[], Metrics]:
        return lambda: run_variant(name, seed)

    def heuristic(name: str, weight: float, seed: int) -> Callable[[], Metrics]:
        return lambda: run_heuristics(name, weight, seed)

    def untrained(seed: int) -> Callable[[], Metrics]:
        return lambda: judge_untrained(seed)

    def at_random(number: int, weight: float) -> Callable[[], Metrics]:
        return lambda: run_random(number, weight, seeds[0] + number)

    return {
        "variants": [({"name": n, "seed": s}, variant(n, s)) for s in seeds for n in (UNTRAINED, *VARIANTS)],
        "heuristics": [
            ({"name": n, "weight": w, "seed": s}, heuristic(n, w, s))
            for s in seeds
            for n in HEURISTICS
            for w in (0.0, LAMBDA)
        ],
        "untrained": [({"seed": s}, untrained(s)) for s in seeds],
        "ranking": [({"number": k, "weight": w}, at_random(k, w)) for k in range(RUNS) for w in (0.0, BASE.weight)],
    }


def settings() -> dict[str, Any]:
    """What all runs share, for the results file."""
    return {
        "base": to_dict(BASE),
        "vjepa": to_dict(CLIPS),
        "lambda": LAMBDA,
        "pairs": to_dict(PAIRS),
        "planner": to_dict(CEM()),
    }
