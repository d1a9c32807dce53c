"""What in a world model prevents collapse?  Makes world_ablation.json: `python results/world_ablation.py`; if stopped, it resumes.

Read in lesson 11.  Three experiments change one thing at a time, on seeds 10 to 12 (recipes were searched on seeds 100 and above):
LeWorldModel with one option changed; V-JEPA on the rooms' clips without one of its heuristics, with and without SIGReg, beside an
untrained encoder; and how well the training loss ranks what latents know, over runs with random options.
"""

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor
from tqdm import tqdm

from minivjepa import randomness
from minivjepa.collapse import token_metrics
from minivjepa.evaluation.probes import linear_r2
from minivjepa.masking import MaskPair
from minivjepa.objective import SIGReg
from minivjepa.training.config import Config, to_dict
from minivjepa.training.files import finite_or_null, read_json, versions, write_json
from minivjepa.training.recipe import apply_schedule, build_model, parameter_groups, sample_masks
from minivjepa.vjepa import ARMS, VJEPA, CollapsePrevention
from minivjepa.world.goal_reaching import Task, picture_costs, planning_policy, pursue
from minivjepa.world.le_world_model import LeWorldModel
from minivjepa.world.planner import CEM
from minivjepa.world.world_clips import WorldClips
from minivjepa.world.world_recipe import PRETRAINING, WorldConfig, build_lewm
from minivjepa.world.world_trainer import (
    CPU,
    MONITORED,
    PROBE_SEED,
    PROBED,
    embed_frames,
    open_clips,
    position_r2,
    train_lewm,
)

Metrics = dict[str, Any]
FILE = Path(__file__).with_suffix(".json")
SEEDS = (10, 11, 12)
# many runs, so each has a small budget
BASE = WorldConfig(steps=300, batch=48, lr=2e-3, log_every=300, checkpoint_every=300)
LEWM_CHANGES: dict[str, dict[str, Any]] = {
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
SETTLING = 50  # batches after which BatchNorm's averages have forgotten their first values
PAIRS = Task(pairs=40)  # fewer than `minivjepa world plan` uses

HEURISTICS: dict[str, tuple[CollapsePrevention, bool]] = {  # (switches, whether there is a mask)
    "all three": (ARMS["vjepa"], True),
    "without EMA": (ARMS["no-ema"], True),
    "without stop-gradient": (ARMS["no-stopgrad"], True),
    "without mask": (ARMS["vjepa"], False),
    "none of them": (ARMS["neither"], False),
}
CLIPS = replace(PRETRAINING, steps=400, log_every=400)  # V-JEPA's runs of the second experiment
LAMBDA = 0.1  # of SIGReg where it is added to V-JEPA

RUNS = 20  # of the third experiment, with SIGReg and without


@torch.no_grad()
def untrained_lewm(seed: int) -> Metrics:
    """The control of the first experiment: a LeWorldModel before its first step, its BatchNorm used to the clips."""
    config = replace(BASE, seed=seed)
    model, source = build_lewm(config), open_clips(config, CPU)
    batches = [source.batch(step, torch.arange(BASE.batch))[0] for step in range(SETTLING)]
    for clip in batches:
        model.embed(clip)
    frames = torch.cat(batches)[: MONITORED * BASE.latent, :, 0]
    metrics = token_metrics(embed_frames(model, frames)[:, None])
    return {**metrics, "position_r2": position_r2(model, BASE.rooms, BASE.size, CPU), "success": reached(model)}


def reached(model: LeWorldModel) -> float:
    """The share of goals that a planner reaches with a model."""
    policy = planning_policy(CEM(), picture_costs(model, BASE.rooms, BASE.size, BASE.size), PAIRS.seed)
    return float(pursue(BASE.rooms, PAIRS, policy, CPU).reached.float().mean())


def run_lewm(name: str, seed: int) -> Metrics:
    """One run of the first experiment."""
    if name == UNTRAINED:
        return untrained_lewm(seed)
    found = train_lewm(replace(BASE, seed=seed, **LEWM_CHANGES[name]))
    return {**found, "success": reached(found.pop("model"))}


def masks_of(config: Config, masked: bool, step: int, index: Tensor) -> list[MaskPair]:
    """The config's masks; without a mask, every token is both context and target."""
    if masked:
        return sample_masks(config, step, index)
    every = torch.arange(config.grid.tokens).expand(len(index), -1)
    return [(every, every)]


def train_vjepa(config: Config, masked: bool, weight: float) -> VJEPA:
    """V-JEPA on the rooms' clips; if the weight is not 0, with SIGReg on the online encoder's whole-clip tokens."""
    model, source, index = build_model(config), WorldClips(config.grid, config.seed), torch.arange(config.batch)
    optimiser = torch.optim.AdamW(parameter_groups(model, config), lr=config.lr, fused=True)
    for step in range(config.steps):
        momentum = apply_schedule(optimiser, config, step)
        clip, _ = source.batch(step, index)
        loss = model(clip, masks_of(config, masked, step, index))
        if weight:
            loss = loss + SIGReg(weight)(model.encoder(clip), config.seed, step)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        model.update_target(momentum)
    return model


@torch.no_grad()
def vjepa_metrics(model: VJEPA, config: Config) -> Metrics:
    """Collapse metrics of both encoders, and the R^2 of a linear probe for the robot's position in the first frame."""
    source = WorldClips(config.grid, PROBE_SEED)
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
    return vjepa_metrics(train_vjepa(config, masked, weight), config)


def untrained_vjepa(seed: int) -> Metrics:
    """The control of the second experiment: the same encoder before its first step."""
    config = replace(CLIPS, seed=seed)
    return vjepa_metrics(build_model(config), config)


def random_options(number: int) -> dict[str, Any]:
    """Options of one run of the third experiment: widths, depth, learning rate, weight decay, steps."""
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
    return {**{name: found[name] for name in ("loss", "position_r2", "feature_std")}, "options": options}


def rank_correlation(losses: Sequence[float], scores: Sequence[float], draws: int = 2000) -> tuple[float, float, float]:
    """Spearman's correlation of minus the loss with a score (1: a perfect ranking), and its 95 % bootstrap interval over runs."""
    x, y = -np.asarray(losses), np.asarray(scores)
    generator = np.random.default_rng(0)
    samples = [generator.integers(0, len(x), len(x)) for _ in range(draws)]
    found = [float(spearmanr(x[ids], y[ids]).statistic) for ids in samples]
    low, high = np.nanquantile(found, [0.025, 0.975])
    return float(spearmanr(x, y).statistic), float(low), float(high)


def experiments(seeds: Sequence[int]) -> dict[str, list[tuple[dict[str, Any], Callable[[], Metrics]]]]:
    """Experiment -> its runs, each with the values that identify it and the function that computes it."""
    changes = [{"name": n, "seed": s} for s in seeds for n in (UNTRAINED, *LEWM_CHANGES)]
    heuristics = [{"name": n, "weight": w, "seed": s} for s in seeds for n in HEURISTICS for w in (0.0, LAMBDA)]
    ranking = [{"number": k, "weight": w} for k in range(RUNS) for w in (0.0, BASE.weight)]
    return {
        "variants": [(key, partial(run_lewm, **key)) for key in changes],
        "heuristics": [(key, partial(run_heuristics, **key)) for key in heuristics],
        "untrained": [({"seed": s}, partial(untrained_vjepa, s)) for s in seeds],
        "ranking": [(key, partial(run_random, seed=seeds[0] + key["number"], **key)) for key in ranking],
    }


def main() -> None:
    """Run what the results file lacks."""
    torch.set_num_threads(1)
    shared = {"base": BASE, "vjepa": CLIPS, "pairs": PAIRS, "planner": CEM()}
    settings = finite_or_null(
        {"lambda": LAMBDA, **{name: to_dict(value) for name, value in shared.items()}}
    )  # as in JSON
    head = {"command": "python results/world_ablation.py", "date": time.strftime("%Y-%m-%d"), "versions": versions()}
    new = {**head, "complete": False, "seeds": list(SEEDS), "settings": settings}
    results = read_json(FILE) if FILE.exists() else new
    if results["settings"] != settings:
        raise SystemExit(f"{FILE} was made with other settings; delete it to start again")
    jobs = [(kind, key, job) for kind, found in experiments(SEEDS).items() for key, job in found]
    for kind, key, job in tqdm(jobs, desc="runs", unit="run"):
        rows = results.setdefault(kind, [])
        if not any(all(row.get(k) == v for k, v in key.items()) for row in rows):
            start = time.perf_counter()
            rows.append({**key, **job(), "seconds": round(time.perf_counter() - start, 1)})
            write_json(FILE, results)
    results["spearman"] = {}
    for weight in sorted({row["weight"] for row in results["ranking"]}):
        rows = [row for row in results["ranking"] if row["weight"] == weight]
        found = rank_correlation([row["loss"] for row in rows], [row["position_r2"] for row in rows])
        results["spearman"][str(weight)] = found
    write_json(FILE, {**results, "complete": True})


if __name__ == "__main__":
    sys.exit(main())
